"""Figures that change all the time are written down only when they say something else than before."""

from __future__ import annotations

from typing import Final

#: A figure says something else when it differs by a fifth, and by two at least.
_SHARE: Final = 0.2
_LEAST: Final = 2.0


def differs(old: float, new: float, least: float = _LEAST) -> bool:
    """Whether the new figure says something else. Between nothing and something there is always a difference."""
    if (old == 0) != (new == 0):
        return True
    return abs(new - old) >= max(least, _SHARE * abs(old))


def steady(old: int | None, new: int) -> int:
    """The new figure, or the old one when that says the same."""
    return new if old is None or differs(old, new) else old


def ms_text(value: float) -> str:
    """Milliseconds in words: whole ones from ten on."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
