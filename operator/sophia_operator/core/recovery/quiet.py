"""Quiet windows: times of day in which nothing is done."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sophia_operator.api.recovery_policy import Day, QuietWindow

_DAYS = tuple(Day)


def unknown_zones(windows: Iterable[QuietWindow]) -> list[str]:
    """Time zones that nobody knows."""
    return sorted({w.time_zone for w in windows if _zone(w.time_zone) is None})


def quiet_until(windows: Iterable[QuietWindow], now: datetime) -> datetime | None:
    """When the window that is open now ends, the last of several; None while none is. A window in a time zone that is
    not known is always open, for nobody knows when it is not: it ends a day from now, and is looked at again then."""
    ends = [end for window in windows if (end := _open_until(window, now)) is not None]
    return max(ends, default=None)


def _open_until(window: QuietWindow, now: datetime) -> datetime | None:
    zone = _zone(window.time_zone)
    if zone is None:
        return now + timedelta(days=1)
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if window.days and _DAYS[day.weekday()] not in window.days:
            continue
        start, end = _at(day, window.start, zone), _at(day, window.end, zone)
        if time.fromisoformat(window.end) <= time.fromisoformat(window.start):
            end = _at(day + timedelta(days=1), window.end, zone)
        if start <= now < end:
            return end.astimezone(now.tzinfo)
    return None


def _at(day: date, of_day: str, zone: ZoneInfo) -> datetime:
    """That time on that day, as clocks there show it."""
    return datetime.combine(day, time.fromisoformat(of_day), zone)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
