"""How fast work may go."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_operator.api.cache_tier import Origin
from sophia_operator.core.cache.views import Load
from sophia_operator.core.cache.work.pace import pace, retry_seconds, shared
from tests.support.cache_work_scene import at

ORIGIN = Origin(query="load", slow_above_percent=60, pause_above_percent=85)


def rate(percent: float | None, before: int | None = None, limit: int = 1000) -> int:
    return pace(limit, ORIGIN, Load(at(0), percent), before, at(1)).rate


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, 1000), (60, 1000), (60.1, 900), (72.5, 500), (84.9, 100), (85, 100), (85.1, 0), (100, 0)],
)
def test_it_falls_to_a_tenth_and_then_to_none(percent: float, expected: int) -> None:
    assert rate(percent) == expected


def test_without_an_origin_it_is_the_limit() -> None:
    assert pace(7, None, None, None, at(0)).rate == 7


@pytest.mark.parametrize("load", [None, Load(at(0), None, "no such pool"), Load(at(-100), 10.0)])
def test_a_load_that_is_not_known_means_a_tenth_and_is_said(load: Load | None) -> None:
    found = pace(1000, ORIGIN, load, None, at(0))
    assert found.rate == 100
    assert "not known" in found.message
    assert load is None or load.message in found.message


def test_it_says_why_it_is_slower() -> None:
    assert "85 %" in pace(1000, ORIGIN, Load(at(0), 90.0), None, at(0)).message
    assert "60 %" in pace(1000, ORIGIN, Load(at(0), 70.0), None, at(0)).message
    assert pace(1000, ORIGIN, Load(at(0), 10.0), None, at(0)).message == ""


@settings(deadline=None)
@given(st.floats(0, 100), st.integers(1, 5000), st.none() | st.integers(0, 5000))
def test_it_is_never_above_what_the_load_allows(percent: float, limit: int, before: int | None) -> None:
    assert 0 <= rate(percent, before, limit) <= rate(percent, None, limit) <= limit


@settings(deadline=None)
@given(st.floats(0, 98), st.integers(1, 5000))
def test_a_load_that_wavers_does_not_make_it_waver(percent: float, limit: int) -> None:
    low = rate(percent + 2, None, limit)
    for wavering in (percent, percent + 2, percent + 1, percent + 2):
        assert rate(wavering, low, limit) == low or rate(wavering + 3, None, limit) > low


def test_it_rises_once_the_load_is_clearly_lower() -> None:
    assert rate(83, 0) == 0
    assert rate(80, 0) > 0
    assert rate(50, 100) == 1000


def test_several_share() -> None:
    assert [shared(100, among) for among in (1, 2, 3)] == [100, 50, 33]
    assert shared(1, 5) == 1


def test_the_more_parts_failed_the_longer_it_waits() -> None:
    assert [retry_seconds(n) for n in (1, 2, 3, 4, 5, 50)] == [5, 10, 20, 40, 60, 60]
