"""What a stage asks Prometheus, and when."""

from __future__ import annotations

from typing import Any

from sophia_operator.api.release import Intent
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, MetricsRequest, Samples
from tests.support.sim import Sim, good_metrics, settled

_COMPARED = {"name": "errors", "successRate": {}, "comparedTo": "Stable", "maxRatio": "2", "minRequests": 10}


def in_stage(index: int, **changes: Any) -> Sim:
    """A world whose second release has the traffic of that stage, observed."""
    world = settled(**changes)
    world.change(image="app:2", **changes)
    for _ in range(300):
        world.run(1)
        stage = world.releases["app-2"].status.stage if "app-2" in world.releases else None
        if stage is not None and stage.index == index and stage.effective_at is not None:
            return world
    raise AssertionError("never got there")


def gate_queries(world: Sim) -> list[str]:
    return [r.query for n in world.asked for r in n.metrics if r.key == "gate/errors"]


def test_last_stage_compares_with_the_stable_release_as_it_was_while_it_had_traffic() -> None:
    world = in_stage(0, rollout={"gates": [_COMPARED]})
    world.asked.clear()
    world.run(6)
    assert gate_queries(world)
    assert not any("[2s:1s] offset" in q for q in gate_queries(world))
    world = in_stage(1, rollout={"gates": [_COMPARED]})
    stage = world.releases["app-2"].status.stage
    assert stage is not None
    world.asked.clear()
    world.run(6)
    age = (world.now - stage.started_at).total_seconds()
    ages = [int(q.rpartition("[2s:1s] offset ")[2].partition("s")[0]) for q in gate_queries(world)]
    assert ages
    assert all(age - 7 <= a <= age + 1 for a in ages)


def test_paused_for_want_of_evidence_goes_on_looking_and_a_failure_still_rolls_back() -> None:
    gate = {"name": "errors", "successRate": {"minPercent": "99"}, "inconclusiveLimit": 2, "minRequests": 10}
    world = in_stage(0, rollout={"gates": [gate]})
    world.metrics = lambda _: MetricsOutage("connection refused")
    world.run(60)
    assert world.releases["app-2"].status.pause is not None
    assert isinstance(world.decisions[-1].next, RequeueAfter)
    looks = len(gate_queries(world))
    world.run(30)
    assert len(gate_queries(world)) >= looks + 5

    def failing(_: MetricsRequest) -> MetricsAnswer:
        return Samples({"total": 1000.0, "errors": 500.0})

    world.metrics = failing
    world.run(12)
    assert world.weight_of("app-2") == 0
    world.metrics = good_metrics
    world.run(30)
    assert world.state("app-2") == "RolledBack"
    assert world.releases["app-2"].spec.intent is Intent.PROCEED
