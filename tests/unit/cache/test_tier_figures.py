"""What a status says in numbers, and the score that rests on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sophia_operator.api.cache_tier_status import CacheTierStatus, NodeRole
from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import ReplicaLink
from sophia_operator.core.cache.views import HitRatio
from tests.support.cache_scene import (
    MANAGED,
    MEBIBYTE,
    MEMORY,
    NOW,
    PRIMARY,
    REPLICA,
    TABLE,
    answers,
    condition,
    decide,
    failing,
    node,
    observed,
    settled,
    tier,
    view,
)

Totals = tuple[tuple[datetime, int, int], ...]


def _totals(*counts: tuple[int, int]) -> Totals:
    return tuple((NOW + timedelta(seconds=30 * i), hits, misses) for i, (hits, misses) in enumerate(counts))


@pytest.mark.parametrize(
    ("totals", "ratio"),
    [
        pytest.param((), None, id="nothing known"),
        pytest.param(((0, 0),), None, id="one look"),
        pytest.param(((100, 50), (191, 60)), 90, id="between two looks, without the check's own read"),
        pytest.param(((0, 1000), (50, 1000), (92, 1010)), 90, id="over all of them"),
        pytest.param(((0, 0), (15, 4)), None, id="too few reads"),
        pytest.param(((0, 0), (1, 20)), 0, id="only misses"),
    ],
)
def test_the_hit_ratio_is_that_of_clients(totals: tuple[tuple[int, int], ...], ratio: int | None) -> None:
    of = tier()
    assert decide(of, observed(of, totals=_totals(*totals))).status.hit_ratio_percent == ratio


def _known(ratio: int) -> CacheTierStatus:
    return settled().status.model_copy(update={"hit_ratio_percent": ratio})


@pytest.mark.parametrize(
    ("before", "hits", "after"),
    # The target is 85: to be above it again takes more than to be at it.
    [(90, 91, 90), (90, 92, 92), (90, 88, 88), (85, 84, 84), (84, 85, 84), (84, 86, 86)],
)
def test_the_hit_ratio_is_written_when_it_says_something_else(before: int, hits: int, after: int) -> None:
    of = tier(status=_known(before))
    seen = observed(of, totals=_totals((0, 0), (10_000 * hits + 1, 10_000 * (100 - hits))))
    assert decide(of, seen).status.hit_ratio_percent == after


def test_the_hit_ratio_goes_when_nobody_reads() -> None:
    of = tier(status=_known(90))
    assert decide(of, observed(of, totals=_totals(*[(i, 0) for i in range(4)]))).status.hit_ratio_percent == 90
    decision = decide(of, observed(of, totals=_totals(*[(i, 0) for i in range(5)])))
    assert decision.status.hit_ratio_percent is None
    told = condition(decision, ConditionType.HIT_RATIO_ON_TARGET)
    assert (told.status, told.reason) == (ConditionStatus.UNKNOWN, Reason.NO_READS)


def test_a_low_hit_ratio_is_told_with_what_raises_it() -> None:
    of = settled()
    decision = decide(of, observed(of, totals=_totals((0, 0), (81, 20))))
    told = condition(decision, ConditionType.HIT_RATIO_ON_TARGET)
    assert (told.status, told.reason) == (ConditionStatus.FALSE, Reason.HIT_RATIO_LOW)
    assert told.message.startswith("80 % of the reads are answered, of 85 %")
    assert "TTLs" in told.message
    assert [n.reason for n in decision.notices] == [Reason.HIT_RATIO_LOW.value]
    (hits,) = (p for p in decision.status.score_parts if p.name == "hits")
    assert (hits.points, hits.of) == (9, 10)
    assert condition(decision, ConditionType.READY).status is ConditionStatus.TRUE
    better = replace(of, status=decision.status)
    reached = decide(better, observed(of, totals=_totals((0, 0), (96, 5))))
    assert [n.reason for n in reached.notices] == [Reason.HIT_RATIO_REACHED.value]


def test_a_namespace_below_the_target_is_named() -> None:
    namespaces = [{"name": n, "prefix": n, "hitRatioQuery": "ratio"} for n in ("a", "b")]
    of = settled(MEMORY, namespaces=namespaces)
    seen = observed(of, hit_ratios={"a": HitRatio(NOW, 0.99), "b": HitRatio(NOW, 0.75)})
    decision = decide(of, seen)
    assert {n.name: n.hit_ratio_percent for n in decision.status.namespaces} == {"a": 99, "b": 75}
    assert decision.status.hit_ratio_percent == 87
    assert "namespace b answers 75 %" in condition(decision, ConditionType.HIT_RATIO_ON_TARGET).message
    seen = observed(of, hit_ratios={"a": HitRatio(NOW, None, "no such series")})
    told = condition(decide(of, seen), ConditionType.HIT_RATIO_ON_TARGET)
    assert "no such series" in told.message
    assert "hitRatioQuery" in told.message


def test_memory_in_use_is_written_when_it_says_something_else() -> None:
    of = settled()
    little = answers(observed(of), PRIMARY, node(of, used_memory=14 * MEBIBYTE))
    assert decide(of, little).status.used == "12Mi/256Mi"
    much = answers(observed(of), PRIMARY, node(of, used_memory=100 * MEBIBYTE))
    assert decide(of, much).status.used == "100Mi/256Mi"
    unbounded = answers(observed(of), PRIMARY, node(of, max_memory=0))
    assert decide(of, unbounded).status.used == "12Mi"
    assert settled(TABLE).status.used == "12Mi"


@pytest.mark.parametrize(("behind", "lag"), [(0, 0), (1000, 0), (3 * MEBIBYTE, 3 * MEBIBYTE)])
def test_the_lag_is_what_the_primary_sees(behind: int, lag: int) -> None:
    of = settled()
    link = ReplicaLink(view(1).address or "", 6379, online=True, offset=10 * MEBIBYTE - behind, lag_seconds=0)
    seen = answers(observed(of), PRIMARY, node(of, offset=10 * MEBIBYTE, replicas=(link,)))
    assert decide(of, seen).status.nodes[1].lag_bytes == lag


def test_a_lag_that_is_much_the_same_is_written_once() -> None:
    of = settled()
    found = []
    for behind in (3 * MEBIBYTE, 3 * MEBIBYTE + MEBIBYTE // 2, 5 * MEBIBYTE):
        link = ReplicaLink(view(1).address or "", 6379, online=True, offset=10 * MEBIBYTE - behind, lag_seconds=0)
        status = decide(of, answers(observed(of), PRIMARY, node(of, offset=10 * MEBIBYTE, replicas=(link,)))).status
        of = replace(of, status=status)
        found.append(status.nodes[1].lag_bytes)
    assert found == [3 * MEBIBYTE, 3 * MEBIBYTE, 5 * MEBIBYTE]


def test_a_node_that_does_not_answer_says_why_and_keeps_what_lasts() -> None:
    of = settled()
    seen = failing(observed(of), REPLICA, CacheFault.TIMEOUT, "timed out")
    status = decide(of, seen).status
    assert status.nodes[1].message is not None
    assert "timed out" in status.nodes[1].message
    assert (status.nodes[1].role, status.nodes[1].synced, status.nodes[1].version) == (None, None, "redis 7.0.15")
    assert status.primary == PRIMARY


def test_a_replica_that_is_not_in_sync_is_told_and_clients_are_served() -> None:
    of = settled()
    decision = decide(of, answers(observed(of), REPLICA, node(of, 1, link_up=False)))
    healthy = condition(decision, ConditionType.HEALTHY)
    assert (healthy.status, healthy.reason) == (ConditionStatus.FALSE, Reason.SYNCING)
    assert condition(decision, ConditionType.RECONCILING).reason == Reason.SYNCING
    assert condition(decision, ConditionType.READY).status is ConditionStatus.TRUE
    assert decision.status.score == 90


@pytest.mark.parametrize(("milliseconds", "slow"), [(4.0, False), (8.0, True)])
def test_slow_checks_are_told(milliseconds: float, slow: bool) -> None:
    of = settled()
    decision = decide(of, observed(of, latencies_ms=(milliseconds,) * 20))
    healthy = condition(decision, ConditionType.HEALTHY)
    assert (healthy.reason == Reason.SLOW) == slow
    (latency,) = (p for p in decision.status.score_parts if p.name == "latency")
    assert latency.points == (7 if slow else 15)
    assert decision.status.latency_ms is not None
    assert condition(decision, ConditionType.READY).status is ConditionStatus.TRUE
    if slow:
        assert "5 ms (healthCheck.maxLatencyMs)" in healthy.message
        again = replace(of, status=decision.status)
        calm = decide(again, observed(of, latencies_ms=(1.0,) * 20))
        assert condition(calm, ConditionType.HEALTHY).status is ConditionStatus.TRUE
        assert [n.reason for n in calm.notices] == [Reason.CHECKS_PASSED.value]


def test_a_full_memory_costs_the_score() -> None:
    of = settled()
    failure = CacheFailure(CacheFault.OUT_OF_MEMORY, "its words")
    status = decide(of, answers(observed(of), PRIMARY, node(of, check_ms=None, check_failure=failure))).status
    points = {p.name: p.points for p in status.score_parts}
    assert points == {"service": 0, "nodes": 10, "latency": 15, "memory": 0, "hits": 10}
    assert status.score == sum(points.values())
    assert all(p.why for p in status.score_parts if p.points < p.of)


def test_nodes_have_the_role_that_they_say() -> None:
    of = settled()
    seen = answers(observed(of), REPLICA, node(of, 1, role=NodeRole.PRIMARY, primary_host=None))
    assert [n.role for n in decide(of, seen).status.nodes] == [NodeRole.PRIMARY, NodeRole.PRIMARY]


def test_a_tier_of_one_node_is_whole_without_replicas() -> None:
    of = tier(MANAGED, redis={"managed": {"replicas": 0}})
    seen = observed(of)
    assert seen.stateful_set is not None
    alone = answers(seen, PRIMARY, node(of, replicas=()))
    alone = replace(alone, nodes=(view(0),), stateful_set=replace(seen.stateful_set, spec_replicas=1, pods=1))
    for _ in range(3):
        of = replace(of, status=decide(of, alone).status)
    assert (of.status.ready, of.status.score) == ("1/1", 100)
