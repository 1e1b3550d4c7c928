"""Where marked requests go for each kind of gateway."""

from __future__ import annotations

from typing import Any

from sophia_operator.core.model.findings import ReplicaTarget
from sophia_operator.core.model.render.portkey import CONFIG_HEADER, config, options
from sophia_operator.core.model.targets import replica_request
from sophia_operator.core.model.views import GatewayPod, ModelAccess, ModelRouteObserved
from tests.support.model_routes import http_route, model_route, portkey_route, view

TOLD: dict[str, Any] = {"revision": 4, "shares": [{"name": "primary", "percent": 100}], "fallbacks": ["second"]}
PODS = (
    GatewayPod("gw-a", "10.4.0.1", ready=True),
    GatewayPod("gw-b", "fd00::2", ready=True),
    GatewayPod("gw-c", "10.4.0.3", ready=False),
)
MARK = {"x-sophia-mark": "shop/chat"}


def targets(obj: dict[str, Any], told: dict[str, Any] = TOLD, **seen: Any) -> tuple[ReplicaTarget, ...]:
    request = replica_request(view(obj, **told), ModelRouteObserved(**seen))
    return request.targets if request is not None else ()


def keys(**found: str | None) -> dict[str, ModelAccess]:
    return {name: ModelAccess(api_key=key) for name, key in found.items()}


def test_each_litellm_pod_that_is_ready_is_asked_with_its_own_key() -> None:
    found = targets(model_route(), pods=PODS, gateway_key="of-the-gateway", access=keys(primary="of-the-model"))

    assert [(t.name, t.base_url, t.host, t.path) for t in found] == [
        ("gw-a", "http://10.4.0.1:4000", None, "/v1"),
        ("gw-b", "http://[fd00::2]:4000", None, "/v1"),
    ]
    assert {(t.model, t.api_key, t.revision, t.says_revision) for t in found} == {("chat", "of-the-gateway", 4, True)}
    assert all(t.headers == MARK and not t.options and not t.resolve for t in found)


def test_of_an_http_route_each_pod_behind_the_name_of_the_data_plane_is_asked() -> None:
    (found,) = targets(http_route(), gateway_url="http://192.0.2.9:80")

    assert (found.name, found.base_url, found.resolve) == ("envoy.infra.svc", "http://envoy.infra.svc:8080", True)
    assert (found.host, found.path, found.model) == ("models.example.com", "/v1", "llama")
    assert (found.headers, found.options, found.says_revision) == (MARK, {}, True)


def test_without_a_data_plane_the_gateways_address_is_asked() -> None:
    (found,) = targets(http_route(way={"dataPlane": None}), gateway_url="http://192.0.2.9:8000")

    assert (found.name, found.base_url, found.resolve) == ("192.0.2.9", "http://192.0.2.9:8000", False)


def test_a_data_plane_speaks_what_the_gateways_listener_does() -> None:
    (found,) = targets(http_route(), gateway_url="https://192.0.2.9:443")

    assert found.base_url == "https://envoy.infra.svc:8080"


def test_while_nothing_is_told_and_no_replica_is_known_nobody_is_asked() -> None:
    assert targets(model_route(), {"revision": 0}, pods=PODS) == ()
    assert targets(model_route(), {**TOLD, "shares": []}, pods=PODS) == ()
    assert targets(model_route()) == ()
    assert targets(model_route(), pods=PODS[2:]) == ()
    assert targets(http_route(way={"dataPlane": None})) == ()
    # What pods say proves nothing while no carrier is known.
    assert targets(portkey_route(way={"dataPlane": None}), pods=PODS) == ()


def test_of_portkey_the_data_plane_is_asked_and_each_pod_past_it() -> None:
    obj, route = portkey_route(), view(portkey_route(), **TOLD)
    carrier, *pods = targets(obj, gateway_url="http://192.0.2.9:80", pods=PODS)

    assert (carrier.name, carrier.headers, carrier.says_revision) == ("envoy.infra.svc", MARK, True)
    assert [(t.name, t.base_url) for t in pods] == [
        ("gw-a", "http://10.4.0.1:8787"),
        ("gw-b", "http://[fd00::2]:8787"),
    ]
    assert all(t.headers == {**MARK, CONFIG_HEADER: config(route)} and not t.says_revision for t in pods)
    assert all(t.options == options(route) and t.revision == 4 for t in (carrier, *pods))


def test_the_key_that_all_models_share_goes_along_and_of_several_none() -> None:
    (shared,) = targets(http_route(), access=keys(primary="k", second="k", third=None))
    (several,) = targets(http_route(), access=keys(primary="k", second="l"))

    assert (shared.api_key, several.api_key) == ("k", None)


def test_no_key_goes_to_a_gateways_own_address_in_the_clear() -> None:
    obj, access = http_route(way={"dataPlane": None}), keys(primary="canary")
    (clear,) = targets(obj, gateway_url="http://192.0.2.9:80", access=access)
    (hidden,) = targets(obj, gateway_url="https://192.0.2.9:443", access=access)

    assert (clear.api_key, hidden.api_key) == (None, "canary")
    assert "canary" not in repr(hidden)


def test_they_wait_as_long_as_probes() -> None:
    route = view(model_route(probe={"timeoutSeconds": 7}), **TOLD)
    request = replica_request(route, ModelRouteObserved(pods=PODS))

    assert request is not None
    assert request.timeout_seconds == 7.0
