"""How fast work may go: its own limit, and how busy the origin is.

Steps of a tenth, so that the rate does not follow every small move of the load. It falls at once, and rises only when
it would stay so at a load that is a little higher: a load that wavers about a step does not make the rate waver.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.cache_tier import Origin
from sophia_operator.core.cache.views import Load

STEPS: Final = 10
#: What the load must be below a step by, in percent, before the rate rises.
MARGIN_PERCENT: Final = 3.0
#: A load that was found out before that is not known any more.
LOAD_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Entries in a second; 0: none for now. The message says why it is not the limit."""

    rate: int
    message: str = ""


def pace(limit: int, origin: Origin | None, load: Load | None, before: int | None, now: datetime) -> Pace:
    """The rate from now on. `before` is the one until now, None at the beginning."""
    if origin is None:
        return Pace(limit)
    percent = known(load, now)
    if percent is None:
        said = f": {load.message}" if load is not None and load.message else ""
        return Pace(_of(limit, 1), f"held to a tenth: it is not known how busy the origin is{said}"[:1024])
    rate = _of(limit, _step(origin, percent))
    if before is not None and rate > before:
        # Not above what holds at a load that is a little higher, unless that is above what it was.
        rate = max(before, _of(limit, _step(origin, percent + MARGIN_PERCENT)))
    if rate == 0:
        return Pace(0, f"paused: the origin is busy, and its load was above {origin.pause_above_percent} %")
    if rate < limit:
        return Pace(rate, f"slowed down: the origin's load was above {origin.slow_above_percent} %")
    return Pace(rate)


def known(load: Load | None, now: datetime) -> float | None:
    """The load, in percent; None when nobody knows it now."""
    if load is None or now - load.at > timedelta(seconds=LOAD_SECONDS):
        return None
    return load.percent


def shared(rate: int, among: int) -> int:
    """What each gets of a node's time when several work at once: each goes at its share of its own rate, so that all
    together are no heavier than the heaviest would be alone."""
    return max(1, rate // max(1, among))


def retry_seconds(failures: int) -> float:
    """How long to wait after so many failures, one after the other."""
    return min(60.0, 5.0 * float(1 << min(max(0, failures - 1), 6)))


def _step(origin: Origin, percent: float) -> int:
    """Tenths of the limit: all of them below the first threshold, falling to one until the second, and none above."""
    if percent > origin.pause_above_percent:
        return 0
    if percent <= origin.slow_above_percent:
        return STEPS
    way = (percent - origin.slow_above_percent) / (origin.pause_above_percent - origin.slow_above_percent)
    return max(1, int(STEPS - (STEPS - 1) * way))


def _of(limit: int, step: int) -> int:
    return max(1, limit * step // STEPS) if step else 0
