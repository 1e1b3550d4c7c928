"""What is to be evicted of a namespace that is above its quota: those of its entries that were not used for longest."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from sophia_operator.core.cache.findings import NamespaceCount
from sophia_operator.core.cache.work.counts import used_bytes

#: An eviction leaves so much of the quota in use: the next one is not due at the next write.
GOAL: Final = 0.9
NO_IDLE_TIMES: Final = (
    "Redis does not tell for how long entries were idle, since its eviction policy is an LFU one; "
    "quotas need one of LRU, TTL, Random or NoEviction"
)
#: A share of few keys comes to a little more or less. As its bytes are counted as well, a little more does no harm.
_MORE: Final = 1.25


@dataclass(frozen=True, slots=True)
class Eviction:
    """Evict entries that were idle for so long: all of those that were for twice as long, or a second, and a share of
    the others. No more bytes than that go, all in all and of that share."""

    idle_seconds: int
    share: float
    most_bytes: int
    share_bytes: int


def eviction(count: NamespaceCount, quota: int | None) -> Eviction | str | None:
    """For the next scan, by what the last one counted. None: it is within its quota; a text: why nothing can go.

    Idle times are known to a power of two. Those above the threshold do not come to the excess, and a share of those at
    it does: so what is younger stays, and where all are equally young, some of them go.
    """
    used = used_bytes(count)
    if quota is None or used is None or used <= quota:
        return None
    if not count.idle:
        return NO_IDLE_TIMES
    excess = used - GOAL * quota
    left, times = excess, sorted(count.idle, reverse=True)
    for seconds in times:
        found = count.idle[seconds] * count.keys / count.sampled
        if found >= left:
            return Eviction(seconds, min(1.0, _MORE * left / found), ceil(excess), ceil(left))
        left -= found
    # Idle times are missing of some that were sampled: they went meanwhile.
    return Eviction(times[-1], 1.0, ceil(excess), ceil(excess))


def percent(used: int | None, quota: int | None) -> int | None:
    """Share of the quota in use; above 100 as soon as the quota is passed at all."""
    return None if used is None or quota is None else ceil(100 * used / quota)
