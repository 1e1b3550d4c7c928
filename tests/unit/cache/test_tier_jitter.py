"""Figures that waver about the same value cause no writes, and no Events."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionType, find
from sophia_operator.core.cache.findings import ReplicaLink
from sophia_operator.core.cache.views import HitRatio, TierObserved, TierView
from tests.support.cache_scene import (
    MANAGED,
    MEBIBYTE,
    MEMORY,
    NOW,
    PRIMARY,
    REPLICA,
    answers,
    decide,
    node,
    observed,
    settled,
    view,
)

Seen = Iterator[TierObserved]
MINUTES = 10


def _writes(of: TierView, looks: Seen) -> tuple[int, int]:
    """Writes of the status, and Events, with a check in each second, once the first figures are there."""
    writes = told = 0
    for second, seen in zip(range(60 * (MINUTES + 2)), looks, strict=False):
        decision = decide(of, seen, NOW + timedelta(seconds=second))
        if second >= 120:
            writes, told = writes + (decision.status != of.status), told + len(decision.notices)
        of = replace(of, status=decision.status)
    return writes, told


def _reads(of: TierView, each_second: int, hit: float) -> Seen:
    chance, hits, misses = random.Random(1), 0, 0
    totals: tuple[tuple[datetime, int, int], ...] = ()
    for second in range(60 * (MINUTES + 2)):
        at = NOW + timedelta(seconds=second)
        found = sum(chance.random() < hit for _ in range(each_second))
        hits, misses = hits + found + 1, misses + each_second - found
        totals = (*totals, (at, hits, misses))[-32:]
        yield observed(of, at, totals=totals)


@pytest.mark.parametrize(("each_second", "hit"), [(1, 0.86), (2, 0.84), (50, 0.855), (300, 0.85)])
def test_a_hit_ratio_about_the_target(each_second: int, hit: float) -> None:
    of = settled(MANAGED, healthCheck={"intervalSeconds": 1})
    writes, told = _writes(of, _reads(of, each_second, hit))
    assert (writes <= 4, told <= 4) == (True, True), (writes, told)


def test_a_hit_ratio_that_falls_is_told_all_the_same() -> None:
    of = settled(MANAGED, healthCheck={"intervalSeconds": 1})
    for seen in _reads(of, 20, 0.95):
        of = replace(of, status=decide(of, seen).status)
    assert (of.status.hit_ratio_percent or 0) > 90
    for seen in _reads(of, 20, 0.7):
        of = replace(of, status=decide(of, seen).status)
    low = find(of.status.conditions, ConditionType.HIT_RATIO_ON_TARGET)
    assert low is not None
    assert low.reason == "HitRatioLow"
    assert abs((of.status.hit_ratio_percent or 0) - 70) < 8


def _busy(of: TierView, change: Callable[[random.Random], dict[str, Any]]) -> Seen:
    """Ten MiB are written in each second; the primary hears of it from its replica once in a second."""
    chance = random.Random(1)
    for second in range(60 * (MINUTES + 2)):
        head = 10 * MEBIBYTE * second
        link = ReplicaLink(
            view(1).address or "", 6379, online=True, offset=head - chance.randrange(10 * MEBIBYTE), lag_seconds=0
        )
        seen = observed(of, NOW + timedelta(seconds=second))
        seen = answers(seen, PRIMARY, node(of, offset=head, replicas=(link,), **change(chance)))
        yield answers(seen, REPLICA, node(of, 1, offset=head - chance.randrange(MEBIBYTE // 4), **change(chance)))


def test_a_replica_that_keeps_up_does_not_seem_to_trail_behind() -> None:
    of = settled(MANAGED, healthCheck={"intervalSeconds": 1})
    assert _writes(of, _busy(of, lambda _: {})) == (0, 0)


def test_memory_that_wavers() -> None:
    of = settled(MANAGED, healthCheck={"intervalSeconds": 1})
    used = _busy(of, lambda chance: {"used_memory": int(chance.gauss(100, 3) * MEBIBYTE)})
    assert _writes(of, used) == (0, 0)


def test_a_replica_that_trails_behind_is_told() -> None:
    of = settled(MANAGED)
    link = ReplicaLink(view(1).address or "", 6379, online=True, offset=10 * MEBIBYTE, lag_seconds=0)
    seen = answers(observed(of), PRIMARY, node(of, offset=40 * MEBIBYTE, replicas=(link,)))
    behind = answers(seen, REPLICA, node(of, 1, offset=12 * MEBIBYTE))
    assert decide(of, behind).status.nodes[1].lag_bytes == 28 * MEBIBYTE
    # What counts another history says nothing, nor does a look of another time.
    other = answers(seen, REPLICA, node(of, 1, offset=39 * MEBIBYTE, replication_id="another"))
    assert decide(of, other).status.nodes[1].lag_bytes == 30 * MEBIBYTE


def test_a_ratio_of_a_query_about_the_target() -> None:
    of = settled(MEMORY, namespaces=[{"name": "a", "prefix": "a", "hitRatioQuery": "ratio"}])
    chance = random.Random(1)

    def looks() -> Seen:
        for second in range(60 * (MINUTES + 2)):
            # It is asked twice in a minute.
            if second % 30 == 0:
                value = chance.gauss(0.85, 0.01)
            yield observed(of, NOW, hit_ratios={"a": HitRatio(NOW, value)})

    writes, told = _writes(of, looks())
    assert (writes <= 2, told <= 2) == (True, True), (writes, told)
