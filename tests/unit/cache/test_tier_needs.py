"""When nodes, tables and what lies around are looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sophia_operator.api.cache_tier_status import FailoverPhase, FailoverStatus, FlushPhase, FlushStatus, NodeRole
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeCommandResult, NodeVerb
from sophia_operator.core.cache.needs import is_settled, needs, next_look
from sophia_operator.core.cache.settings import live_settings
from sophia_operator.core.cache.table import TableFinding
from sophia_operator.core.cache.views import BoundRelease, HitRatio, Load, NodesView, TierObserved, TierView
from tests.support.cache_scene import (
    MANAGED,
    MEMORY,
    NOW,
    PRIMARY,
    REPLICA,
    TABLE,
    answers,
    decide,
    failing,
    node,
    observed,
    settled,
    tier,
    view,
)

_SECOND = NOW + timedelta(seconds=1)


def _views(seen: TierObserved, *numbers: int, **fields: object) -> TierObserved:
    return replace(seen, nodes=tuple(view(i, **(fields if i in numbers else {})) for i in (0, 1)))


_FAILOVER = FailoverStatus(phase=FailoverPhase.FENCING, cause="lost", planned=False, from_node=PRIMARY, started_at=NOW)
_NODES = NodesView(spec_replicas=2, pods=2, ready_pods=2, caught_up=False, image=None)
#: What the status says, in another way than when all is well.
_STATUSES: dict[str, dict[str, object]] = {"failover": {"failover": _FAILOVER}, "not guarded": {"guarded": False}}
#: What a node says, by its number.
_ANSWERS: dict[str, tuple[int, dict[str, object]]] = {
    "loading": (1, {"loading": True}),
    "link down": (1, {"link_up": False}),
    "two primaries": (1, {"role": NodeRole.PRIMARY}),
    "another run": (0, {"run_id": "run-9"}),
    "handing over": (0, {"failover_state": "waiting-for-sync"}),
    "settings": (1, {"settings": {**live_settings(tier()), "hz": "99"}}),
}
#: What is seen of a pod, by its number.
_PODS: dict[str, tuple[int, dict[str, object]]] = {
    "not ready": (1, {"ready": False}),
    "terminating": (1, {"terminating": True}),
    "old template": (1, {"current": False}),
    "no label": (1, {"role_label": None}),
    "wrong label": (0, {"role_label": "replica"}),
}


def _troubled(name: str) -> tuple[TierView, TierObserved]:
    of = settled()
    seen = observed(of)
    of = replace(of, status=of.status.model_copy(update=_STATUSES.get(name, {})))
    if name in _ANSWERS:
        number, fields = _ANSWERS[name]
        seen = answers(seen, view(number).name, node(of, number, **fields))
    if name in _PODS:
        number, fields = _PODS[name]
        seen = _views(seen, number, **fields)
    if name == "silent":
        seen = failing(seen, PRIMARY, CacheFault.TIMEOUT)
    if name == "a node missing":
        seen = replace(seen, nodes=(view(0),))
    if name == "not caught up":
        seen = replace(seen, stateful_set=_NODES)
    return of, seen


@pytest.mark.parametrize("name", [*_STATUSES, *_ANSWERS, *_PODS, "silent", "a node missing", "not caught up"])
def test_every_node_is_looked_at_each_second_while_something_is_under_way(name: str) -> None:
    of, seen = _troubled(name)
    assert not is_settled(of, seen)
    assert needs(of, seen, NOW + timedelta(seconds=0.9)).nodes == {}
    assert set(needs(of, seen, _SECOND).nodes) == {v.name for v in seen.nodes}
    assert next_look(of, seen, NOW) == 1.0


def test_nothing_of_that_is_under_way_in_calm() -> None:
    of, seen = _troubled("nothing")
    assert is_settled(of, seen)
    assert needs(of, seen, _SECOND).nodes == {}


def test_a_paused_tier_waits_for_no_roll() -> None:
    of, seen = _troubled("old template")
    paused = replace(of, spec=of.spec.model_copy(update={"paused": True}))
    assert is_settled(paused, seen)


def test_what_lasts_for_long_is_looked_at_less_often() -> None:
    of, seen = _troubled("not ready")
    of = replace(of, status=decide(of, seen).status)
    later = NOW + timedelta(seconds=601)
    moved = {name: replace(f, at=later, full_at=later) for name, f in seen.kept.nodes.items()}
    assert next_look(of, seen, NOW) == 1.0
    seen = replace(seen, kept=replace(seen.kept, nodes=moved))
    assert next_look(of, seen, later) == 3.0


def test_a_broken_watch_makes_its_node_be_looked_at_at_once_and_once() -> None:
    of = settled()
    seen = observed(of, broke_at={PRIMARY: NOW + timedelta(milliseconds=1)})
    now = NOW + timedelta(milliseconds=2)
    assert needs(of, seen, now).nodes == {PRIMARY: False}
    assert needs(of, observed(of, now, broke_at={PRIMARY: now}), now).nodes == {}


def test_a_node_that_was_told_something_is_looked_at_soon() -> None:
    of = settled()
    seen = observed(of, commands={(REPLICA, NodeVerb.FOLLOW.value): NodeCommandResult(NOW)})
    assert needs(of, seen, NOW + timedelta(seconds=0.2)).nodes == {}
    assert set(needs(of, seen, NOW + timedelta(seconds=0.3)).nodes) == {REPLICA}


def test_without_its_secrets_no_node_is_looked_at() -> None:
    of = settled()
    assert not needs(of, replace(observed(of), access=None), NOW + timedelta(days=1))


def test_a_new_node_is_looked_at_at_once_and_in_full() -> None:
    of = tier()
    seen = observed(of)
    seen = replace(seen, kept=replace(seen.kept, nodes={}))
    assert needs(of, seen, NOW).nodes == {PRIMARY: True, REPLICA: True}
    assert next_look(of, seen, NOW) == 0.0


def test_another_pod_of_the_name_is_another_node() -> None:
    of = settled()
    assert set(needs(of, _views(observed(of), 1, uid="pod-9"), NOW).nodes) == {REPLICA}


def test_a_table_that_does_not_answer_is_tried_sooner() -> None:
    of = settled(TABLE)
    assert next_look(of, observed(of), NOW) == 30.0
    failed = TableFinding(NOW, CacheFailure(CacheFault.TIMEOUT, ""))
    assert next_look(of, observed(of, table=failed), NOW) == 5.0


def _flush(phase: FlushPhase) -> FlushStatus:
    return FlushStatus(name="a", what="all", phase=phase, started_at=NOW)


@pytest.mark.parametrize("phase", [FlushPhase.RUNNING, FlushPhase.PAUSED])
def test_the_load_is_asked_for_while_a_flush_waits_for_it(phase: FlushPhase) -> None:
    of = settled(MANAGED, origin={"query": "load"})
    assert not needs(of, observed(of), NOW).load
    running = replace(of, status=of.status.model_copy(update={"flush": _flush(phase)}))
    assert needs(running, observed(of), NOW).load
    known = observed(of, load=Load(NOW, 50.0))
    assert not needs(running, known, NOW + timedelta(seconds=3)).load
    assert needs(running, known, NOW + timedelta(seconds=5)).load
    no_origin = settled()
    assert not needs(replace(no_origin, status=running.status), observed(no_origin), NOW).load


def test_the_load_is_asked_for_before_a_flush_and_a_warm_up_begin() -> None:
    spec = {**MANAGED, "origin": {"query": "load"}, "namespaces": [{"name": "a", "prefix": "a"}]}
    of = settled(spec)
    wish = tier(spec, of.status, flush={"name": "a", "namespaceName": "a"})
    assert needs(wish, observed(of), NOW).load
    done = of.status.model_copy(update={"flushes": [_flush(FlushPhase.DONE)]})
    assert not needs(replace(wish, status=done), observed(of), NOW).load
    release = BoundRelease("shop-7", "shop", 7, warming=True, before=6)
    assert needs(of, replace(observed(of), releases=(release,)), NOW).load


def test_hit_ratios_are_asked_for_where_there_is_a_query() -> None:
    asked = {"name": "a", "prefix": "a", "hitRatioQuery": "ratio"}
    of = settled(MEMORY, namespaces=[asked, {"name": "b", "prefix": "b"}])
    assert needs(of, observed(of), NOW).hit_ratios == ("a",)
    seen = observed(of, hit_ratios={"a": HitRatio(NOW, 0.9)})
    assert needs(of, seen, NOW + timedelta(seconds=29)).hit_ratios == ()
    assert needs(of, seen, NOW + timedelta(seconds=30)).hit_ratios == ("a",)
    assert next_look(of, seen, NOW) == 30.0


def test_a_new_primary_is_looked_at_with_a_write_soon_and_a_known_one_at_the_interval() -> None:
    of = settled()
    quick = answers(observed(of), PRIMARY, node(of, check_ms=None))
    assert needs(of, quick, NOW + timedelta(seconds=4)).nodes == {PRIMARY: False, REPLICA: False}
    fresh = replace(of, status=of.status.model_copy(update={"conditions": []}))
    assert needs(fresh, quick, _SECOND).nodes == {PRIMARY: True}
