"""A tier of which all is well: nothing is done, nothing is told, and nothing is written twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.core.cache.needs import needs, next_look
from sophia_operator.core.decision import RequeueAfter
from tests.support.cache_scene import (
    EXTERNAL,
    MANAGED,
    MEMORY,
    NOW,
    PRIMARY,
    TABLE,
    condition,
    decide,
    observed,
    settled,
    tier,
)

LEVELS = {"Redis": MANAGED, "adopted Redis": EXTERNAL, "PostgreSQL": TABLE, "Memory": MEMORY}


@pytest.mark.parametrize("level", LEVELS)
def test_all_is_well(level: str) -> None:
    of = settled(LEVELS[level])
    decision = decide(of, observed(of))
    ready = condition(decision, ConditionType.READY)
    assert (ready.status, ready.reason) == (ConditionStatus.TRUE, Reason.TIER_READY)
    assert condition(decision, ConditionType.HEALTHY).status is ConditionStatus.TRUE
    for absent in (ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.PAUSED):
        assert find(decision.status.conditions, absent) is None
    assert decision.status.score == (None if level == "Memory" else 100)
    assert sum(p.of for p in decision.status.score_parts) in (0, 100)


@pytest.mark.parametrize("level", LEVELS)
def test_a_pass_over_what_is_settled_changes_nothing(level: str) -> None:
    of = settled(LEVELS[level])
    for seconds in (0, 3, 30):
        now = NOW + timedelta(seconds=seconds)
        decision = decide(of, observed(of, now), now)
        assert decision.status == of.status
        assert (decision.commands, decision.delete, dict(decision.labels), decision.notices) == ((), (), {}, ())
        assert isinstance(decision.next, RequeueAfter)


@pytest.mark.parametrize("level", LEVELS)
def test_an_operator_that_starts_anew_knows_no_worse(level: str) -> None:
    of = settled(LEVELS[level])
    blind = observed(of)
    blind = replace(blind, kept=replace(blind.kept, nodes={}, table=None))
    after = decide(of, blind).status
    ready = next(c for c in after.conditions if c.type == ConditionType.READY)
    assert ready.status is ConditionStatus.TRUE
    assert [(c.type, c.status) for c in after.conditions if c.type in ("Healthy", "LiveConfigApplied")] == [
        (c.type, c.status) for c in of.status.conditions if c.type in ("Healthy", "LiveConfigApplied")
    ]
    assert (after.nodes, after.used, after.primary) == (of.status.nodes, of.status.used, of.status.primary)


@pytest.mark.parametrize(
    ("level", "absent"),
    [
        ("Memory", {"WithinQuota", "LiveConfigApplied"}),
        ("PostgreSQL", {"LiveConfigApplied"}),
        ("adopted Redis", {"LiveConfigApplied"}),
        ("Redis", set()),
    ],
)
def test_conditions_that_mean_nothing_at_a_level_are_not_there(level: str, absent: set[str]) -> None:
    of = settled(LEVELS[level])
    types = {c.type for c in of.status.conditions}
    assert {"WithinQuota", "LiveConfigApplied"} - types == absent


def test_what_a_status_says() -> None:
    status = settled().status
    assert (status.ready, status.replicas, status.primary, status.primary_run_id) == ("2/2", 2, PRIMARY, "run-0")
    assert (status.used, status.chain, status.selector) == ("12Mi/256Mi", ["hot"], "sophia.ai/cache=hot")
    assert status.binding is not None
    assert (status.binding.name, status.binding.config_map_name) == ("hot-cache-binding", "hot-cache-chain")
    first, second = status.nodes
    assert (first.name, first.role, first.synced, first.config_current) == (PRIMARY, "Primary", None, True)
    assert (second.role, second.synced, second.lag_bytes, second.message) == ("Replica", True, 0, None)
    assert status.config_hash is not None


def test_without_its_secrets_no_binding_is_named() -> None:
    of = tier()
    status = decide(of, replace(observed(of), access=None)).status
    assert status.binding is None


def test_a_new_tier_is_on_its_way() -> None:
    of = tier()
    seen = replace(observed(of), nodes=(), stateful_set=None)
    seen = replace(seen, kept=replace(seen.kept, nodes={}))
    decision = decide(of, seen)
    assert condition(decision, ConditionType.READY).status is ConditionStatus.FALSE
    assert find(decision.status.conditions, ConditionType.RECONCILING) is not None
    assert find(decision.status.conditions, ConditionType.STALLED) is None
    assert condition(decision, ConditionType.HEALTHY).status is ConditionStatus.UNKNOWN
    assert decision.notices == ()
    assert decision.status.score is None


@pytest.mark.parametrize(
    ("spec", "kind"), [(MANAGED, "nodes"), (EXTERNAL, "nodes"), (TABLE, "table"), (MEMORY, "nothing")]
)
def test_looks_in_calm(spec: Mapping[str, Any], kind: str) -> None:
    of = settled(spec)
    seen = observed(of)
    assert not needs(of, seen, NOW + timedelta(seconds=3))
    quick = needs(of, seen, NOW + timedelta(seconds=4))
    assert set(quick.nodes.values()) == ({False} if kind == "nodes" else set())
    full = needs(of, seen, NOW + timedelta(seconds=30))
    assert set(full.nodes.values()) == ({True} if kind == "nodes" else set())
    assert full.table == (kind == "table")
    assert next_look(of, seen, NOW) == {"nodes": 4.0, "table": 30.0, "nothing": 3600.0}[kind]


def test_a_paused_tier_says_so_and_stays_ready() -> None:
    of = settled(MANAGED, paused=True)
    paused = condition(decide(of, observed(of)), ConditionType.PAUSED)
    assert (paused.status, paused.reason) == (ConditionStatus.TRUE, Reason.PAUSED_BY_SPEC)
    assert condition(decide(of, observed(of)), ConditionType.READY).status is ConditionStatus.TRUE
