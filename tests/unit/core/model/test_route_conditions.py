"""What the conditions of a route say, and which Events that makes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionType as Type
from sophia_operator.api.conditions import Reason, find
from sophia_operator.api.model_route_status import ModelState, SwitchKind, SwitchPhase
from sophia_operator.core.decision import EventType, Notice
from sophia_operator.core.model.findings import PassiveFinding, QualityFinding
from sophia_operator.core.model.notices import notices_of
from sophia_operator.core.model.plan_values import SwitchPlan
from sophia_operator.core.model.views import GatewayPod, HttpRouteView
from sophia_operator.core.views import Blocker
from tests.support.model_scene import (
    after,
    at,
    condition,
    health,
    model,
    observed,
    plan,
    ranking,
    route,
    says,
    settled,
    spec,
    step,
    switch,
)

DOWN = health(ModelState.UNHEALTHY, failing_since=at(0))
UNKNOWN = health(ModelState.UNKNOWN, eligible=True)
NOTHING: dict[str, Any] = {"shares": {}, "active": None, "revision": 0, "proved_revision": 0, "fallbacks": ()}
ORDINARY = (Type.READY, Type.AVAILABLE, Type.HEALTHY, Type.ON_BEST_MODEL, Type.TRAFFIC_VERIFIED, Type.CREDENTIALS_VALID)


def test_a_route_that_is_as_it_should_be() -> None:
    status = settled().status
    assert {kind: says(status, kind) for kind in ORDINARY} == {
        Type.READY: ("True", "RouteReady"),
        Type.AVAILABLE: ("True", "Available"),
        Type.HEALTHY: ("True", "ChecksPassed"),
        Type.ON_BEST_MODEL: ("True", "BestModelServes"),
        Type.TRAFFIC_VERIFIED: ("True", "Proved"),
        Type.CREDENTIALS_VALID: ("True", "CredentialsAccepted"),
    }
    assert {c.type for c in status.conditions} == {k.value for k in ORDINARY}


def test_a_new_route_step_by_step() -> None:
    view = route()
    first = step(view, observed(None), ranking({"large": UNKNOWN, "small": UNKNOWN}), plan(**NOTHING), 0)
    assert says(first, Type.READY) == ("False", "NotChecked")
    assert says(first, Type.RECONCILING) == ("True", "NotChecked")
    assert says(first, Type.AVAILABLE) == ("Unknown", "NotChecked")
    assert says(first, Type.TRAFFIC_VERIFIED) == ("Unknown", "AwaitingProof")
    view = after(view, first)
    begun = switch(SwitchKind.FIRST, from_model=None, to="large", revision=1, trigger="nothing served before")
    chosen = plan(revision=1, proved_revision=0, switch=begun, lagging=("gw-0: none", "gw-1: none"))
    second = step(view, observed(1, None), ranking(), chosen, 1)
    assert says(second, Type.READY) == ("False", "Switching")
    assert says(second, Type.AVAILABLE) == ("False", "Switching")
    assert says(second, Type.TRAFFIC_VERIFIED) == ("Unknown", "AwaitingProof")
    assert "gw-0: none" in condition(second, Type.RECONCILING).message
    third = step(after(view, second), observed(2, 1), ranking(), plan(revision=1, proved_revision=1), 2)
    assert says(third, Type.READY) == ("True", "RouteReady")
    assert find(third.conditions, Type.RECONCILING) is None


FAILED = {"large": DOWN}
MOVED: dict[str, Any] = {"active": "small", "preferred": "large", "shares": {"small": 100}, "revision": 4}


def test_a_failover_step_by_step() -> None:
    view = settled()
    failing = step(view, observed(1), ranking({"large": health(ModelState.FAILING, failing_since=at(1))}), plan(), 1)
    assert says(failing, Type.HEALTHY) == ("False", "ServerUnreachable")
    assert says(failing, Type.READY) == ("True", "RouteReady")
    view = after(view, failing)
    moving = plan(**MOVED, switch=switch(), lagging=("gw-1 serves by 3",))
    going = step(view, observed(11), ranking(FAILED), moving, 11)
    assert says(going, Type.READY) == ("False", "Switching")
    assert says(going, Type.RECONCILING) == ("True", "Switching")
    assert says(going, Type.TRAFFIC_VERIFIED) == ("Unknown", "AwaitingProof")
    assert says(going, Type.HEALTHY) == ("True", "ChecksPassed")
    late = plan(**MOVED, switch=switch(overdue=True), lagging=("gw-1 serves by 3",))
    overdue = step(after(view, going), observed(80), ranking(FAILED), late, 80)
    assert says(overdue, Type.TRAFFIC_VERIFIED) == ("False", "ReplicaLags")
    assert "gw-1 serves by 3" in condition(overdue, Type.TRAFFIC_VERIFIED).message
    done = step(after(view, going), observed(13, 4), ranking(FAILED), plan(**MOVED, proved_revision=4), 13)
    assert says(done, Type.READY) == ("True", "RouteReady")
    assert says(done, Type.TRAFFIC_VERIFIED) == ("True", "Proved")
    # While the model that was left is no candidate, none is better than the one that serves.
    assert says(done, Type.ON_BEST_MODEL) == ("True", "BestModelServes")


def test_a_switch_from_a_model_that_works_keeps_the_route_ready() -> None:
    pinned = replace(settled(), spec=spec(pin="small"))
    moving = plan(**MOVED, switch=switch(SwitchKind.PIN), lagging=("gw-1 serves by 3",))
    status = step(pinned, observed(1), ranking(), moving, 1)
    assert says(status, Type.READY) == ("True", "RouteReady")
    assert says(status, Type.RECONCILING) == ("True", "Switching")
    assert says(status, Type.ON_BEST_MODEL) == ("False", "Pinned")


def test_a_switch_that_was_proved_once_serves_though_the_model_before_it_is_down() -> None:
    going = plan(**MOVED, proved_revision=4, switch=switch(phase=SwitchPhase.OBSERVING, proved_at=at(12)))
    status = step(settled(), observed(13, 4), ranking(FAILED), going, 13)
    assert says(status, Type.AVAILABLE) == ("True", "Available")
    assert says(status, Type.READY) == ("True", "RouteReady")


def test_a_failback_says_how_far_it_is() -> None:
    view = after(settled(), step(settled(), observed(1), ranking(FAILED), plan(**MOVED), 1))
    back = switch(
        SwitchKind.FAILBACK, from_model="small", to="large", percent=25, stage=1, phase=SwitchPhase.OBSERVING,
        phase_since=at(70), proved_at=at(12), revision=5,
    )  # fmt: skip
    shares = {"large": 25, "small": 75}
    stage = plan(**{**MOVED, "shares": shares, "revision": 5}, proved_revision=5, switch=back)
    status = step(view, observed(75, 5), ranking(), stage, 75)
    assert says(status, Type.READY) == ("True", "RouteReady")
    assert says(status, Type.RECONCILING) == ("True", "FailingBack")
    assert says(status, Type.ON_BEST_MODEL) == ("False", "FailingBack")
    message = condition(status, Type.RECONCILING).message
    assert "Failback from small to large, 25 % of the requests so far" in message
    assert "stage 2 since 12:01:10 UTC" in message


ON_SMALL = {**MOVED, "proved_revision": 4}
BETTER: list[tuple[dict[str, Any], dict[str, Any], str, str, str]] = [
    (
        {},
        {},
        "False",
        "OnFallback",
        "traffic left large, and goes back once that has been the best, and healthy, for 5 min",
    ),
    ({}, {"better_since": at(10)}, "False", "OnFallback", "a failback begins at 12:05:10 UTC"),
    ({}, {"better_since": at(10), "hold_until": at(900), "failed_failbacks": 1}, "False", "OnHold", "12:15:00 UTC"),
    ({}, {"better_since": at(10), "hold_until": at(200)}, "False", "OnFallback", "12:05:10"),
    ({"dryRun": True}, {"better_since": at(10)}, "False", "DryRun", "dryRun"),
    ({"failback": {"manual": True}}, {"better_since": at(10)}, "False", "OnFallback", "a person may move it"),
    ({"failback": {"manual": True}}, {"better_since": at(-300)}, "False", "FailbackDue", "set spec.pin to large"),
    ({}, {"preferred": None}, "True", "BestModelServes", "none scores more than it by 10 points"),
    ({}, {"preferred": None, "better_since": at(10)}, "False", "OnFallback", "a failback begins at 12:05:10 UTC"),
    ({"pin": "small"}, {}, "False", "Pinned", "remove spec.pin"),
]


@pytest.mark.parametrize(("wish", "planned", "truth", "reason", "words"), BETTER)
def test_what_keeps_the_best_model_from_serving(
    wish: dict[str, Any], planned: dict[str, Any], truth: str, reason: str, words: str
) -> None:
    judged = ranking({"large": health(healthy_since=at(-1000))})
    status = step(route(spec(**wish)), observed(20, 4), judged, plan(**{**ON_SMALL, **planned}), 20)
    assert says(status, Type.ON_BEST_MODEL) == (truth, reason)
    assert words in condition(status, Type.ON_BEST_MODEL).message
    assert says(status, Type.READY) == ("True", "RouteReady")


def test_a_model_that_was_left_may_go_back_though_another_one_is_ahead_by_a_little() -> None:
    judged = ranking({"large": health(healthy_since=at(-1000))}, large=0.60, small=0.61)
    status = step(route(), observed(20, 4), judged, plan(**ON_SMALL, better_since=at(10)), 20)
    assert says(status, Type.ON_BEST_MODEL) == ("False", "OnFallback")
    assert "large is as good as before it failed, small serves" in condition(status, Type.ON_BEST_MODEL).message


@pytest.mark.parametrize(("third", "target"), [(0.65, "large"), (0.75, "third")])
def test_a_model_that_was_left_gives_way_only_to_one_that_leads(third: float, target: str) -> None:
    wish = spec(models=[model("large"), model("small"), model("third")])
    well = health(healthy_since=at(-1000))
    judged = ranking({"large": well, "third": well}, large=0.64, small=0.6, third=third)
    status = step(route(wish), observed(20, 4), judged, plan(**ON_SMALL, better_since=at(10)), 20)
    assert condition(status, Type.ON_BEST_MODEL).message.startswith(f"{target} ")


def test_a_pin_to_the_best_model_is_told_as_such() -> None:
    status = step(route(spec(pin="large")), observed(), ranking(), plan(), 0)
    assert says(status, Type.ON_BEST_MODEL) == ("True", "Pinned")


def test_all_models_down() -> None:
    both = ranking({"large": DOWN, "small": DOWN})
    status = step(settled(), observed(1), both, plan(), 1)
    assert says(status, Type.READY) == says(status, Type.AVAILABLE) == ("False", "AllModelsDown")
    assert says(status, Type.ON_BEST_MODEL) == ("False", "AllModelsDown")
    assert find(status.conditions, Type.STALLED) is None
    assert "traffic stays at large" in condition(status, Type.READY).message
    none = step(route(), observed(1), both, plan(**NOTHING), 1)
    assert says(none, Type.READY) == ("False", "AllModelsDown")


def test_a_restart_knows_no_worse() -> None:
    view = settled()
    unknown = ranking({"large": UNKNOWN, "small": UNKNOWN})
    status = step(view, observed(None), unknown, plan(lagging=("gw-0 was not asked yet",)), 60)
    assert find(status.conditions, Type.RECONCILING) is None
    for kind in ORDINARY:
        old, new = condition(view.status, kind), condition(status, kind)
        assert (old.status, old.reason, old.message) == (new.status, new.reason, new.message), kind


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pods": ()}, "no pod with labels app=litellm is ready"),
        ({"pods": (GatewayPod("gw-0", "10.0.0.1", ready=False),)}, "none of 1 pod with labels app=litellm is ready"),
        ({"asking_failed": "the host envoy is not known"}, "the host envoy is not known"),
        ({"replicas": {}}, "no replica of the gateway is known"),
    ],
)
def test_without_replicas_nobody_is_served(changes: dict[str, Any], words: str) -> None:
    status = step(settled(), observed(1, **changes), ranking(), plan(), 1)
    assert says(status, Type.TRAFFIC_VERIFIED) == ("False", "NoReplicas")
    assert words in condition(status, Type.TRAFFIC_VERIFIED).message
    assert says(status, Type.READY) == ("False", "NoReplicas")


def test_a_replica_that_starts_anew_with_what_it_was_told_before_is_found() -> None:
    status = step(settled(), observed(60), ranking(), plan(lagging=("gw-1 serves by 2",)), 60)
    assert says(status, Type.TRAFFIC_VERIFIED) == ("False", "ReplicaLags")
    assert says(status, Type.RECONCILING) == ("True", "ReplicaLags")


def test_a_change_of_what_the_gateway_is_told_is_waited_for() -> None:
    status = step(settled(), observed(1), ranking(), plan(revision=4), 1)
    assert says(status, Type.RECONCILING) == ("True", "AwaitingProof")
    assert says(status, Type.TRAFFIC_VERIFIED) == ("Unknown", "AwaitingProof")
    assert says(status, Type.READY) == ("True", "RouteReady")


REFUSED = health(ModelState.REFUSED, reason=Reason.CREDENTIALS_REFUSED, message="it refuses the key")
INELIGIBLE = health(ModelState.INELIGIBLE, reason=Reason.SECRET_NOT_FOUND, message="Secret small-key is not there")
MISSING = {"small": Blocker(Reason.SECRET_NOT_FOUND, "Secret small-key is not there: make it")}


def test_credentials_that_are_refused_or_missing_are_named() -> None:
    refused = step(settled(), observed(1), ranking({"small": REFUSED}), plan(), 1)
    assert says(refused, Type.CREDENTIALS_VALID) == ("False", "CredentialsRefused")
    assert "small (Secret small-key, key api-key)" in condition(refused, Type.CREDENTIALS_VALID).message
    assert says(refused, Type.READY) == ("True", "RouteReady")
    missing = step(settled(), observed(1, missing=MISSING), ranking({"small": INELIGIBLE}), plan(), 1)
    assert says(missing, Type.CREDENTIALS_VALID) == ("False", "SecretNotFound")
    assert "model small: Secret small-key is not there" in condition(missing, Type.CREDENTIALS_VALID).message
    assert find(missing.conditions, Type.STALLED) is None
    paused = step(route(), observed(1), ranking({"small": UNKNOWN}), plan(), 1)
    assert says(paused, Type.CREDENTIALS_VALID) == ("Unknown", "NotChecked")


STALLS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (
        {"blockers": (Blocker(Reason.GATEWAY_NOT_FOUND, "Gateway gw is not there"),)},
        {},
        "GatewayNotFound",
        "keeps what",
    ),
    ({"http_route": HttpRouteView(True, False, "no such listener")}, {}, "RouteRefused", "no such listener"),
    ({}, {"large": REFUSED, "small": REFUSED}, "CredentialsRefused", "large (Secret large-key"),
    ({"missing": MISSING}, {"large": REFUSED, "small": INELIGIBLE}, "SecretNotFound", "no model may be chosen"),
    ({}, {"large": INELIGIBLE, "small": INELIGIBLE}, "NoModel", "capabilities of spec.requires (tools)"),
]


@pytest.mark.parametrize(("changes", "of", "reason", "words"), STALLS)
def test_what_stalls_a_route(changes: dict[str, Any], of: dict[str, Any], reason: str, words: str) -> None:
    view = replace(settled(), spec=spec(requires=["tools"]))
    status = step(view, observed(1, **changes), ranking(of), plan(), 1)
    assert says(status, Type.STALLED) == ("True", reason)
    assert words in condition(status, Type.STALLED).message
    assert says(status, Type.READY) == ("False", reason)
    assert find(status.conditions, Type.RECONCILING) is None


def test_a_failover_tells_no_route_refused_as_its_own() -> None:
    """What stalls is said, and no switch is said to go on beside it."""
    stuck = observed(1, http_route=HttpRouteView(True, False, "no such listener"))
    status = step(settled(), stuck, ranking(FAILED), plan(**MOVED, switch=switch()), 1)
    assert (says(status, Type.STALLED), says(status, Type.RECONCILING)) == (("True", "RouteRefused"), None)


CUSTOM = {"preset": "Custom", "queries": {"requests": "r", "errors": "e"}}
MEASURED = [model("large", qualityQuery="q"), model("small")]


@pytest.mark.parametrize(
    ("wish", "kept", "expected"),
    [
        ({}, {}, None),
        ({"metrics": CUSTOM}, {}, ("Unknown", "NotChecked")),
        ({"metrics": CUSTOM}, {"passive": PassiveFinding(at(0), {})}, ("True", "Available")),
        ({"metrics": CUSTOM}, {"passive": PassiveFinding(at(0), "503")}, ("False", "MetricsUnavailable")),
        ({"models": MEASURED}, {}, ("Unknown", "NotChecked")),
        ({"models": MEASURED}, {"qualities": {"large": QualityFinding(at(0), 0.9)}}, ("True", "Available")),
        ({"models": MEASURED}, {"qualities": {"large": QualityFinding(at(0), "no")}}, ("False", "MetricsUnavailable")),
    ],
)
def test_prometheus_is_spoken_of_only_where_it_is_asked(
    wish: dict[str, Any], kept: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    status = step(route(spec(**wish)), observed(0, **kept), ranking(), plan(), 0)
    assert says(status, Type.METRICS_AVAILABLE) == expected


def test_an_http_route_that_is_being_made_is_waited_for() -> None:
    way = {"parentRefs": [{"name": "gw"}], "hostnames": ["m.example.com"]}
    models = [
        {"name": n, "model": "m", "endpoint": {"serviceRef": {"name": n, "port": 80}}} for n in ("large", "small")
    ]
    view = route(spec(models=models, gateway={"httpRoute": way}))
    seen: list[tuple[HttpRouteView | None, tuple[str, str] | None]] = [
        (None, ("True", "Progressing")),
        (HttpRouteView(False, None), ("True", "Progressing")),
        (HttpRouteView(True, True), None),
    ]
    for http_route, expected in seen:
        status = step(view, observed(0, pods=(), http_route=http_route), ranking(), plan(), 0)
        assert says(status, Type.RECONCILING) == expected


def test_conditions_are_lawful_and_texts_are_calm_whatever_is_seen() -> None:
    states = (health(), health(ModelState.FAILING), DOWN, health(ModelState.PAUSED), REFUSED, INELIGIBLE, UNKNOWN)
    plans: tuple[Callable[[], SwitchPlan], ...] = (
        plan,
        lambda: plan(**NOTHING),
        lambda: plan(**MOVED, switch=switch(), lagging=("gw-1 serves by 3",)),
        lambda: plan(**ON_SMALL, hold_until=at(500), better_since=at(10)),
        lambda: plan(**ON_SMALL, switch=switch(SwitchKind.FAILBACK, from_model="small", to="large", percent=5)),
    )
    looks: tuple[dict[str, Any], ...] = ({}, {"pods": ()}, {"missing": MISSING}, {"asking_failed": "no such host"})
    specs = (spec(), spec(pin="small"), spec(dryRun=True), spec(failback={"manual": True}))
    for large, small, make, look, wish in itertools.product(states, states, plans, looks, specs):
        judged = ranking({"large": large, "small": small})
        first = step(route(wish), observed(0, **look), judged, make(), 20)
        again = step(route(wish, first), observed(5, **look), judged, make(), 25)
        assert again.to_dict() == first.to_dict()


def told(before: Any, after_: Any, *planned: Notice) -> list[tuple[str, str]]:
    return [(n.type.value, n.reason) for n in notices_of(planned, before.conditions, after_.conditions)]


def test_one_event_tells_of_each_transition() -> None:
    view = settled()
    failing = step(view, observed(1), ranking({"large": health(ModelState.FAILING)}), plan(), 1)
    assert told(view.status, failing) == [("Warning", "ServerUnreachable")]
    going = step(after(view, failing), observed(2), ranking(FAILED), plan(**MOVED, switch=switch()), 2)
    begun = Notice(EventType.WARNING, Reason.SWITCHING.value, "traffic goes from large to small")
    assert told(failing, going, begun) == [("Warning", "Switching")]
    done = step(after(view, going), observed(3, 4), ranking(FAILED), plan(**ON_SMALL), 3)
    ended = Notice(EventType.NORMAL, Reason.SWITCHED.value, "small serves")
    assert told(going, done, ended) == [("Normal", "Switched")]
    assert told(done, done) == []


def test_refused_credentials_are_told_and_that_they_are_accepted_again() -> None:
    view = settled()
    refused = step(view, observed(1), ranking({"small": REFUSED}), plan(), 1)
    assert told(view.status, refused) == [("Warning", "CredentialsRefused")]
    assert told(refused, refused) == []
    again = step(after(view, refused), observed(2), ranking(), plan(), 2)
    assert told(refused, again) == [("Normal", "CredentialsAccepted")]
