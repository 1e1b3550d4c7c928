"""Does the traffic split as the weight in the route says?

Each request is a draw: with the weight that was written, or still with the one before. Wald's sequential probability
ratio test tells the two apart with the fewest requests ("Sequential Tests of Statistical Hypotheses", Ann. Math. Stat.
16, 1945), and may be asked again after every request: under the old weight the ratio ever reaches 20 with a chance of
at most 1/20. Because the truth may be neither, the share must also be compatible with the weight by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

#: The new weight must explain what is seen this many times better than the old one.
LIKELIHOOD_RATIO: Final = 20.0
LEAST_REQUESTS: Final = 20
#: Share of requests that may be at a colour of weight 0 (or miss one of weight 100): one in a thousand, those that were
#: under way when the route changed. So a single one among fewer than a thousand contradicts the weight.
STRAGGLERS: Final = 0.001
#: Widths of the band around a weight between 0 and 100: standard deviations, and what gateways round.
_DEVIATIONS: Final = 3.3
_SLACK: Final = 0.02

MOST_PROBES: Final = 100
_LIKELY: Final = 0.9


class AgreementKind(StrEnum):
    """What the requests say of the weight."""

    AGREES = "Agrees"
    DISAGREES = "Disagrees"
    UNDECIDED = "Undecided"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the requests say of the weight, and why."""

    kind: AgreementKind
    message: str


def agrees(green: int, total: int, wanted_percent: int, previous_percent: int) -> Agreement:
    """Judge `green` of `total` requests against the weight wanted and the weight before, both in percent.

    `Disagrees` says that the requests seen so far tell of another weight; later ones may still agree.
    """
    if total < LEAST_REQUESTS:
        return Agreement(AgreementKind.UNDECIDED, f"{total} requests are too few to tell, {LEAST_REQUESTS} needed")
    share = green / total
    seen = f"{100 * share:.1f} %"
    if not _compatible(green, total, wanted_percent):
        return Agreement(AgreementKind.DISAGREES, f"{seen} does not agree with {wanted_percent} %")
    if wanted_percent == previous_percent:
        return Agreement(AgreementKind.AGREES, f"{seen} agrees with {wanted_percent} %")
    evidence = _log_likelihood_ratio(green, total, wanted_percent, previous_percent)
    decisive = math.log(LIKELIHOOD_RATIO)
    if evidence >= decisive:
        return Agreement(AgreementKind.AGREES, f"{seen} agrees with {wanted_percent} %, not with {previous_percent} %")
    if evidence <= -decisive:
        return Agreement(AgreementKind.DISAGREES, f"{seen} still agrees with {previous_percent} %")
    both = f"{seen} agrees with {wanted_percent} % and with {previous_percent} %: more requests are needed"
    return Agreement(AgreementKind.UNDECIDED, both)


@lru_cache(maxsize=1024)
def probes_needed(wanted_percent: int, previous_percent: int) -> int:
    """How many marked requests show the wanted weight, if it is there, with a chance of 9 in 10; at most 100."""
    for count in range(LEAST_REQUESTS, MOST_PROBES):
        if _chance_to_agree(count, wanted_percent, previous_percent) >= _LIKELY:
            return count
    return MOST_PROBES


def _chance(percent: int) -> float:
    return min(max(percent / 100, STRAGGLERS), 1 - STRAGGLERS)


def _log_likelihood_ratio(green: int, total: int, wanted_percent: int, previous_percent: int) -> float:
    new, old = _chance(wanted_percent), _chance(previous_percent)
    return green * math.log(new / old) + (total - green) * math.log((1 - new) / (1 - old))


def _compatible(green: int, total: int, percent: int) -> bool:
    if percent in (0, 100):
        strays = green if percent == 0 else total - green
        return strays <= STRAGGLERS * total
    weight = percent / 100
    band = _DEVIATIONS * math.sqrt(weight * (1 - weight) / total) + _SLACK
    return abs(green / total - weight) <= band


def _chance_to_agree(count: int, wanted_percent: int, previous_percent: int) -> float:
    chance = wanted_percent / 100
    return math.fsum(
        math.comb(count, green) * chance**green * (1 - chance) ** (count - green)
        for green in range(count + 1)
        if agrees(green, count, wanted_percent, previous_percent).kind is AgreementKind.AGREES
    )
