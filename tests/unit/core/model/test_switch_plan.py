"""What a pass plans: from where traffic stands, one transition at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionType, Reason
from sophia_operator.api.model_route_status import (
    MAX_SWITCHES,
    ModelState,
    Share,
    SwitchKind,
    SwitchPhase,
    SwitchResult,
)
from sophia_operator.core.model.plan import plan_switch
from sophia_operator.core.model.plan_values import Ranking, SwitchPlan
from sophia_operator.core.model.told import told_hash
from sophia_operator.core.model.views import ModelRouteView
from sophia_operator.core.views import Blocker
from tests.support.model_scene import after, at, health, model, observed, ranking, route, says, spec, step, switch

DOWN = health(ModelState.UNHEALTHY, failing_since=at(-3), evidence="3 of 3 probes failed (Timeout)")
UNKNOWN = health(ModelState.UNKNOWN, eligible=False)
ON_LARGE: dict[str, Any] = {
    "active": "large",
    "shares": [Share(name="large", percent=100)],
    "fallbacks": ["small"],
    "revision": 3,
    "revision_at": at(-100),
    "proved_revision": 3,
}
ON_SMALL: dict[str, Any] = {
    **ON_LARGE,
    "active": "small",
    "shares": [Share(name="small", percent=100)],
    "fallbacks": ["large"],
    "preferred": "large",
}


def told(view: ModelRouteView) -> ModelRouteView:
    """The gateway was told what the status says."""
    shares = {s.name: s.percent for s in view.status.shares}
    return after(
        view, view.status.model_copy(update={"config_hash": told_hash(view.spec, shares, view.status.fallbacks)})
    )


def standing(wish: dict[str, Any] | None = None, **status: Any) -> ModelRouteView:
    return told(route(spec(**(wish or {})), **{**ON_LARGE, **status}))


def plan(view: ModelRouteView, judged: Ranking | None = None, seconds: float = 1, **seen: Any) -> SwitchPlan:
    return plan_switch(view, observed(seconds, **seen), judged or ranking(), at(seconds))


def reasons(planned: SwitchPlan) -> list[str]:
    return [n.reason for n in planned.notices]


def test_in_calm_nothing_is_planned() -> None:
    planned = plan(standing())
    assert (planned.switch, planned.past, planned.notices, planned.revision) == (None, None, (), 3)
    assert (planned.shares, planned.fallbacks, planned.wait) == ({"large": 100}, ("small",), None)


def test_a_failover_says_why_and_what_was_seen() -> None:
    planned = plan(standing(), ranking({"large": DOWN, "small": health(evidence="0 of 6 probes failed, p95 300 ms")}))
    begun = planned.switch
    assert begun is not None
    assert (begun.kind, begun.from_model, begun.to, begun.percent) == (SwitchKind.FAILOVER, "large", "small", 100)
    assert (begun.phase, begun.phase_since, begun.revision) == (SwitchPhase.PROVING, at(1), 4)
    assert begun.trigger == "large is Unhealthy: it does not answer: see whether it runs"
    assert begun.evidence == (
        "large failed for 4.0 s; large: 3 of 3 probes failed (Timeout); small: 0 of 6 probes failed, p95 300 ms"
    )
    assert (planned.active, planned.preferred, planned.shares) == ("small", "large", {"small": 100})
    assert (planned.revision, planned.revision_at, planned.proved_revision) == (4, at(1), 3)
    assert (planned.hold_until, planned.switched_at, planned.wait) == (at(301), at(1), 60)
    assert reasons(planned) == ["Switching"]


def test_a_switch_is_told_with_how_long_it_took() -> None:
    going = switch(trigger="large is Unhealthy", evidence="large failed for 4.0 s", revision=3, started_at=at(0))
    planned = plan(standing(**{**ON_SMALL, "switch": going}), ranking({"large": DOWN}), 2.5)
    assert (planned.switch, planned.proved_revision, planned.wait) == (None, 3, 0)
    assert planned.past is not None
    assert (planned.past.result, planned.past.proved_at) == (SwitchResult.SWITCHED, at(2.5))
    (notice,) = planned.notices
    assert notice.reason == Reason.SWITCHED.value
    assert notice.message == (
        "small serves instead of large (Failover): large is Unhealthy; large failed for 4.0 s; proved at 2 replicas "
        "2.5 s after that (answered by fallbacks: gw-0 by large, gw-1 by large)"
    )


def test_only_one_transition_is_made_in_a_pass() -> None:
    going = switch(SwitchKind.PIN, from_model="small", to="large", revision=3)
    ended = plan(standing({"failback": {"healthySeconds": 0}}, switch=going), ranking(large=0.1))
    assert (ended.switch, ended.past is not None) == (None, True)


@pytest.mark.parametrize("known", [("large", "small"), ("large",)])
def test_the_first_model_waits_until_all_were_asked(known: tuple[str, ...]) -> None:
    judged = ranking({n: UNKNOWN for n in ("large", "small") if n not in known})
    probes = {n: observed(1).kept.probes[n] for n in known}
    planned = plan(route(), judged, probes=probes, replicas={})
    assert planned.active == ("large" if len(known) == 2 else None)
    begun = route().status.conditions
    assert begun == []
    waiting = step(route(), observed(None), judged, planned, 0)
    later = plan(after(route(), waiting), judged, 11, probes=probes, replicas={})
    assert later.active == "large"


def test_nothing_is_told_while_nothing_is_known() -> None:
    planned = plan(route(), ranking({"large": UNKNOWN, "small": UNKNOWN}), probes={}, replicas={})
    assert (planned.active, planned.shares, planned.revision, planned.config_hash) == (None, {}, 0, None)
    eligible = {n: health(ModelState.UNKNOWN, eligible=True) for n in ("large", "small")}
    assert plan(route(), ranking(eligible), probes={}, replicas={}).active is None


def test_a_pin_is_followed_though_nothing_is_known_of_it() -> None:
    planned = plan(route(spec(pin="small")), ranking({"large": UNKNOWN, "small": UNKNOWN}), probes={})
    assert (planned.shares, planned.switch and planned.switch.kind) == ({"small": 100}, SwitchKind.FIRST)


HEALTHY_LONG = {"large": health(healthy_since=at(-1000))}


def due(**changes: Any) -> dict[str, Any]:
    return {**ON_SMALL, "better_since": at(-900), **changes}


def test_a_failback_begins_with_its_first_stage() -> None:
    planned = plan(standing(**due()), ranking(HEALTHY_LONG))
    begun = planned.switch
    assert begun is not None
    assert (begun.kind, begun.percent, begun.stage) == (SwitchKind.FAILBACK, 5, 0)
    assert (planned.active, planned.shares) == ("small", {"small": 95, "large": 5})
    assert (planned.switched_at, planned.preferred) == (None, "large")
    assert planned.fallbacks == ("large",)


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        (due(hold_until=at(2)), {}),
        (due(better_since=at(-200)), {}),
        (due(better_since=None), {}),
        (due(proved_revision=2), {"replicas": {}}),
        (due(), {"blockers": (Blocker(Reason.NOT_OWNED, "x"),)}),
        (due(), {"revision": 2}),
    ],
)
def test_what_keeps_a_failback_from_beginning(status: dict[str, Any], seen: dict[str, Any]) -> None:
    planned = plan(standing(**status), ranking(HEALTHY_LONG), **seen)
    assert (planned.shares, planned.switch) == ({"small": 100}, None)
    assert planned.better_since is not None


def test_a_model_that_is_left_counts_as_the_best_although_others_are_ahead_by_a_little() -> None:
    models = [model("large"), model("small"), model("third")]
    third = {**HEALTHY_LONG, "third": health()}
    view = standing({"models": models}, **due(fallbacks=["large", "third"]))
    planned = plan(view, ranking(third, large=0.8, third=0.85, small=0.6))
    assert planned.switch is not None
    assert (planned.switch.kind, planned.switch.to) == (SwitchKind.FAILBACK, "large")
    never_best = standing({"models": models}, **due(fallbacks=["large", "third"], better_since=None))
    assert plan(never_best, ranking(third, large=0.62, third=0.65, small=0.6)).better_since is None


STAGE = {
    "kind": SwitchKind.FAILBACK, "from_model": "small", "to": "large", "percent": 25, "stage": 1,
    "phase": SwitchPhase.OBSERVING, "phase_since": at(-61), "revision": 3, "proved_at": at(-200),
}  # fmt: skip
SHARED = {**ON_SMALL, "shares": [Share(name="small", percent=75), Share(name="large", percent=25)]}


def in_stage(wish: dict[str, Any] | None = None, **changes: Any) -> ModelRouteView:
    return standing(wish, **{**SHARED, "switch": switch(**{**STAGE, **changes})})


def probes(number: int, first: float = -50) -> dict[str, Any]:
    rows = tuple(replace(observed(0).kept.probes["large"][0], at=at(first + i)) for i in range(number))
    return {"probes": {"large": rows, "small": rows}}


def test_a_stage_passes_to_the_next_one() -> None:
    planned = plan(in_stage(), ranking(HEALTHY_LONG), **probes(3))
    after_it = planned.switch
    assert after_it is not None
    assert (after_it.percent, after_it.stage, after_it.phase) == (100, 2, SwitchPhase.PROVING)
    assert (planned.active, planned.shares, planned.revision) == ("large", {"large": 100}, 4)
    assert (after_it.started_at, after_it.proved_at, planned.switched_at) == (at(0), at(-200), at(1))


@pytest.mark.parametrize(
    ("changes", "judged", "seen"),
    [
        ({"phase_since": at(-30)}, HEALTHY_LONG, probes(3, -20)),
        ({}, HEALTHY_LONG, probes(2)),
        ({}, HEALTHY_LONG, probes(9, -100)),
        ({}, {"large": health(ModelState.FAILING)}, probes(3)),
    ],
)
def test_a_stage_lasts_until_it_is_known_to_be_well(
    changes: dict[str, Any], judged: dict[str, Any], seen: dict[str, Any]
) -> None:
    planned = plan(in_stage({"probe": {"intervalSeconds": 1, "timeoutSeconds": 9}}, **changes), ranking(judged), **seen)
    assert (planned.shares, planned.revision) == ({"small": 75, "large": 25}, 3)
    assert planned.switch is not None
    assert planned.switch.phase is SwitchPhase.OBSERVING


def test_stages_follow_the_spec_as_it_is_now() -> None:
    planned = plan(in_stage({"failback": {"stages": [30, 60, 100]}}), ranking(HEALTHY_LONG), **probes(3))
    assert planned.switch is not None
    assert (planned.switch.percent, planned.switch.stage) == (30, 0)


def test_a_dry_run_keeps_a_failback_where_it_is() -> None:
    planned = plan(in_stage({"dryRun": True}), ranking(HEALTHY_LONG), **probes(3))
    assert (planned.shares, planned.revision) == ({"small": 75, "large": 25}, 3)
    failing = plan(in_stage({"dryRun": True}), ranking({"large": DOWN}), **probes(3))
    assert (failing.shares, reasons(failing)) == ({"small": 75, "large": 25}, ["WouldSwitch"])


def test_all_texts_fit_into_a_status_and_an_event() -> None:
    long = "x" * 5000
    down = health(ModelState.UNHEALTHY, message=long[:512], evidence=long)
    planned = plan(standing(), ranking({"large": down}))
    assert planned.switch is not None
    assert (len(planned.switch.trigger), len(planned.switch.evidence)) == (512, 1024)
    assert all(len(n.message) <= 1000 for n in planned.notices)
    status = step(standing(), observed(1), ranking({"large": down}), planned, 1)
    proved = plan(after(standing(), status), ranking({"large": down}), 2, revision=4)
    assert reasons(proved) == ["Switched"]
    assert "proved at 2 replicas 1.0 s after that" in proved.notices[0].message
    long_names = spec(models=[model("l" * 63), model("s" * 63)], dryRun=True)
    active = {**ON_LARGE, "active": "l" * 63, "shares": [Share(name="l" * 63, percent=100)], "fallbacks": ["s" * 63]}
    judged = Ranking({"l" * 63: DOWN, "s" * 63: health()}, {}, ("s" * 63,))
    would = plan(told(route(long_names, **active)), judged)
    assert would.told is not None
    assert len(would.told) <= 128


def test_a_change_of_what_is_told_has_a_number_and_a_time_of_its_own() -> None:
    moved = replace(standing(), spec=spec(models=[model("large", model="another"), model("small")]))
    planned = plan(moved)
    assert (planned.revision, planned.revision_at, planned.proved_revision) == (4, at(1), 3)
    assert (planned.switch, planned.lagging, planned.wait) == (None, (), 60)
    late = after(moved, step(moved, observed(1), ranking(), planned, 1))
    assert plan(late, seconds=30, revision=3).lagging == ()
    named = plan(late, seconds=62, revision=3)
    assert named.lagging == ("gw-0 serves by 3", "gw-1 serves by 3")
    assert reasons(named) == ["ReplicaLags"]
    again = after(late, step(late, observed(62, revision=3), ranking(), named, 62))
    assert reasons(plan(again, seconds=63, revision=3)) == []


def test_replicas_that_cannot_be_asked_any_more_are_no_news_at_each_pass() -> None:
    moved = replace(standing(), spec=spec(models=[model("large", model="another"), model("small")]))
    late = after(moved, step(moved, observed(1), ranking(), plan(moved), 1))
    gone = tuple(replace(pod, ready=False) for pod in observed().pods)
    for seen in ({"pods": gone}, {"asking_failed": "no such host"}):
        lost = plan(late, seconds=62, revision=3, **seen)
        assert lost.lagging == ("gw-0 serves by 3", "gw-1 serves by 3")
        said = step(late, observed(62, revision=3, **seen), ranking(), lost, 62)
        assert says(said, ConditionType.TRAFFIC_VERIFIED) == ("False", "NoReplicas")
        assert reasons(lost) == []


def test_what_only_the_operator_needs_has_no_new_number() -> None:
    changed = replace(standing(), spec=spec(switch={"forSeconds": 99}))
    assert plan(changed).revision == 3


def test_a_hold_that_was_shortened_counts_at_once() -> None:
    view = standing({"failback": {"holdSeconds": 10, "maxHoldSeconds": 30}}, hold_until=at(9999))
    assert plan(view).hold_until == at(11)
    assert plan(standing(hold_until=at(50))).hold_until == at(50)


def test_history_is_bounded() -> None:
    view = standing()
    for number in range(MAX_SWITCHES + 5):
        wish = spec(pin=("small", "large")[number % 2])
        for _ in range(2):
            view = replace(view, spec=wish)
            seen = observed(number, revision=view.status.revision)
            planned = plan_switch(view, seen, ranking(), at(number))
            view = after(view, step(view, seen, ranking(), planned, number))
    assert len(view.status.switches) == MAX_SWITCHES
    assert {s.kind for s in view.status.switches} == {SwitchKind.PIN}
