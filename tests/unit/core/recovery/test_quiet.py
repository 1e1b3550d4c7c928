"""Quiet windows, as clocks of their place show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from sophia_operator.api.recovery_policy import QuietWindow
from sophia_operator.core.recovery.quiet import next_change, quiet_until, unknown_zones


def window(start: str, end: str, **more: Any) -> QuietWindow:
    return QuietWindow.model_validate({"start": start, "end": end, **more})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}:00+00:00")


NIGHT = window("22:00", "06:00")
BERLIN = window("02:30", "03:30", timeZone="Europe/Berlin")


@pytest.mark.parametrize(
    ("opened", "now", "until"),
    [
        (window("09:00", "17:00"), "03-02T08:59", None),
        (window("09:00", "17:00"), "03-02T09:00", "03-02T17:00"),
        (window("09:00", "17:00"), "03-02T17:00", None),
        # over midnight
        (NIGHT, "03-02T21:59", None),
        (NIGHT, "03-02T22:00", "03-03T06:00"),
        (NIGHT, "03-03T05:59", "03-03T06:00"),
        (NIGHT, "03-03T06:00", None),
        # a whole day
        (window("00:00", "00:00"), "03-02T00:00", "03-03T00:00"),
        (window("08:00", "08:00"), "03-02T07:59", "03-02T08:00"),
        # days are those that it begins on: 1 March 2026 is a Sunday
        (window("22:00", "06:00", days=["Sunday"]), "03-02T05:00", "03-02T06:00"),
        (window("22:00", "06:00", days=["Sunday"]), "03-02T23:00", None),
        (window("22:00", "06:00", days=["Monday"]), "03-02T05:00", None),
        # another time zone, and the night in which its clocks go forward: 02:30 is 03:30 there, and no time at all
        (window("09:00", "17:00", timeZone="Europe/Berlin"), "03-02T08:00", "03-02T16:00"),
        (window("09:00", "17:00", timeZone="Europe/Berlin"), "07-02T07:00", "07-02T15:00"),
        (BERLIN, "03-28T01:45", "03-28T02:30"),
        (BERLIN, "03-29T02:00", None),
        # the night in which its clocks go back: both passes of the hour are in it
        (BERLIN, "10-25T00:30", "10-25T02:30"),
    ],
)
def test_a_window_is_open_from_its_start_until_its_end(opened: QuietWindow, now: str, until: str | None) -> None:
    assert quiet_until([opened], utc(now)) == (utc(until) if until is not None else None)


def test_of_several_the_last_end_counts() -> None:
    several = [window("09:00", "12:00"), window("10:00", "13:00"), window("20:00", "21:00")]
    assert quiet_until(several, utc("03-02T10:30")) == utc("03-02T13:00")
    assert quiet_until([], utc("03-02T10:30")) is None


def test_a_zone_that_nobody_knows_is_named_and_not_asked() -> None:
    nowhere = window("00:00", "00:00", timeZone="Mars/Olympus")
    assert unknown_zones([nowhere, NIGHT, nowhere]) == ["Mars/Olympus"]
    assert quiet_until([nowhere], utc("03-02T18:00")) is None
    assert next_change([nowhere], utc("03-02T18:00")) is None


@pytest.mark.parametrize(
    ("opened", "now", "at"),
    [
        (NIGHT, "03-02T12:00", "03-02T22:00"),
        (NIGHT, "03-02T22:00", "03-03T06:00"),
        (window("22:00", "06:00", days=["Sunday"]), "03-02T06:00", "03-08T22:00"),
        (window("09:00", "17:00", timeZone="Europe/Berlin"), "03-02T12:00", "03-02T16:00"),
    ],
)
def test_it_is_known_when_a_window_opens_or_closes_next(opened: QuietWindow, now: str, at: str) -> None:
    assert next_change([opened], utc(now)) == utc(at)
