"""What is evicted of a namespace above its quota."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_operator.core.cache.findings import NamespaceCount
from sophia_operator.core.cache.work.eviction import NO_IDLE_TIMES, Eviction, eviction, percent


def count(keys: int = 100, sampled: int = 50, **idle: int) -> NamespaceCount:
    """Idle seconds are named as in `i8`."""
    times = {int(name[1:]): size for name, size in idle.items()}
    return NamespaceCount(keys=keys, sampled=sampled, sampled_bytes=sum(times.values()), idle=times)


def share_of(seconds: int, share: float, most: int, of_share: int) -> Eviction:
    """A little more of them than the share: their bytes are counted as well."""
    wanted: Any = pytest.approx(1.25 * share)
    return Eviction(seconds, wanted, most, of_share)


def test_within_its_quota_nothing_is() -> None:
    assert eviction(count(i64=5000), 10_000) is None
    assert eviction(count(i64=5000), None) is None
    assert eviction(NamespaceCount(keys=9), 1) is None


def test_the_threshold_takes_the_oldest_and_covers_the_excess() -> None:
    # 10,000 bytes; to be 7,200: 2,800 must go.
    found = eviction(count(i1024=1500, i64=1500, i0=2000), 8000)
    assert found == Eviction(1024, 1.0, 2800, 2800), "nearly all of those at the threshold"
    # 2,000 of the oldest go, and of the 3,000 of the next a little more than is left.
    found = eviction(count(i1024=1000, i64=1500, i0=2500), 8000)
    assert found == share_of(64, 800 / 3000, 2800, 800)


def test_where_most_is_young_what_is_old_goes_and_some_of_the_young() -> None:
    # 200 bytes are old, and 5,500 must go of 10,000.
    assert eviction(count(i2=100, i0=4900), 5000) == share_of(0, 5300 / 9800, 5500, 5300)


def test_where_all_are_young_some_go() -> None:
    assert eviction(count(i0=5000), 5000) == share_of(0, 0.55, 5500, 5500)


def test_it_says_why_nothing_can_go() -> None:
    lfu = NamespaceCount(keys=100, sampled=50, sampled_bytes=5000)
    assert eviction(lfu, 5000) == NO_IDLE_TIMES


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from([0, 1, 2, 4, 64, 1024]), st.integers(1, 10_000), min_size=1),
    st.integers(1, 60_000),
    st.integers(1, 50),
)
def test_enough_goes_and_not_more(idle: dict[int, int], quota: int, sampled: int) -> None:
    counted = NamespaceCount(keys=100, sampled=sampled, sampled_bytes=sum(idle.values()), idle=idle)
    found = eviction(counted, quota)
    used = round(counted.sampled_bytes / sampled * 100)
    assert isinstance(found, Eviction) is (used > quota)
    if isinstance(found, Eviction):
        excess = used - 0.9 * quota
        assert excess <= found.most_bytes < excess + 1
        assert found.share_bytes <= found.most_bytes
        older = sum(size for seconds, size in idle.items() if seconds > found.idle_seconds) * 100 / sampled
        some = idle[found.idle_seconds] * found.share * 100 / sampled
        assert older <= excess, "older ones alone are not enough"
        assert abs(older + found.share_bytes - excess) <= 1, "and of the others that goes which is missing"
        assert older + some >= excess - 1, "but with that share they are"


@pytest.mark.parametrize(("used", "expected"), [(0, 0), (999, 100), (1000, 100), (1001, 101), (None, None)])
def test_a_quota_that_is_passed_at_all_is_above_100_percent(used: int | None, expected: int | None) -> None:
    assert percent(used, 1000) == expected
    assert percent(used, None) is None
