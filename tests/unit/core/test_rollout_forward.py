"""The way forward: from a change to promotion."""

from __future__ import annotations

import re

from sophia_operator.api.conditions import ConditionType, Reason, find, is_true
from sophia_operator.api.release import Color, Intent
from sophia_operator.core.findings import MetricsAnswer, MetricsRequest, Samples
from sophia_operator.core.views import PodProblem
from tests.support.sim import Sim, settled, sim


def test_first_release_serves_only_once_it_is_ready() -> None:
    world = sim()
    world.broken.add("app-1")
    world.run(5)
    assert world.weights is None
    assert world.state("app-1") == "Provisioning"
    world.broken.clear()
    world.run(5)
    assert world.state("app-1") == "Promoted"
    assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}


def test_settled_service_is_ready_and_decides_nothing() -> None:
    world = settled()
    decision = world.step()
    assert not decision.release_statuses
    assert decision.create is None
    assert not decision.notices
    assert decision.service_status == world.step().service_status
    assert is_true(world.service.status.conditions, ConditionType.READY)


def test_change_goes_through_every_stage_and_is_promoted() -> None:
    world = settled()
    world.change(image="app:2")
    seen: list[int] = []
    while world.state_or("app-2") != "Promoted":
        world.run(1)
        weight = world.weight_of("app-2")
        if not seen or seen[-1] != weight:
            seen.append(weight)
        assert len(world.decisions) < 1000
    assert seen == [0, 25, 100]
    assert world.stable == "app-2"
    path = [t.reason for t in world.releases["app-2"].status.transitions]
    assert path == [
        "Provisioning",
        "Available",
        "SmokeTestsPassed",
        "WeightObserved",
        "StagePassed",
        "WeightObserved",
        "Promoted",
    ]


def test_stage_is_watched_from_the_moment_its_weight_is_observed() -> None:
    world = settled()
    world.traffic_flows = False
    world.change(image="app:2")
    world.run(9)
    stage = world.releases["app-2"].status.stage
    assert stage is not None
    assert stage.effective_at is None
    world.traffic_flows = True
    world.run(3)
    stage = world.releases["app-2"].status.stage
    assert stage is not None
    assert stage.effective_at is not None
    began = stage.effective_at
    world.run(29 - (world.now - began).total_seconds())
    assert world.weight_of("app-2") == 25
    world.run(2)
    assert world.weight_of("app-2") == 100


def test_marked_requests_show_the_weight_when_users_send_none() -> None:
    world = settled()
    world.traffic_flows = False
    world.change(image="app:2")
    world.run(16)
    assert any(n.probe is not None for n in world.asked)
    status = world.releases["app-2"].status
    assert status.stage is not None
    assert status.stage.effective_at is not None
    assert "marked requests" in next(t.message for t in status.transitions if t.reason == "WeightObserved")


def test_previous_keeps_its_size_until_the_window_ends_then_goes() -> None:
    world = settled()
    world.change(image="app:2")
    world.run(100)
    assert world.state("app-2") == "Promoted"
    promoted = world.releases["app-2"].status.promoted_at
    assert promoted is not None
    world.run(299 - (world.now - promoted).total_seconds())
    assert world.sizes["app-1"] == 2
    assert world.service.status.previous is not None
    world.run(5)
    assert world.sizes["app-1"] == 0
    assert world.service.status.previous is None


def test_scaling_down_in_mid_rollout_waits_and_scaling_up_does_not() -> None:
    world = settled()
    world.change(image="app:2")
    world.run(20)
    world.change(image="app:2", replicas=1)
    world.run(2)
    assert world.sizes == {"app-1": 2, "app-2": 2}
    world.change(image="app:2", replicas=5)
    world.run(2)
    assert world.sizes == {"app-1": 5, "app-2": 5}
    world.change(image="app:2", replicas=1)
    world.run(100)
    assert world.state("app-2") == "Promoted"
    assert world.sizes["app-2"] == 1


def test_selector_names_the_release_that_has_most_of_the_traffic() -> None:
    world = settled()
    world.change(image="app:2")
    world.run(20)
    assert "sophia.ai/release=app-1" in (world.service.status.selector or "")
    while world.weight_of("app-2") < 100:
        world.run(1)
    world.run(1)
    assert "sophia.ai/release=app-2" in (world.service.status.selector or "")


def test_pause_holds_at_the_stage_and_proceed_goes_on() -> None:
    world = settled()
    world.change(image="app:2")
    world.run(15)
    world.intend("app-2", Intent.PAUSE, "lunch")
    world.run(120)
    assert world.weight_of("app-2") == 25
    paused = find(world.service.status.conditions, ConditionType.PAUSED)
    assert paused is not None
    assert "lunch" in paused.message
    assert world.service.status.rollout is not None
    assert world.service.status.rollout.phase == "Paused 25%"
    world.intend("app-2", Intent.PROCEED)
    world.run(60)
    assert world.state("app-2") == "Promoted"


def test_paused_service_starts_no_rollout_and_holds_the_one_under_way() -> None:
    world = settled()
    world.change(image="app:2", paused=True)
    world.run(60)
    assert world.state("app-2") == "Pending"
    world.change(image="app:2")
    world.run(15)
    assert world.weight_of("app-2") == 25
    world.change(image="app:2", paused=True)
    world.run(100)
    assert world.weight_of("app-2") == 25


