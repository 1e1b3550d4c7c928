"""What the operator's own requests through the Gateway look like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.core.marked import Shape, host_of, shape_of
from tests.support.sim import settled, sim, spec


def routed(*matches: dict[str, Any], hostnames: tuple[str, ...] = ("app.example.com",)) -> Any:
    rules = [{"matches": [m]} for m in matches] or [{}]
    gateway = {"parentRefs": [{"name": "gw"}], "hostnames": list(hostnames), "rules": rules}
    return replace(sim().service, spec=spec(traffic={"gateway": gateway}))


@pytest.mark.parametrize(
    ("matches", "shape"),
    [
        ([], Shape("/")),
        ([{"path": {"type": "PathPrefix", "value": "/api"}}], Shape("/api")),
        ([{"method": "POST"}, {"path": {"value": "/read"}}], Shape("/read")),
        ([{"path": {"type": "RegularExpression", "value": "/a.*"}}, {"path": {"value": "/b"}}], Shape("/b")),
        ([{"headers": [{"name": "x-tenant", "value": "a"}]}], Shape("/", {"x-tenant": "a"})),
        ([{"queryParams": [{"name": "v", "value": "2 3"}]}], Shape("/?v=2+3")),
        ([{"method": "POST"}], None),
    ],
)
def test_a_marked_get_reaches_the_first_rule_that_takes_one(matches: list[dict[str, Any]], shape: Shape | None) -> None:
    assert shape_of(routed(*matches)) == shape


def test_wildcard_host_names_get_a_first_label() -> None:
    assert host_of(routed(hostnames=("*.example.com",))) == "sophia-probe.example.com"
    assert host_of(routed(hostnames=())) is None


def test_gateway_smoke_test_names_the_colour_that_must_answer() -> None:
    plan = {"smokeTests": [{"name": "home", "path": "/", "via": "Gateway"}]}
    world = settled(rollout=plan)
    world.change(image="app:2", rollout=plan)
    world.run(5)
    asked = [request for needs in world.asked for request in needs.smoke]
    assert [r.color.value for r in asked if r.color is not None] == ["green"]
