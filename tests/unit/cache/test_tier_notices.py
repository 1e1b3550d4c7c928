"""Events: one for each thing that happens, however many passes it lasts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sophia_operator.api.cache_tier_status import FlushPhase, FlushStatus, NodeRole
from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.core.cache.decision import TierDecision
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import DeleteResult, DeleteTask, NodeVerb, TaskFinding
from sophia_operator.core.cache.notices import notices_of
from sophia_operator.core.cache.views import TierObserved, TierView
from sophia_operator.core.decision import EventType, Notice
from tests.support.cache_scene import (
    MANAGED,
    NOW,
    PRIMARY,
    REPLICA,
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

Told = tuple[EventType, str]


def _told(decision: TierDecision) -> list[Told]:
    return [(n.type, n.reason) for n in decision.notices]


def _lost(of: TierView) -> TierObserved:
    """The primary's process ended, and the replica notices."""
    seen = observed(of)
    seen = replace(seen, nodes=(view(0, ended=True, ready=False), view(1)))
    seen = failing(seen, PRIMARY, CacheFault.REFUSED)
    return answers(seen, REPLICA, node(of, 1, link_up=False, link_down_seconds=1, link_idle_seconds=None))


def test_a_lost_primary_is_told_once_and_so_is_who_took_over() -> None:
    of, told = settled(), []
    for second in range(12):
        now = NOW + timedelta(seconds=second)
        seen = _lost(of)
        moved = {name: replace(f, at=now, full_at=now) for name, f in seen.kept.nodes.items()}
        seen = replace(seen, kept=replace(seen.kept, nodes=moved))
        decision = decide(of, seen, now)
        told += _told(decision)
        of = replace(of, status=decision.status)
        if any(c.verb is NodeVerb.PROMOTE for c in decision.commands):
            break
        healthy = condition(decision, ConditionType.HEALTHY)
        assert healthy.status is ConditionStatus.FALSE
        assert condition(decision, ConditionType.READY).status is ConditionStatus.FALSE
    assert told == [(EventType.WARNING, Reason.PRIMARY_LOST.value)]
    assert of.status.failover is not None
    now = NOW + timedelta(seconds=13)
    promoted = node(of, 1, role=NodeRole.PRIMARY, primary_host=None, link_up=False)
    seen = answers(_lost(of), REPLICA, promoted)
    moved = {name: replace(f, at=now, full_at=now) for name, f in seen.kept.nodes.items()}
    seen = replace(seen, kept=replace(seen.kept, nodes=moved))
    decision = decide(of, seen, now)
    assert _told(decision)[0] == (EventType.NORMAL, Reason.FAILED_OVER.value)
    assert decision.status.primary == REPLICA
    assert decision.status.failover is None
    assert decision.status.failovers[-1].to_node == REPLICA


def test_a_flush_that_is_done_is_told_once() -> None:
    namespaces = [{"name": "embeddings", "prefix": "emb"}]
    of = settled(MANAGED, namespaces=namespaces)
    wish = {"name": "model-7", "namespaceName": "embeddings"}
    of = replace(of, spec=tier(MANAGED, namespaces=namespaces, flush=wish).spec)
    begun = decide(of, observed(of))
    assert _told(begun) == [(EventType.NORMAL, Reason.FLUSHING.value)]
    assert condition(begun, ConditionType.RECONCILING).reason == Reason.FLUSHING
    assert condition(begun, ConditionType.READY).status is ConditionStatus.TRUE
    task = begun.tasks["flush"]
    assert isinstance(task, DeleteTask)
    assert begun.status.flush is not None
    of = replace(of, status=begun.status)
    result = TaskFinding(NOW, task, DeleteResult(None, 100, 60, 1.0), "run-0")
    done = decide(of, observed(of, tasks={"flush": result}))
    assert _told(done) == [(EventType.NORMAL, Reason.FLUSHED.value)]
    assert done.status.flush is None
    assert (done.status.flushes[-1].phase, done.status.flushes[-1].deleted) == (FlushPhase.DONE, 60)
    of = replace(of, status=done.status)
    again = decide(of, observed(of, tasks={"flush": result}))
    assert (_told(again), dict(again.tasks).get("flush")) == ([], None)
    assert find(again.status.conditions, ConditionType.RECONCILING) is None


def test_what_is_wrong_is_told_when_it_begins_and_when_it_is_over() -> None:
    of = settled()
    failure = CacheFailure(CacheFault.OUT_OF_MEMORY, "its words")
    full = answers(observed(of), PRIMARY, node(of, check_ms=None, check_failure=failure))
    first = decide(of, full)
    assert _told(first) == [(EventType.WARNING, Reason.OUT_OF_MEMORY.value)]
    of = replace(of, status=first.status)
    second = decide(of, full)
    assert _told(second) == []
    of = replace(of, status=second.status)
    assert _told(decide(of, observed(of))) == [(EventType.NORMAL, Reason.TIER_READY.value)]


def test_a_pause_is_told_once() -> None:
    of = settled()
    paused = replace(of, spec=of.spec.model_copy(update={"paused": True}))
    first = decide(paused, observed(of))
    assert _told(first) == [(EventType.NORMAL, Reason.PAUSED_BY_SPEC.value)]
    assert _told(decide(replace(paused, status=first.status), observed(of))) == []


def test_a_planner_is_not_told_twice() -> None:
    of = settled()
    planned = Notice(EventType.NORMAL, Reason.FAILED_OVER.value, "hot-cache-1 is the primary")
    bad = [c.model_copy(update={"status": ConditionStatus.FALSE}) for c in of.status.conditions]
    assert notices_of([planned, planned], bad, of.status.conditions)[0] == planned
    reasons = [n.reason for n in notices_of([planned], bad, of.status.conditions)]
    assert Reason.TIER_READY.value not in reasons
    assert Reason.CHECKS_PASSED.value not in reasons
    assert len(reasons) == len(set(reasons))


def test_a_running_flush_of_a_tier_keeps_its_name() -> None:
    running = FlushStatus(name="a", what="all", phase=FlushPhase.RUNNING, started_at=NOW)
    of = settled()
    of = replace(of, status=of.status.model_copy(update={"flush": running}))
    # The spec names it no more: it is stopped, and kept among those that ended.
    status = decide(of, observed(of)).status
    assert status.flush is None
    assert [(f.name, f.phase) for f in status.flushes] == [("a", FlushPhase.STOPPED)]
