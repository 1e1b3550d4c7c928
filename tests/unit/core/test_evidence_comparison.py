from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_operator.core.evidence.comparison import ALPHA, binomial_tail, p_value


def exact_tail(least: int, trials: int, probability: Fraction) -> Fraction:
    return sum(
        (math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k) for k in range(least, trials + 1)),
        Fraction(0),
    )


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 99))
def test_the_tail_is_that_of_exact_arithmetic(least: int, trials: int, percent: int) -> None:
    least = min(least, trials)
    exact = float(exact_tail(least, trials, Fraction(percent, 100)))
    assert binomial_tail(least, trials, percent / 100) == pytest.approx(exact, rel=1e-9, abs=1e-12)


def test_the_tail_of_millions_is_stable_and_cheap() -> None:
    # Four standard deviations out, where the normal approximation is 3.17e-5.
    assert binomial_tail(502_000, 1_000_000, 0.5) == pytest.approx(3.2e-5, rel=0.02)
    assert binomial_tail(500_000, 1_000_000, 0.5) == pytest.approx(0.5004, abs=1e-4)
    assert binomial_tail(999_999, 1_000_000, 0.1) == 0


@pytest.mark.parametrize(
    ("least", "trials", "probability", "tail"), [(0, 5, 0.0, 1), (1, 5, 0.0, 0), (5, 5, 1.0, 1), (6, 5, 0.5, 0)]
)
def test_the_edges_are_exact(least: int, trials: int, probability: float, tail: float) -> None:
    assert binomial_tail(least, trials, probability) == tail


def test_without_requests_nothing_is_surprising() -> None:
    assert p_value(0, 0, 0, 0, 1.5) == 1
    assert p_value(0, 100, 0, 100, 1.5) == 1


def test_ratio_zero_tolerates_no_error() -> None:
    assert p_value(1, 100, 5, 100, 0.0) == 0
    assert p_value(0, 100, 5, 100, 0.0) == 1


def test_a_release_at_the_margin_is_called_worse_no_more_often_than_alpha() -> None:
    """Green's error rate is exactly `ratio` times blue's; 2,000 looks that are independent of each other."""
    rng = random.Random(20250101)
    wrong = 0
    for _ in range(2000):
        green = _binomial(rng, 600, 0.015)
        blue = _binomial(rng, 5400, 0.01)
        wrong += p_value(green, 600, blue, 5400, 1.5) < ALPHA
    assert wrong <= 2000 * ALPHA * 1.5


def _binomial(rng: random.Random, trials: int, probability: float) -> int:
    """By the gaps between successes."""
    count, position = 0, 0
    while True:
        position += math.floor(math.log(1 - rng.random()) / math.log1p(-probability)) + 1
        if position > trials:
            return count
        count += 1
