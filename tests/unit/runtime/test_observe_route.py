"""Routes and Gateways as a pass sees them."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import Color
from sophia_operator.api.traffic import GatewayTraffic
from sophia_operator.core.names import LABEL_RELEASE, PROBE_HEADER
from sophia_operator.runtime.observe_route import (
    claim_of,
    gateway_blockers,
    gateway_url,
    hostname_blockers,
    plain_view,
    route_view,
)

CONTROLLER = "example.com/ours"
CONTROLLERS = {("shop", "gw"): CONTROLLER}


def backends(blue: int, green: int) -> list[dict[str, Any]]:
    return [{"name": "app-blue", "weight": blue}, {"name": "app-green", "weight": green}]


def condition(kind: str, status: str = "True", generation: int = 3) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": "R", "message": "why", "observedGeneration": generation}


def parent(*conditions: dict[str, Any], controller: str = CONTROLLER, **ref: Any) -> dict[str, Any]:
    return {"parentRef": {"name": "gw", **ref}, "controllerName": controller, "conditions": list(conditions)}


GOOD = (condition("Accepted"), condition("ResolvedRefs"))


def route(*parents: dict[str, Any], rules: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": "app", "namespace": "shop", "generation": 3, "creationTimestamp": "2026-01-02T00:00:00Z"},
        "spec": {
            "parentRefs": [{"name": "gw"}],
            "hostnames": ["app.example.com"],
            "rules": rules or [{"backendRefs": backends(75, 25)}],
        },
        "status": {"parents": list(parents)},
    }


def test_weights_are_percent_of_the_first_rule_for_users() -> None:
    marked = {"matches": [{"headers": [{"name": PROBE_HEADER.title(), "value": "x"}]}], "backendRefs": backends(0, 100)}
    redirect: dict[str, Any] = {"filters": [{"type": "RequestRedirect"}]}
    view = route_view(route(rules=[marked, redirect, {"backendRefs": backends(3, 1)}]), "app", CONTROLLERS)
    assert view.weights == {Color.BLUE: 75, Color.GREEN: 25}


def test_a_route_without_users_rules_gives_nobody_a_share() -> None:
    marked = {"matches": [{"headers": [{"name": PROBE_HEADER, "value": "x"}]}], "backendRefs": backends(0, 100)}
    assert set(route_view(route(rules=[marked]), "app", CONTROLLERS).weights.values()) == {0}


def test_all_weights_zero_is_nobodys_share() -> None:
    assert set(route_view(route(rules=[{"backendRefs": backends(0, 0)}]), "app", CONTROLLERS).weights.values()) == {0}


@pytest.mark.parametrize(
    ("parents", "caught_up", "accepted"),
    [
        ([], False, None),
        ([parent(*GOOD)], True, True),
        ([parent(condition("Accepted"), condition("ResolvedRefs", generation=2))], False, None),
        ([parent(condition("Accepted"))], False, None),
        ([parent(condition("Accepted"), condition("ResolvedRefs", "False"))], True, False),
        ([parent(*GOOD, controller="example.com/old")], False, None),
        ([parent(*GOOD, name="another")], False, None),
        ([parent(*GOOD, sectionName="https")], False, None),
        ([parent(condition("Accepted", "False", 1), controller="example.com/old"), parent(*GOOD)], True, True),
    ],
    ids=[
        "nobody",
        "caught up",
        "behind",
        "half",
        "refused",
        "old controller",
        "another gateway",
        "another listener",
        "an entry that lingers",
    ],
)
def test_a_route_is_caught_up_when_the_responsible_controller_says_so(
    parents: list[dict[str, Any]], caught_up: bool, accepted: bool | None
) -> None:
    view = route_view(route(*parents), "app", CONTROLLERS)
    assert (view.caught_up, view.accepted) == (caught_up, accepted)
    assert bool(view.message) == (accepted is False)


def test_while_the_class_is_not_known_any_controller_will_do() -> None:
    view = route_view(route(parent(*GOOD, controller="example.com/any")), "app", {("shop", "gw"): None})
    assert view.caught_up


def test_every_parent_counts() -> None:
    obj = route(parent(*GOOD))
    obj["spec"]["parentRefs"].append({"name": "g2", "namespace": "infra"})
    assert not route_view(obj, "app", CONTROLLERS | {("infra", "g2"): CONTROLLER}).caught_up
    obj["status"]["parents"].append(parent(*GOOD, name="g2", namespace="infra"))
    assert route_view(obj, "app", CONTROLLERS | {("infra", "g2"): CONTROLLER}).caught_up


def test_a_plain_service_gives_all_to_what_it_selects() -> None:
    service = {"spec": {"selector": {LABEL_RELEASE: "app-2"}}}
    view = plain_view(service, {"app-1": Color.BLUE, "app-2": Color.GREEN})
    assert view.weights == {Color.BLUE: 0, Color.GREEN: 100}
    assert view.plain
    assert set(plain_view(service, {}).weights.values()) == {0}


def traffic(**changes: Any) -> GatewayTraffic:
    return GatewayTraffic.model_validate({"parentRefs": [{"name": "gw"}], "hostnames": ["app.example.com"]} | changes)


def test_gateways_that_do_not_exist_are_named() -> None:
    wanted = traffic(parentRefs=[{"name": "gw"}, {"name": "edge", "namespace": "infra"}])
    (blocker,) = gateway_blockers(wanted.parent_refs, "shop", {("shop", "gw"): {"spec": {}}, ("infra", "edge"): None})
    assert blocker.reason is Reason.GATEWAY_NOT_FOUND
    assert "Gateway edge in namespace infra" in blocker.message


def other(created: str = "2026-01-01T00:00:00Z", namespace: str = "theirs", **spec: Any) -> dict[str, Any]:
    whole = {"parentRefs": [{"name": "gw", "namespace": "shop"}], "hostnames": ["app.example.com"], "rules": [{}]}
    return {"metadata": {"name": "route", "namespace": namespace, "creationTimestamp": created}, "spec": whole | spec}


@pytest.mark.parametrize(
    ("theirs", "taken"),
    [
        (other(), True),
        (other(hostnames=["b.example.com", "app.example.com"]), True),
        (other(hostnames=["b.example.com"]), False),
        (other(hostnames=None), False),
        (other(parentRefs=[{"name": "gw"}]), False),
        (other(parentRefs=[{"name": "gw", "namespace": "shop", "sectionName": "https"}]), True),
        (other(rules=[{"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}]}]), False),
        (other(rules=[{"matches": [{"path": {"value": "/"}}]}]), True),
        (other(rules=[{"matches": [{"headers": [{"name": "x", "value": "1"}]}]}]), False),
        (other(rules=[{"matches": [{"method": "GET"}]}]), False),
        (other(created="2026-01-03T00:00:00Z"), False),
    ],
    ids=[
        "same",
        "shared host",
        "other host",
        "every host",
        "other gateway",
        "one listener",
        "other path",
        "default path",
        "header",
        "method",
        "younger",
    ],
)
def test_a_host_name_is_taken_by_an_older_route_with_an_equal_match(theirs: dict[str, Any], taken: bool) -> None:
    assert bool(hostname_blockers(claim_of(traffic(), "shop", "app"), route(), [theirs])) == taken


def test_before_we_have_a_route_any_other_one_is_older() -> None:
    (blocker,) = hostname_blockers(claim_of(traffic(), "shop", "app"), None, [other(created="2030-01-01T00:00:00Z")])
    assert "HTTPRoute route in namespace theirs already answers app.example.com" in blocker.message


@pytest.mark.parametrize(
    "wanted",
    [
        {"hostnames": ["app.example.com", "new.example.com"]},
        {"hostnames": ["new.example.com"]},
        {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}]}]},
    ],
)
def test_what_our_route_does_not_answer_yet_is_not_taken_from_a_younger_one(wanted: dict[str, Any]) -> None:
    theirs = other(
        "2026-01-03T00:00:00Z",
        hostnames=["app.example.com", "new.example.com"],
        rules=[{"matches": [{"path": {"type": "PathPrefix", "value": path}} for path in ("/", "/api")]}],
    )
    assert hostname_blockers(claim_of(traffic(**wanted), "shop", "app"), route(), [theirs])


def test_of_two_routes_of_the_same_second_the_first_by_name_counts() -> None:
    same = "2026-01-02T00:00:00Z"
    assert hostname_blockers(claim_of(traffic(), "shop", "app"), route(), [other(same, namespace="a")])
    assert not hostname_blockers(claim_of(traffic(), "shop", "app"), route(), [other(same, namespace="z")])


def test_our_own_route_and_one_that_is_going_take_nothing() -> None:
    going = other()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ours = route()
    assert hostname_blockers(claim_of(traffic(), "shop", "app"), ours, [going, ours | {"spec": other()["spec"]}]) == []


@pytest.mark.parametrize(
    ("gateway", "url"),
    [
        (None, None),
        ({"spec": {"listeners": [{"name": "h", "protocol": "HTTP", "port": 80}]}}, None),
        (
            {
                "spec": {
                    "listeners": [
                        {"name": "s", "protocol": "HTTPS", "port": 443},
                        {"name": "h", "protocol": "HTTP", "port": 8080},
                    ]
                },
                "status": {"addresses": [{"value": "10.0.0.7"}]},
            },
            "http://10.0.0.7:8080",
        ),
        (
            {
                "spec": {"listeners": [{"name": "h", "protocol": "HTTP", "port": 80}]},
                "status": {"addresses": [{"value": "fd00::7"}]},
            },
            "http://[fd00::7]:80",
        ),
        (
            {
                "spec": {"listeners": [{"name": "t", "protocol": "TCP", "port": 80}]},
                "status": {"addresses": [{"value": "10.0.0.7"}]},
            },
            None,
        ),
    ],
)
def test_where_the_gateway_answers(gateway: dict[str, Any] | None, url: str | None) -> None:
    assert gateway_url(traffic(), "shop", {("shop", "gw"): gateway}) == url
    assert gateway_url(traffic(probeUrl="http://edge:1"), "shop", {("shop", "gw"): gateway}) == "http://edge:1"
