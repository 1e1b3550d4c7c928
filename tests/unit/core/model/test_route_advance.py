"""Whole passes over a route, with the judge and the planner of the operator: from the first probe to a failback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionType as Type
from sophia_operator.api.model_route_status import ModelState, SwitchKind
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.model.advance import Judgement, advance
from sophia_operator.core.model.decision import ModelRouteDecision
from sophia_operator.core.model.evidence import remember
from sophia_operator.core.model.findings import Completion, ModelFailure, ModelFault, ModelFinding, ReplicaFinding
from sophia_operator.core.model.needs import needs
from sophia_operator.core.model.views import ModelKept, ModelRouteObserved, ModelRouteView
from tests.support.model_scene import (
    PODS,
    after,
    at,
    lawful,
    model,
    observed,
    plan,
    ranking,
    route,
    says,
    settled,
    spec,
)

DOWN = ModelFailure(ModelFault.SERVER_ERROR, "503")
WISH: dict[str, Any] = {
    "models": [model("large", quality="0.9"), model("small", quality="0.5")],
    "switch": {"forSeconds": 3, "windowSeconds": 20},
    "failback": {"healthySeconds": 20, "stages": [10, 100], "stageSeconds": 5, "holdSeconds": 10},
}


@dataclass
class Day:
    """Models, replicas that follow what they are told, and an operator that looks each half second."""

    view: ModelRouteView
    seconds: float = 0.0
    down: set[str] = field(default_factory=set)
    #: Replicas that stay where they are.
    stuck: set[str] = field(default_factory=set)
    probes: dict[str, tuple[ModelFinding, ...]] = field(default_factory=dict)
    replicas: dict[str, ReplicaFinding] = field(default_factory=dict)
    asked: float | None = None
    #: Kind and reason of each Event, with when it was told.
    told: list[tuple[float, str, str]] = field(default_factory=list)
    writes: int = 0
    marked: int = 0

    def run(self, seconds: float) -> None:
        """So much time passes."""
        until = self.seconds + seconds
        while self.seconds < until:
            self._answer()
            self._decide()
            self.seconds += 0.5

    def _answer(self) -> None:
        due = needs(self.view, self._observed(), at(self.seconds))
        for name in due.probes:
            answer = DOWN if name in self.down else Completion(90.0, 400.0, 8, 25.0)
            found = (*self.probes.get(name, ()), ModelFinding(at(self.seconds), answer))
            self.probes[name] = remember(found, at(self.seconds), self.view.spec.switch.window_seconds)
        if due.replicas:
            self.asked, self.marked = self.seconds, self.marked + 1
            for name in PODS:
                known = self.replicas.get(name)
                follows = name not in self.stuck or known is None
                revision = self.view.status.revision if follows or known is None else known.revision
                serves = self.view.status.active if follows or known is None else known.model
                self.replicas[name] = ReplicaFinding(at(self.seconds), name, revision, serves)

    def _observed(self) -> ModelRouteObserved:
        asked_at = at(self.asked) if self.asked is not None else None
        kept = ModelKept(probes=dict(self.probes), replicas=dict(self.replicas), asked_at=asked_at)
        return observed(None, kept=kept)

    def _decide(self) -> ModelRouteDecision:
        decision = advance(self.view, self._observed(), at(self.seconds), 0.5)
        lawful(decision.status)
        self.told += [(self.seconds, n.type.value, n.reason) for n in decision.notices]
        self.writes += decision.status != self.view.status
        self.view = after(self.view, decision.status)
        return decision

    @property
    def reasons(self) -> list[str]:
        return [reason for _, _, reason in self.told]


def day(**changes: Any) -> Day:
    """A route that runs, with all well."""
    out = Day(route(spec(**{**WISH, **changes})))
    out.run(20)
    assert out.view.status.active == "large"
    assert says(out.view.status, Type.READY) == ("True", "RouteReady")
    out.told.clear()
    return out


def test_a_new_route_serves_its_best_model_soon() -> None:
    new = Day(route(spec(**WISH)))
    new.run(4)
    status = new.view.status
    assert (status.active, status.best, status.revision, status.proved_revision) == ("large", "large", 1, 1)
    assert says(status, Type.READY) == ("True", "RouteReady")
    assert new.reasons == ["Switched"]


def test_in_calm_nothing_is_written_and_few_marked_requests_are_made() -> None:
    calm = day()
    calm.run(60)
    calm.writes = calm.marked = 0
    calm.run(300)
    assert (calm.writes, calm.marked, calm.told) == (0, 5, [])


def test_a_model_that_fails_is_left_and_gets_the_traffic_back_by_stages() -> None:
    run = day()
    run.down = {"large"}
    run.run(10)
    status = run.view.status
    assert (status.active, status.preferred, status.switch) == ("small", "large", None)
    assert says(status, Type.READY) == ("True", "RouteReady")
    (_, failover) = status.switches
    assert failover.kind is SwitchKind.FAILOVER
    assert run.reasons == ["ModelFailed", "Switching", "Switched"]
    assert status.models[0].state is ModelState.UNHEALTHY
    run.down, run.told = set(), []
    run.run(120)
    status = run.view.status
    assert (status.active, status.preferred, status.switch) == ("large", None, None)
    assert [s.kind for s in status.switches] == [SwitchKind.FIRST, SwitchKind.FAILOVER, SwitchKind.FAILBACK]
    assert run.reasons == ["FailingBack", "FailedBack"]


def test_a_replica_that_does_not_follow_is_named_until_it_does() -> None:
    run = day(switch={**WISH["switch"], "proveSeconds": 10})
    run.down, run.stuck = {"large"}, {"gw-1"}
    run.run(10)
    status = run.view.status
    assert says(status, Type.READY) == ("False", "Switching")
    assert says(status, Type.TRAFFIC_VERIFIED) == ("Unknown", "AwaitingProof")
    run.run(10)
    assert says(run.view.status, Type.TRAFFIC_VERIFIED) == ("False", "ReplicaLags")
    assert run.reasons.count("ReplicaLags") == 1
    run.stuck = set()
    run.run(5)
    assert says(run.view.status, Type.READY) == ("True", "RouteReady")
    assert run.reasons[-2:] == ["Switched", "Proved"]


def test_all_models_down_is_told_once_and_traffic_stays() -> None:
    run = day()
    run.down = {"large", "small"}
    run.run(30)
    assert says(run.view.status, Type.READY) == ("False", "AllModelsDown")
    assert run.reasons.count("AllModelsDown") == 1
    assert run.view.status.active == "large"


def test_a_dry_run_tells_what_it_would_do_once() -> None:
    run = day(dryRun=True)
    run.down = {"large"}
    run.run(30)
    assert (run.view.status.active, run.reasons.count("WouldSwitch")) == ("large", 1)


def test_the_next_pass_comes_with_the_next_request_or_moment() -> None:
    view = settled()
    by = Judgement(lambda *_: ranking(), lambda *_: plan())
    assert advance(view, observed(0), at(0.25), 0.5, by).next == RequeueAfter(0.75)
    sooner = Judgement(lambda *_: ranking(), lambda *_: plan(wait=0.1))
    assert advance(view, observed(0), at(0.25), 0.5, sooner).next == RequeueAfter(0.1)


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 600.0), (1.0, 540.0)])
def test_routes_on_which_nothing_is_due_are_looked_at_now_and_then_and_not_all_at_once(
    jitter: float, seconds: float
) -> None:
    view = settled(spec(probe={"intervalSeconds": 3600}))
    going = observed(0, under_way={"replicas": at(0)})
    by = Judgement(lambda *_: ranking(), lambda *_: plan())
    assert advance(view, going, at(0), jitter, by).next == RequeueAfter(seconds)
