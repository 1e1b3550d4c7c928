"""Is the new release worse than the stable one? A one-sided conditional test of two error rates.

Given all errors of both releases, and that the new one's error rate is `ratio` times the stable one's, each error is
the new release's with a probability that only the numbers of requests decide, so its part is binomial (Przyborowski
and Wilenski, "Homogeneity of results in testing samples from Poisson series", Biometrika 31, 1940). No variance is
estimated, so it holds for a handful of errors too; where errors are frequent it is on the careful side. It takes errors
for independent of each other: counts of errors that come in bursts are to be divided by their dispersion before.
"""

from __future__ import annotations

import math
from typing import Final

#: Chance of calling a release worse than `ratio` times the stable one at one look when it is exactly that.
ALPHA: Final = 0.01

#: Further terms of the sum change nothing.
_NEGLIGIBLE: Final = 1e-17


def p_value(errors: int, requests: int, baseline_errors: int, baseline_requests: int, ratio: float) -> float:
    """Probability of so many errors or more when the error rate is `ratio` times the baseline's. Counts are >= 0."""
    expected, compared = ratio * requests, float(baseline_requests)
    if expected + compared <= 0:
        return 1.0
    return binomial_tail(errors, errors + baseline_errors, expected / (expected + compared))


def binomial_tail(least: int, trials: int, probability: float) -> float:
    """Probability of `least` or more successes."""
    if least <= 0:
        return 1.0
    if least > trials or probability <= 0:
        return 0.0
    if probability >= 1:
        return 1.0
    if least > trials * probability:
        return _sum_away(least, trials, probability)
    # Below the mean the other tail is the short one.
    return 1.0 - _sum_away(trials - least + 1, trials, 1.0 - probability)


def _sum_away(first: int, trials: int, probability: float) -> float:
    """Sum of the terms from `first`, which lies above the mean, so that they fall and the sum can stop early."""
    log_term = (
        math.lgamma(trials + 1)
        - math.lgamma(first + 1)
        - math.lgamma(trials - first + 1)
        + first * math.log(probability)
        + (trials - first) * math.log1p(-probability)
    )
    term = math.exp(log_term)
    odds = probability / (1.0 - probability)
    terms = [term]
    for successes in range(first, trials):
        term *= (trials - successes) / (successes + 1) * odds
        if term <= _NEGLIGIBLE * terms[0]:
            break
        terms.append(term)
    return min(1.0, math.fsum(terms))
