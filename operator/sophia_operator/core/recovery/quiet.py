"""Quiet windows: times of day in which nothing is done, as clocks of their time zone show it.

Where clocks are put back, both passes of an hour belong to a window; where they are put forward, none does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sophia_operator.api.recovery_policy import Day, QuietWindow

_DAYS: Final = tuple(Day)
#: Every window with days begins again within a week.
_AHEAD: Final = 8


def unknown_zones(windows: Iterable[QuietWindow]) -> list[str]:
    """Time zones that nobody knows."""
    return sorted({w.time_zone for w in windows if _zone(w.time_zone) is None})


def quiet_until(windows: Iterable[QuietWindow], now: datetime) -> datetime | None:
    """When the window that is open now ends, the last of several; None while none is. Those in unknown time zones are
    not asked."""
    ends = [end for window in windows if (end := _open_until(window, now)) is not None]
    return max(ends, default=None)


def next_change(windows: Iterable[QuietWindow], now: datetime) -> datetime | None:
    """When a window opens or closes next, or may; None without windows."""
    ahead = [m for w in windows for m in _edges(w, now) if m > now]
    return min(ahead, default=None)


def _open_until(window: QuietWindow, now: datetime) -> datetime | None:
    zone = _zone(window.time_zone)
    if zone is None:
        return None
    shown = now.astimezone(zone).replace(tzinfo=None)
    for day in (shown.date() - timedelta(days=1), shown.date()):
        start, end = _shown(window, day)
        if _begins_on(window, day) and start <= shown < end:
            return min((m for m in _moments(end, zone) if m > now), default=now)
    return None


def _edges(window: QuietWindow, now: datetime) -> Iterator[datetime]:
    """Of the first day that has one ahead, and of the one after: a window may reach into that."""
    zone = _zone(window.time_zone)
    if zone is None:
        return
    today, days = now.astimezone(zone).date(), 0
    for ahead in range(-1, _AHEAD):
        day = today + timedelta(days=ahead)
        if _begins_on(window, day):
            moments = [m for shown in _shown(window, day) for m in _moments(shown, zone)]
            yield from moments
            days += 1 if days or max(moments) > now else 0
            if days > 1:
                return


def _begins_on(window: QuietWindow, day: date) -> bool:
    return not window.days or _DAYS[day.weekday()] in window.days


def _shown(window: QuietWindow, day: date) -> tuple[datetime, datetime]:
    """Beginning and end of the window that begins on that day, as clocks show them."""
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    last = day if end > start else day + timedelta(days=1)
    return datetime.combine(day, start), datetime.combine(last, end)


def _moments(shown: datetime, zone: ZoneInfo) -> list[datetime]:
    """When clocks show that: twice where they are put back; around the gap where they are put forward."""
    return [shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
