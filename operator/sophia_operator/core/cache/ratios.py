"""Hit ratios, in whole percent.

Of few reads, a ratio is another one at each look though nothing changed. What is known stays until the newest reads
say something else than chance does, and until they say so clearly where the target lies between the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from sophia_operator.api.cache_tier import CacheLevel
from sophia_operator.api.cache_tier_status import CacheTierStatus, NamespaceStatus
from sophia_operator.core.cache.views import HitRatio, TierObserved, TierView

#: Fewer reads say nothing about a ratio.
LEAST_READS: Final = 20
#: So many looks without any read mean that nobody reads.
_QUIET_LOOKS: Final = 5
_STEP: Final = 2.0
#: More than chance explains: so many standard deviations.
_DEVIATIONS: Final = 3.0
#: Nobody says of how many reads a query's answer is.
_OF_A_QUERY: Final = 4.0


def namespaces(found: Sequence[NamespaceStatus], tier: TierView, observed: TierObserved) -> list[NamespaceStatus]:
    """With the hit ratios that others measure, by name."""
    target, measured = tier.spec.hit_ratio_target_percent, observed.kept.hit_ratios
    return [_with_ratio(n, measured.get(n.name), target) for n in sorted(found, key=lambda n: n.name)]


def _with_ratio(namespace: NamespaceStatus, measured: HitRatio | None, target: int) -> NamespaceStatus:
    if measured is None:
        return namespace
    new: int | None = None
    if measured.ratio is not None:
        percent = max(0.0, min(100.0, 100 * measured.ratio))
        new = _steady(namespace.hit_ratio_percent, percent, target, _OF_A_QUERY)
    return namespace.model_copy(update={"hit_ratio_percent": new})


def hit_ratio(tier: TierView, observed: TierObserved, status: CacheTierStatus) -> int | None:
    """Over the checks that are remembered; of levels that do not count reads, that of their namespaces on average."""
    before = tier.status.hit_ratio_percent
    if tier.spec.level is not CacheLevel.REDIS:
        known = [n.hit_ratio_percent for n in status.namespaces if n.hit_ratio_percent is not None]
        return round(sum(known) / len(known)) if known else None
    totals = observed.kept.totals
    if len(totals) < 2:
        return before
    (_, hits_then, misses_then), (_, hits_now, misses_now) = totals[0], totals[-1]
    # Each check reads its own key once.
    hits = max(0, hits_now - hits_then - (len(totals) - 1))
    reads = hits + max(0, misses_now - misses_then)
    if reads < LEAST_READS:
        return None if reads == 0 and len(totals) >= _QUIET_LOOKS else before
    return _steady(before, 100 * hits / reads, tier.spec.hit_ratio_target_percent, _chance(before, hits, reads))


def _chance(before: int | None, hits: int, reads: int) -> float:
    """How far the ratio of so many reads is off by chance, in percent."""
    spread = max(share * (1 - share) for share in (hits / reads, (before or 0) / 100))
    return 100 * _DEVIATIONS * math.sqrt(spread / reads)


def _steady(before: int | None, new: float, target: int, chance: float) -> int:
    """The new figure, or the old one when that says the same. One at the target passes it only clearly."""
    whole = round(new)
    # What is written down is off by half a percent itself.
    if before is None or abs(new - before) >= max(_STEP, chance + 0.5):
        return whole
    crosses = (whole < target) != (before < target)
    return whole if crosses and abs(new - target) >= max(1.0, chance) else before
