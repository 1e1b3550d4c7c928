"""What a live route stands for, and what becomes of one that somebody edited into what the API does not know."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.traffic import GatewayTraffic
from sophia_operator.core.kept_traffic import traffic_of
from sophia_operator.core.names import PROBE_HEADER

WANTED = GatewayTraffic.model_validate({"parentRefs": [{"name": "new"}], "hostnames": ["new.example.com"]})
MARK = {"headers": [{"name": PROBE_HEADER, "type": "Exact", "value": "weighted"}]}


def live(*rules: dict[str, Any]) -> dict[str, Any]:
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "old", "namespace": "infra"}
    return {"spec": {"parentRefs": [parent], "hostnames": ["old.example.com"], "rules": list(rules)}}


def test_gateways_host_names_and_users_rules_are_read_back() -> None:
    path = {"path": {"type": "PathPrefix", "value": "/api"}}
    redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
    kept = traffic_of(
        live(
            {"matches": [path | MARK], "backendRefs": [{"name": "app-blue-check"}]},
            {"matches": [path], "timeouts": {"request": "10s"}, "backendRefs": [{"name": "app-blue"}]},
            {"filters": [redirect]},
        ),
        WANTED,
    )
    assert kept is not None
    assert [(p.name, p.namespace) for p in kept.parent_refs] == [("old", "infra")]
    assert kept.hostnames == ["old.example.com"]
    assert [r.matches for r in kept.rules] == [[path], []]
    assert [r.timeouts for r in kept.rules] == [{"request": "10s"}, None]
    assert [r.filters for r in kept.rules] == [[], [redirect]]


@pytest.mark.parametrize(
    "route",
    [live(), live({"matches": [MARK]}), live({"matches": [{"path": {"type": "NewerThanUs", "value": "/"}}]})],
    ids=["no rules", "only marked ones", "a newer type"],
)
def test_a_route_that_the_api_does_not_know_is_not_kept(route: dict[str, Any]) -> None:
    assert traffic_of(route, WANTED) is None