def test_promote_skips_the_stages_but_not_readiness() -> None:
    world = settled()
    world.broken.add("app-2")
    world.change(image="app:2")
    world.run(5)
    world.intend("app-2", Intent.PROMOTE)
    world.run(5)
    assert world.weight_of("app-2") == 0
    world.broken.clear()
    world.run(15)
    assert world.state("app-2") == "Promoted"
    assert 25 not in [t.weight_percent for t in world.releases["app-2"].status.transitions[-3:]]


def test_plan_change_alone_is_no_change_to_roll_out() -> None:
    world = settled()
    world.change(rollout={"lookIntervalSeconds": 7})
    world.run(10)
    assert set(world.releases) == {"app-1"}


def test_service_scaled_to_zero_takes_a_change_without_stages() -> None:
    world = settled()
    world.change(replicas=0)
    world.run(5)
    world.change(image="app:2", replicas=0)
    world.run(15)
    assert world.state("app-2") == "Promoted"


def test_plain_service_switches_at_once() -> None:
    world = settled(traffic={"none": {}})
    world.change(image="app:2", traffic={"none": {}})
    seen = set()
    for _ in range(120):
        world.run(1)
        seen.add(world.weight_of("app-2"))
    assert world.state("app-2") == "Promoted"
    assert seen == {0, 100}


def test_gate_of_a_quiet_service_passes_on_all_that_came_since_the_stage_took_effect() -> None:
    """Two requests a second fill no window of ten seconds with thirty requests; the stage as a whole does."""
    plan = {
        "stages": [{"weightPercent": 25, "observeSeconds": 60}, {"weightPercent": 100, "observeSeconds": 5}],
        "gates": [
            {
                "name": "e",
                "successRate": {"minPercent": "99"},
                "windowSeconds": 10,
                "minRequests": 30,
                "inconclusiveLimit": 4,
            }
        ],
    }
    world = settled(rollout=plan)

    def quiet(request: MetricsRequest) -> MetricsAnswer:
        seconds = int(re.findall(r"\[(\d+)s", request.query)[0])
        return Samples({"total": 2.0 * seconds, "errors": 0.0})

    world.metrics = quiet
    world.change(image="app:2", rollout=plan)
    verdicts = []
    while world.state_or("app-2") != "Promoted" and len(world.decisions) < 400:
        world.run(1)
        if "app-2" in world.releases and world.releases["app-2"].status.gates:
            verdicts.append(world.releases["app-2"].status.gates[0].verdict.value)
    assert world.state("app-2") == "Promoted"
    first_pass = verdicts.index("Pass")
    stage_two = verdicts.index("Inconclusive", first_pass) if "Inconclusive" in verdicts[first_pass:] else len(verdicts)
    assert stage_two - first_pass > 30, "once there was enough it stayed so"


def test_pause_before_the_first_weight_holds_before_the_first_weight() -> None:
    world = settled()
    world.broken.add("app-2")
    world.change(image="app:2")
    world.run(5)
    world.intend("app-2", Intent.PAUSE, "not yet")
    world.broken.clear()
    world.run(30)
    assert world.state("app-2") == "SmokeTesting"
    assert world.weight_of("app-2") == 0
    paused = find(world.service.status.conditions, ConditionType.PAUSED)
    assert paused is not None
    assert "not yet" in paused.message
    world.intend("app-2", Intent.PROCEED)
    world.run(100)
    assert world.state("app-2") == "Promoted"


def test_stage_does_not_pass_while_its_weight_is_not_there_any_more() -> None:
    world = settled()
    world.change(image="app:2")
    while world.weight_of("app-2") == 0:
        world.run(1)
    world.run(8)
    stage = world.releases["app-2"].status.stage
    assert stage is not None
    assert stage.effective_at is not None
    world.lagging = True  # as when somebody edited the route, and the gateway has not taken up our correction
    world.run(60)
    assert world.weight_of("app-2") == 25
    world.lagging = False
    world.run(2)
    assert world.weight_of("app-2") == 100


def smoke_testing() -> Sim:
    """A world whose second release was ready a moment ago."""
    world = settled()
    world.change(image="app:2")
    for _ in range(20):
        world.step()
        if world.state_or("app-2") == "SmokeTesting":
            return world
    raise AssertionError("never got there")


def test_service_that_grows_before_the_first_weight_is_waited_for() -> None:
    world = smoke_testing()
    world.change(image="app:2", replicas=5)
    world.broken.add("app-2")
    world.run(10)
    assert world.state("app-2") == "SmokeTesting"
    assert world.weight_of("app-2") == 0
    world.broken.clear()
    world.run(5)
    assert world.state("app-2") == "Shifting"
    assert world.releases["app-2"].status.not_ready_since is None


def test_pods_that_go_before_the_first_weight_have_until_the_deadline_to_come_back() -> None:
    world = smoke_testing()
    world.broken.add("app-2")
    world.run(58)
    assert world.state("app-2") == "SmokeTesting"
    world.run(5)
    assert world.state("app-2") == "Failed"
    assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}


def test_service_that_is_short_of_pods_says_why() -> None:
    world = settled()
    world.short["app-1"] = 1
    world.problems["app-1"] = PodProblem(Reason.NOT_READY, "pod app-1-x was evicted: low on memory")
    world.run(2)
    ready = find(world.service.status.conditions, ConditionType.READY)
    assert ready is not None
    assert ready.message == "1 of 2 pods of app-1 are ready: pod app-1-x was evicted: low on memory"
