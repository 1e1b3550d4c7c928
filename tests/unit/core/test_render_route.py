"""The HTTPRoute: that only weights change in a rollout, where each request goes, and the limits of the schema."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_operator.api.managed_service import ManagedServiceSpec
from sophia_operator.api.release import Color
from sophia_operator.api.traffic import GatewayTraffic, ServicePort
from sophia_operator.core import names
from sophia_operator.core.render import marked_rules, traffic_port
from tests.golden import cases

Object = dict[str, Any]
STAGES: Final = (0, 10, 25, 50, 100)


def route_of(case: cases.Case) -> Object:
    return next(o for o in case.render().objects if o["kind"] == "HTTPRoute")


def with_rules(name: str, rules: list[Object]) -> cases.Case:
    """The case, with other rules for its traffic."""
    raw = cases.read(name)
    raw["service"]["spec"]["traffic"]["gateway"]["rules"] = rules
    return cases.parse(raw)


def gateway_of(case: cases.Case) -> GatewayTraffic:
    gateway = case.service.spec.traffic.gateway
    assert gateway is not None
    return gateway


# --- only weights change ---


@pytest.mark.parametrize("name", ["mid-rollout", "rules", "ports-change"])
def test_only_weights_change_between_stages(name: str) -> None:
    case = cases.load(name)
    seen = []
    for share in STAGES:
        weights = {Color.BLUE: 100 - share, Color.GREEN: share}
        case = replace(case, placement=replace(case.placement, weights=weights, candidate=None))
        objects = copy.deepcopy(case.render().objects)
        for rule in next(o for o in objects if o["kind"] == "HTTPRoute")["spec"]["rules"]:
            written = [ref.pop("weight") for ref in rule.get("backendRefs", ())]
            assert written in ([], [100 - share, share])
        seen.append(objects)
    assert all(objects == seen[0] for objects in seen)


# --- where a request goes ---


@dataclass(frozen=True)
class Request:
    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)

    def marked(self, mark: str) -> Request:
        return replace(self, headers=self.headers | {names.PROBE_HEADER: mark})


def choose(rules: list[Object], request: Request) -> Object | None:
    """The rule that answers, by the precedence that the Gateway API lays down."""
    ranked = [
        ((kind, length, "method" in match, len(match.get("headers", ())), len(match.get("queryParams", ()))), -i)
        for i, rule in enumerate(rules)
        for match in rule.get("matches") or [{}]
        for kind, length in _path_rank(match.get("path", {}), request)
        if match.get("method", request.method) == request.method
        and all(request.headers.get(h["name"].lower()) == h["value"] for h in match.get("headers", ()))
        and all(request.query.get(q["name"]) == q["value"] for q in match.get("queryParams", ()))
    ]
    return rules[-max(ranked)[1]] if ranked else None


def _path_rank(path: Object, request: Request) -> Iterator[tuple[int, int]]:
    value = path.get("value", "/")
    if path.get("type") == "Exact":
        if value == request.path:
            yield 1, 0
    elif value in ("/", request.path) or request.path.startswith(value + "/"):
        yield 0, len(value)


def backends(rule: Object) -> set[str]:
    return {ref["name"] for ref in rule.get("backendRefs", ())}


PATHS: Final = ("/", "/a", "/a/b", "/c")


def _name(named: Any) -> str:
    return str(named["name"])


matches = st.fixed_dictionaries(
    {},
    optional={
        "path": st.fixed_dictionaries(
            {"type": st.sampled_from(["Exact", "PathPrefix"]), "value": st.sampled_from(PATHS)}
        ),
        "method": st.sampled_from(["GET", "POST"]),
        "headers": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["x-a", "X-B"]), "value": st.sampled_from("12")}),
            max_size=2,
            unique_by=_name,
        ),
        "queryParams": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from("vw"), "value": st.sampled_from("12")}),
            max_size=2,
            unique_by=_name,
        ),
    },
)
rule_lists = st.lists(st.fixed_dictionaries({"matches": st.lists(matches, max_size=3)}), min_size=1, max_size=5).map(
    lambda rules: [r | {"timeouts": {"request": f"{i + 1}s"}} for i, r in enumerate(rules)]
)
requests = st.builds(
    Request,
    path=st.sampled_from(["/", "/a", "/a/b", "/a/b/c", "/c", "/d"]),
    method=st.sampled_from(["GET", "POST"]),
    headers=st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.sampled_from("12")),
    query=st.dictionaries(st.sampled_from("vw"), st.sampled_from("12")),
)


@given(rules=rule_lists, request=requests)
def test_a_marked_request_goes_the_way_of_the_users_but_for_the_mark(rules: list[Object], request: Request) -> None:
    rendered = route_of(with_rules("smoke-testing-candidate", rules))["spec"]["rules"]
    users = choose(rules, request)
    found = choose(rendered, request)
    weighted = choose(rendered, request.marked(names.PROBE_WEIGHTED))
    candidate = choose(rendered, request.marked(names.PROBE_CANDIDATE))
    if users is None:
        assert (found, weighted, candidate) == (None, None, None)
        return
    assert found is not None
    assert weighted is not None
    assert candidate is not None
    # Each rule has a timeout of its own, which tells it.
    assert users["timeouts"] == found["timeouts"] == weighted["timeouts"] == candidate["timeouts"]
    assert backends(found) == {"chat-blue", "chat-green"}
    assert backends(weighted) == {"chat-blue-check", "chat-green-check"}
    assert backends(candidate) == {"chat-green-check"}


def test_another_value_of_the_mark_is_a_users_request() -> None:
    rendered = route_of(cases.load("smoke-testing-candidate"))["spec"]["rules"]
    rule = choose(rendered, Request().marked("smoke"))
    assert rule is not None
    assert backends(rule) == {"chat-blue", "chat-green"}


def test_no_way_to_the_candidate_without_one() -> None:
    rendered = route_of(cases.load("mid-rollout"))["spec"]["rules"]
    rule = choose(rendered, Request().marked(names.PROBE_CANDIDATE))
    assert rule is not None
    assert backends(rule) == {"chat-blue", "chat-green"}


@pytest.mark.parametrize("name", ["smoke-testing-candidate", "mid-rollout", "rules"])
def test_only_marked_requests_are_told_the_colour(name: str) -> None:
    for rule in route_of(cases.load(name))["spec"]["rules"]:
        for ref in rule.get("backendRefs", ()):
            is_check = ref["name"].endswith("-check")
            assert ("filters" in ref) is is_check
            if is_check:
                color = ref["name"].split("-")[-2]
                (only,) = ref["filters"]
                assert only["responseHeaderModifier"] == {"set": [{"name": names.COLOR_HEADER, "value": color}]}


# --- limits ---


def _many(rules: int, matches_each: int) -> list[Object]:
    return [{"matches": [{"path": {"value": f"/{r}/{m}"}} for m in range(matches_each)]} for r in range(rules)]


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("matches_each", [0, 1, 8])
def test_the_schemas_limits_hold_with_as_many_rules_as_users_may_have(count: int, matches_each: int) -> None:
    case = with_rules("smoke-testing-candidate", _many(count, matches_each))
    rules = route_of(case)["spec"]["rules"]
    assert len(rules) <= 16
    assert sum(len(r.get("matches") or [{}]) for r in rules) <= 128
    marked = len(marked_rules(gateway_of(case)))
    assert marked == min(count, (16 - count) // 2)
    assert len(rules) == count + 2 * marked
    assert rules[-count:] == [
        r | {"backendRefs": rules[-1]["backendRefs"]} if r["matches"] else {"backendRefs": rules[-1]["backendRefs"]}
        for r in _many(count, matches_each)
    ]


def test_the_most_that_a_user_may_write_is_what_the_limits_were_reckoned_with() -> None:
    with pytest.raises(ValueError, match="at most 8"):
        with_rules("mid-rollout", _many(9, 1))
    with pytest.raises(ValueError, match="at most 8"):
        with_rules("mid-rollout", _many(1, 9))


def test_a_match_without_room_for_the_mark_has_none() -> None:
    full = {"headers": [{"name": f"x-{i}", "value": "1"} for i in range(16)]}
    roomy = {"headers": [{"name": f"x-{i}", "value": "1"} for i in range(15)]}
    case = with_rules("mid-rollout", [{"matches": [full, roomy]}, {"matches": [full]}])
    rules = route_of(case)["spec"]["rules"]
    assert [len(r["matches"]) for r in rules] == [1, 2, 1]
    assert [len(m["headers"]) for r in rules for m in r["matches"]] == [16, 16, 15, 16]
    assert len(marked_rules(gateway_of(case))) == 1


# --- ports ---


def ports(*pairs: tuple[str, int]) -> list[ServicePort]:
    return [ServicePort(name=name, port=number) for name, number in pairs]


@pytest.mark.parametrize(
    ("of_release", "wanted", "of_spec", "port"),
    [
        (ports(("a", 1), ("b", 2)), None, ports(("a", 1)), 1),
        (ports(("a", 1), ("b", 2)), "b", ports(("b", 2)), 2),
        (ports(("a", 1), ("b", 2)), "b", ports(("b", 9)), 2),
        # The spec renamed the port: the older release's is told by its number.
        (ports(("a", 1), ("old", 2)), "new", ports(("new", 2), ("a", 1)), 2),
        (ports(("a", 1), ("old", 2)), "new", ports(("new", 3)), 1),
    ],
)
def test_the_port_that_gets_the_traffic(
    of_release: list[ServicePort], wanted: str | None, of_spec: list[ServicePort], port: int
) -> None:
    assert traffic_port(of_release, wanted, of_spec) == port


def test_a_spec_that_is_valid_has_at_least_one_rule() -> None:
    raw = cases.read("mid-rollout")["service"]["spec"]
    spec = ManagedServiceSpec.model_validate(raw)
    assert spec.traffic.gateway is not None
    assert len(spec.traffic.gateway.rules) == 1
