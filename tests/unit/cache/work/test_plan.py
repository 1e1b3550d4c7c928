"""All work of a tier together."""

from __future__ import annotations

from typing import Any

from sophia_operator.api.cache_tier_status import CacheTierStatus, NamespaceStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import CopyTask, ScanTask
from sophia_operator.core.cache.views import BoundRelease
from sophia_operator.core.cache.work.plan import plan_work
from sophia_operator.core.cache.work.plans import WorkPlan
from tests.support.cache_work_scene import at, node, observed, rate_of, spec, tier

FLUSH = {"name": "one", "namespaceName": "texts", "keysPerSecond": 90}
GREEN = BoundRelease("shop-7", "shop", 7, True, 6)


def decide(status: CacheTierStatus | None = None, *releases: BoundRelease, **changes: Any) -> WorkPlan:
    return plan_work(tier(spec(**changes), status), observed(None, *releases), at(1))


def test_all_that_works_at_once_shares_the_node() -> None:
    tasks = decide(None, GREEN, flush=FLUSH).tasks
    rates = {kind: rate_of(task) for kind, task in tasks.items()}
    assert rates == {"flush": 30, "scan": 33, "warm:shop-7": 33}
    alone = decide().tasks["scan"]
    assert isinstance(alone, ScanTask)
    assert alone.keys_per_second == 100


def test_what_the_flush_raised_is_what_the_rest_goes_by() -> None:
    plan = decide(None, GREEN, flush=FLUSH | {"kind": "Generation"})
    assert [(n.name, n.generation) for n in plan.namespaces] == [("texts", 2), ("images", 1)]
    copy = plan.tasks["warm:shop-7"]
    assert isinstance(copy, CopyTask)
    assert copy.prefixes[0] == ("emb:g2r6:", "emb:g2r7:")
    assert plan.first_generation == 2


def test_the_highest_number_is_remembered_when_its_namespace_goes() -> None:
    known = [NamespaceStatus(name="gone", generation=5), NamespaceStatus(name="texts", generation=2)]
    plan = decide(CacheTierStatus(primary="n-0", namespaces=known))
    assert plan.first_generation == 5
    assert [(n.name, n.generation) for n in plan.namespaces] == [("texts", 2), ("images", 5)]


def test_in_a_pause_nothing_is_done() -> None:
    plan = decide(None, GREEN, flush=FLUSH, paused=True)
    assert plan.tasks == {}
    assert plan.flush_why is not None
    assert plan.flush_why[0] is Reason.FLUSH_PAUSED


def test_in_memory_nothing_is_scanned() -> None:
    plan = decide(level="Memory", redis=None, warmUp=None)
    assert (plan.tasks, plan.wait, plan.scan_why) == ({}, None, None)
    assert [n.generation for n in plan.namespaces] == [1, 1]


def test_nothing_is_done_without_a_primary_that_can_be_worked_on() -> None:
    view = tier(spec(flush=FLUSH))
    for found in (node(loading=True), node(role="Replica")):
        assert plan_work(view, observed(None, GREEN, found=found), at(1)).tasks == {}
    plan = plan_work(view, observed(None, found=node(loading=True)), at(1))
    assert plan.scan_why is not None
    assert plan.flush is not None
