"""Moments in words that stay the same whenever they are said: statuses are written only when something changes."""

from __future__ import annotations

from datetime import UTC, datetime


def when(moment: datetime) -> str:
    """A moment in UTC, always with its date."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
