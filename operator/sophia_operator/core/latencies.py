"""How long the operator's checks take, in the figures that a status shows.

Percentiles of few checks jump: the second slowest of twenty is another one at each look. A figure is kept as long as
the newest checks may well be of the kind that it speaks of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from sophia_operator.api.connection_pool_status import Percentiles
from sophia_operator.core.steady import differs, ms_text

#: What is slow is so until its figure is below so much of the threshold, so that it does not flap.
SLOW_IS_OVER: Final = 0.8
#: So many checks make a first figure, and so many are enough to judge one that is known.
_FIRST, _ENOUGH = 5, 10
#: Figures speak of the last ten looks, but of so many checks at least, when there are so many.
_LOOKS, _LEAST = 10, 20
#: More than chance explains: so many standard deviations from what is expected.
_DEVIATIONS: Final = 3.0
#: That none is above a figure means something only where so many are expected to be.
_MISSED: Final = 3.0


def percentiles(
    before: Percentiles | None, values: Sequence[float], fresh: bool, limit: float, checks: int = 1
) -> Percentiles | None:
    """Of the checks that are remembered, the newest last; what was known before unless there was a full look. What
    takes longer than `limit` is slow; each look makes so many checks."""
    if before is None:
        return _first(values, limit)
    if not fresh or len(values) < _ENOUGH:
        return before
    newest = values[-max(_LEAST, _LOOKS * checks) :]
    if float(before.p95) > limit and max(newest) < SLOW_IS_OVER * limit:
        return _of(newest)  # slowness that is over must not be told for an hour
    for old, share in ((float(before.p50), 0.5), (float(before.p95), 0.95)):
        # What is rare shows only among many checks, and what is over shows among the newest.
        known = _is_wrong(old, share, values, limit) and _says_else(old, rank(newest, 100 * share), limit)
        if known or _is_wrong(old, share, newest, limit):
            return _of(newest)
    return before


def _first(values: Sequence[float], limit: float) -> Percentiles | None:
    if len(values) < _FIRST:
        return None
    found = _of(values)
    one_of_few = len(values) < _LEAST and rank(values, 50) <= limit < rank(values, 95)
    return None if one_of_few else found  # one slow check, as the first one often is, is no slow server


def _is_wrong(old: float, share: float, values: Sequence[float], limit: float) -> bool:
    """Whether far more values are above the figure, or below it, than there should be, and not just by a little."""
    total = len(values)
    others = [v for v in values if _says_else(old, v, limit)]
    above = sum(v > old for v in others)
    below = len(others) - above
    expected, chance = (1 - share) * total, _DEVIATIONS * math.sqrt(total * share * (1 - share))
    if above > expected + chance:
        return True
    return expected >= _MISSED and below > min(total - 1, total - expected + chance)


def _says_else(old: float, new: float, limit: float) -> bool:
    """Whether a value is not just a little off the figure; what passes the threshold says that the pool is slow."""
    return differs(old, new) or old <= limit < new


def _of(values: Sequence[float]) -> Percentiles:
    return Percentiles(p50=ms_text(rank(values, 50)), p95=ms_text(rank(values, 95)))


def rank(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of all values are at most."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
