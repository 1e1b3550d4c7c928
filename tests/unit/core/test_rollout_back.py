"""The way back: what fails, what a person stops, what a newer change overtakes."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from sophia_operator.api.conditions import ConditionType, Reason, find, is_true
from sophia_operator.api.release import Color, Intent
from sophia_operator.core.findings import (
    Findings,
    MetricsAnswer,
    MetricsOutage,
    MetricsRequest,
    QueryRefused,
    Samples,
    SmokeResult,
)
from sophia_operator.core.views import Blocker, Observed, PodProblem
from tests.support.sim import Sim, good_metrics, settled


def failing(_: MetricsRequest) -> MetricsAnswer:
    return Samples({"total": 1000.0, "errors": 500.0, "value": 5000.0})


def out(_: MetricsRequest) -> MetricsAnswer:
    return MetricsOutage("connection refused")


def in_stage(index: int = 0, **changes: object) -> Sim:
    """A world whose second release has the traffic of that stage, observed."""
    world = settled(**changes)
    world.change(image="app:2", **changes)
    for _ in range(300):
        world.run(1)
        stage = world.releases["app-2"].status.stage if "app-2" in world.releases else None
        if stage is not None and stage.index == index and stage.effective_at is not None:
            return world
    raise AssertionError("never got there")


def test_failing_gate_rolls_back_at_the_next_look_and_latches() -> None:
    world = in_stage()
    world.metrics = failing
    world.run(6)
    assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}
    world.run(30)
    assert world.state("app-2") == "RolledBack"
    outcome = world.releases["app-2"].status.outcome
    assert outcome is not None
    assert outcome.reason == "GateFailed"
    assert "50" in outcome.message
    assert is_true(world.service.status.conditions, ConditionType.STALLED)
    assert is_true(world.service.status.conditions, ConditionType.AVAILABLE)
    world.metrics = good_metrics
    world.run(600)
    assert world.state("app-2") == "RolledBack"
    assert set(world.releases) == {"app-1", "app-2"}


def test_rolled_back_release_is_kept_for_a_look_then_scaled_down() -> None:
    world = in_stage(rollout={"abortKeepSeconds": 60})
    world.metrics = failing
    while world.state("app-2") != "RolledBack":
        world.run(1)
    assert world.sizes["app-2"] == 2
    world.run(55)
    assert world.sizes["app-2"] == 2
    world.run(10)
    assert world.sizes["app-2"] == 0


def test_retry_starts_a_latched_release_again_once() -> None:
    world = in_stage()
    world.metrics = failing
    world.run(30)
    assert world.state("app-2") == "RolledBack"
    world.intend("app-2", Intent.RETRY)
    world.run(60)
    assert world.releases["app-2"].status.attempt == 2
    assert world.state("app-2") == "RolledBack"
    world.run(200)
    assert world.releases["app-2"].status.attempt == 2
    world.metrics = good_metrics
    world.intend("app-2", Intent.RETRY, "again")
    world.run(100)
    assert world.state("app-2") == "Promoted"


def test_retry_takes_the_plan_as_it_is_now() -> None:
    world = in_stage()
    world.metrics = failing
    world.run(30)
    world.change(image="app:2", rollout={"gates": [{"name": "errors", "successRate": {"minPercent": "40"}}]})
    world.run(30)
    assert set(world.releases) == {"app-1", "app-2"}
    world.intend("app-2", Intent.RETRY)
    world.run(120)
    assert world.state("app-2") == "Superseded"
    assert world.state("app-3") == "Promoted"


@pytest.mark.parametrize("stage", [0, 1])
def test_abort_wins_at_every_stage(stage: int) -> None:
    world = in_stage(stage)
    world.intend("app-2", Intent.ABORT, "because")
    world.step()
    assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}
    world.run(30)
    assert world.state("app-2") == "RolledBack"
    assert "because" in world.releases["app-2"].status.transitions[-2].message


def test_abort_before_the_start_never_starts() -> None:
    world = settled()
    world.change(image="app:2", paused=True)
    world.run(3)
    world.intend("app-2", Intent.ABORT)
    world.change(image="app:2")
    world.run(30)
    assert world.state("app-2") == "RolledBack"
    assert "app-2" not in world.sizes


def test_abort_while_promoted_brings_the_kept_release_back_at_once() -> None:
    world = in_stage()
    world.run(100)
    assert world.state("app-2") == "Promoted"
    world.intend("app-2", Intent.ABORT)
    world.step()
    assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}
    world.run(30)
    assert world.stable == "app-1"
    assert world.state("app-2") == "RolledBack"


def test_abort_after_the_window_does_nothing() -> None:
    world = in_stage()
    world.run(500)
    world.intend("app-2", Intent.ABORT)
    world.run(20)
    assert world.stable == "app-2"
    assert world.weight_of("app-2") == 100


def test_spec_put_back_in_mid_rollout_settles_without_a_rollout() -> None:
    world = in_stage()
    world.change(image="app:1")
    world.run(30)
    assert world.state("app-2") == "Superseded"
    assert set(world.releases) == {"app-1", "app-2"}
    assert is_true(world.service.status.conditions, ConditionType.READY)


def test_spec_put_back_after_promotion_returns_to_the_kept_release_at_once() -> None:
    world = in_stage()
    world.run(100)
    assert world.stable == "app-2"
    world.change(image="app:1")
    world.step()
    world.step()
    assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}
    world.run(30)
    assert world.stable == "app-1"
    assert world.state("app-2") == "Superseded"
    assert is_true(world.service.status.conditions, ConditionType.READY)


def test_newer_change_goes_back_first_and_skips_those_between() -> None:
    world = in_stage()
    world.change(image="app:3")
    world.run(1)
    world.change(image="app:4")
    shares = []
    for _ in range(200):
        world.run(1)
        shares.append(world.weight_of("app-1"))
        if world.state_or("app-4") == "Promoted":
            break
    assert world.state("app-2") == "Superseded"
    assert world.state("app-3") == "Superseded"
    assert world.state("app-4") == "Promoted"
    assert 100 in shares[: shares.index(75)] if 75 in shares else True


def test_prometheus_outage_holds_then_pauses_and_never_passes() -> None:
    world = in_stage(rollout={"gates": [{"name": "e", "successRate": {"minPercent": "99"}, "inconclusiveLimit": 5}]})
    world.metrics = out
    world.run(20)
    condition = find(world.releases["app-2"].status.conditions, ConditionType.METRICS_AVAILABLE)
    assert condition is not None
    assert condition.status.value == "False"
    world.run(400)
    assert world.weight_of("app-2") == 25
    pause = world.releases["app-2"].status.pause
    assert pause is not None
    assert pause.reason == Reason.INCONCLUSIVE_LIMIT.value
    world.metrics = good_metrics
    world.run(60)
    assert world.weight_of("app-2") == 25, "a paused rollout waits for a person"
    world.intend("app-2", Intent.PROCEED, "prometheus is back")
    world.run(100)
    assert world.state("app-2") == "Promoted"


def test_on_failure_pause_holds_the_weight() -> None:
    world = in_stage(rollout={"onFailure": "Pause"})
    world.metrics = failing
    world.run(100)
    assert world.weight_of("app-2") == 25
    assert world.releases["app-2"].status.pause is not None


def test_release_that_never_gets_ready_fails_with_the_pods_own_reason() -> None:
    world = settled()
    world.broken.add("app-2")
    world.problems["app-2"] = PodProblem(Reason.IMAGE_PULL_FAILED, "pod app-2-x: cannot pull app:2")
    world.change(image="app:2")
    world.run(80)
    assert world.state("app-2") == "Failed"
    outcome = world.releases["app-2"].status.outcome
    assert outcome is not None
    assert outcome.reason == "ImagePullFailed"
    assert "cannot pull app:2" in outcome.message
    assert all(d.service_status.weight in (None, "0%") for d in world.decisions[10:])


def test_release_that_loses_all_pods_goes_back_at_once() -> None:
    world = in_stage()
    world.broken.add("app-2")
    world.step()
    assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}


def test_traffic_does_not_go_back_to_a_stable_release_without_pods() -> None:
    world = in_stage()
    world.broken.add("app-1")
    world.intend("app-2", Intent.ABORT)
    world.run(5)
    assert world.weight_of("app-2") == 25
    world.broken.clear()
    world.run(2)
    assert world.weight_of("app-1") == 100


def test_failing_smoke_test_ends_before_any_traffic() -> None:
    plan = {"smokeTests": [{"name": "home", "path": "/", "attempts": 3}]}
    world = settled(rollout=plan)
    world.smoke = lambda _: SmokeResult(False, "status 500, 200 expected")
    world.change(image="app:2", rollout=plan)
    world.run(20)
    assert world.state("app-2") == "Failed"
    assert [t.attempts for t in world.releases["app-2"].status.smoke_tests] == [3]
    assert "status 500" in world.releases["app-2"].status.outcome.message  # type: ignore[union-attr]


def test_route_that_the_gateway_does_not_take_up_fails_the_release() -> None:
    world = settled(rollout={"routeDeadlineSeconds": 20})
    world.change(image="app:2", rollout={"routeDeadlineSeconds": 20})
    while world.weight_of("app-2") == 0:
        world.run(1)
    world.lagging = True
    world.run(25)
    status = world.releases["app-2"].status
    assert status.outcome is not None
    assert status.outcome.reason == "RouteNotProgrammed"
    world.lagging = False
    world.run(20)
    assert world.state("app-2") == "RolledBack"


class Trailing(Sim):
    """The gateway says that it took up the route, and goes on as before; only metrics show it."""

    def observed(self, findings: Findings | None = None) -> Observed:
        return replace(super().observed(findings), gateway_url=None)

    def answer(self, request: MetricsRequest) -> MetricsAnswer:
        before = {"blue": 1500.0, "green": 500.0}
        return Samples(before) if request.key == "share" else good_metrics(request)


def test_gateway_that_was_late_has_the_whole_deadline_to_do_what_it_says() -> None:
    world = in_stage(rollout={"routeDeadlineSeconds": 20})
    world = Trailing(**{f.name: getattr(world, f.name) for f in fields(world)})
    world.lagging = True
    world.intend("app-2", Intent.ABORT)
    world.run(40)
    world.lagging = False
    world.run(19)
    assert world.state("app-2") == "RollingBack"
    world.run(5)
    assert world.state("app-2") == "RolledBack"
    outcome = world.releases["app-2"].status.transitions[-1]
    assert "not confirmed" in outcome.message


def test_query_that_prometheus_refuses_fails_before_traffic_and_a_mended_plan_goes_on() -> None:
    bad = {"gates": [{"name": "q", "promql": {"query": "sum(", "max": "1"}, "minRequests": 0}]}
    world = settled(rollout=bad)
    world.metrics = lambda _: QueryRefused("parse error: unclosed left parenthesis")
    world.change(image="app:2", rollout=bad)
    world.run(30)
    assert world.state("app-2") == "Failed"
    stalled = find(world.service.status.conditions, ConditionType.STALLED)
    assert stalled is not None
    assert "unclosed left parenthesis" in stalled.message
    world.metrics = good_metrics
    world.change(image="app:2")
    world.run(120)
    assert world.state("app-3") == "Promoted"


def test_missing_gateway_stalls_and_recovers() -> None:
    world = settled()
    world.blockers = (Blocker(Reason.GATEWAY_NOT_FOUND, "Gateway infra/gw is missing"),)
    world.change(image="app:2")
    world.run(10)
    stalled = find(world.service.status.conditions, ConditionType.STALLED)
    assert stalled is not None
    assert "app-1 keeps serving" in stalled.message
    assert world.state("app-2") == "Pending"
    world.blockers = ()
    world.run(120)
    assert world.state("app-2") == "Promoted"


def test_refused_template_stalls_and_makes_no_release() -> None:
    world = settled()
    world.template_refused = 'spec.template.spec.containers[0].name: Invalid value: "A"'
    world.change(image="app:2")
    world.run(5)
    assert set(world.releases) == {"app-1"}
    stalled = find(world.service.status.conditions, ConditionType.STALLED)
    assert stalled is not None
    assert stalled.reason == "InvalidTemplate"


def test_refused_template_does_not_stop_the_rollout_under_way() -> None:
    world = in_stage()
    world.template_refused = "no"
    world.change(image="app:3")
    world.run(100)
    assert world.state("app-2") == "Promoted"


@pytest.mark.parametrize("stage", [0, 1])
def test_all_status_lost_in_mid_rollout_keeps_the_stable_release(stage: int) -> None:
    world = in_stage(stage)
    world.lose_status("app-1")
    world.step()
    assert world.state("app-1") == "Promoted"
    world.run(200)
    assert world.stable == "app-2"


def test_status_of_the_new_release_lost_goes_back_and_starts_again() -> None:
    world = in_stage()
    world.lose_status("app-2")
    world.run(2)
    assert world.weight_of("app-1") == 100
    world.run(200)
    assert world.state("app-2") == "Promoted"


def test_every_status_lost_makes_the_older_of_two_the_stable_one() -> None:
    world = in_stage()
    world.lose_status()
    world.run(3)
    assert world.state("app-1") == "Promoted"
    assert world.weight_of("app-1") == 100
    world.run(200)
    assert world.stable == "app-2"


def test_gate_that_fails_while_the_weight_is_not_yet_certain_ends_the_rollout() -> None:
    world = settled()
    world.traffic_flows = False
    world.metrics = failing
    world.change(image="app:2")
    world.run(9)
    reasons = [t.reason for t in world.releases["app-2"].status.transitions]
    assert "GateFailed" in reasons
    assert "WeightObserved" not in reasons
    assert world.weight_of("app-1") == 100


def test_looks_before_the_weight_is_certain_never_pass_a_stage() -> None:
    world = settled()
    world.traffic_flows = False
    world.change(image="app:2")
    world.run(9)
    assert world.releases["app-2"].status.gates[0].verdict.value == "Pass"
    while world.releases["app-2"].status.stage.effective_at is None:  # type: ignore[union-attr]
        world.run(1)
        assert len(world.decisions) < 100
    assert world.releases["app-2"].status.gates[0].looks == 0, "the stage took effect: its evidence begins anew"
