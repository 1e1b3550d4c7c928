"""The HTTPRoute that spreads users' requests over the two colours, and the way of the operator's own requests."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sophia_operator.api.release import Color
from sophia_operator.api.traffic import GatewayTraffic, RouteRule, ServicePort
from sophia_operator.core import names
from sophia_operator.core.kept_traffic import is_marked
from sophia_operator.core.render import metadata
from sophia_operator.core.render.scene import Scene

API_VERSION: Final = "gateway.networking.k8s.io/v1"
#: Limits of the HTTPRoute's schema.
MAX_RULES: Final = 16
MAX_HEADERS: Final = 16


def http_route(scene: Scene, gateway: GatewayTraffic) -> dict[str, Any]:
    """The route with all its rules: marked requests first, then users' requests."""
    rules = [*_marked_rules(scene, gateway), *_users_rules(scene, gateway)]
    spec: dict[str, Any] = {"parentRefs": [p.to_dict() for p in gateway.parent_refs]}
    if gateway.hostnames:
        spec["hostnames"] = list(gateway.hostnames)
    return {
        "apiVersion": API_VERSION,
        "kind": "HTTPRoute",
        "metadata": metadata.service_child(scene.service, scene.service.name, metadata.TRAFFIC),
        "spec": spec | {"rules": rules},
    }


def traffic_port(ports: Sequence[ServicePort], wanted: str | None, spec_ports: Sequence[ServicePort] = ()) -> int:
    """Number of the port that gets the traffic: the one named `wanted`, the first one when no name is given.

    A release may be older than the name: then it is the port with the number that the name has in `spec_ports`.
    """
    if wanted is not None:
        numbers = {p.port for p in spec_ports if p.name == wanted}
        named = [p for p in ports if p.name == wanted] or [p for p in ports if p.port in numbers]
        if named:
            return named[0].port
    return ports[0].port


def marked_rules(gateway: GatewayTraffic) -> list[RouteRule]:
    """The rules through which the operator's marked requests can go: as many, from the first, as a route has room for.

    A marked request that matches only other rules is answered like a user's, without the header that names a colour.
    """
    candidates = [r for r in gateway.rules if not _redirects(r) and _marked_matches(r, names.PROBE_WEIGHTED)]
    return candidates[: (MAX_RULES - len(gateway.rules)) // 2]


def _users_rules(scene: Scene, gateway: GatewayTraffic) -> Iterable[dict[str, Any]]:
    for rule in gateway.rules:
        matches = copy.deepcopy(rule.matches)
        if _redirects(rule):
            # The Gateway API allows no backends beside a redirect; the Gateway answers by itself.
            yield _rule(matches, copy.deepcopy(rule.filters), rule.timeouts, [])
            continue
        backends = [
            _backend(scene, gateway, color, names.color_service(scene.service.name, color), scene.weight(color))
            for color in Color
        ]
        yield _rule(matches, copy.deepcopy(rule.filters), rule.timeouts, backends)


def _marked_rules(scene: Scene, gateway: GatewayTraffic) -> Iterable[dict[str, Any]]:
    candidate = scene.placement.candidate
    for rule in marked_rules(gateway):
        # Marked requests are the operator's, no traffic: they are not mirrored to where users' requests are.
        filters = [copy.deepcopy(f) for f in rule.filters if f.get("type") != "RequestMirror"]
        if candidate is not None:
            matches = _marked_matches(rule, names.PROBE_CANDIDATE)
            yield _rule(matches, copy.deepcopy(filters), rule.timeouts, [_check_backend(scene, gateway, candidate, 1)])
        matches = _marked_matches(rule, names.PROBE_WEIGHTED)
        backends = [_check_backend(scene, gateway, color, scene.weight(color)) for color in Color]
        yield _rule(matches, filters, rule.timeouts, backends)


def _marked_matches(rule: RouteRule, mark: str) -> list[dict[str, Any]]:
    """The rule's matches, each with the mark on top: by one more header they outrank the user's own.

    A match that has no room for it, or is about the mark itself, is left out.
    """
    marked: list[dict[str, Any]] = []
    for match in copy.deepcopy(rule.matches) or [{}]:
        headers = match.get("headers") or []
        if len(headers) >= MAX_HEADERS or is_marked(match):
            continue
        marked.append(match | {"headers": [*headers, {"type": "Exact", "name": names.PROBE_HEADER, "value": mark}]})
    return marked


def _rule(
    matches: list[dict[str, Any]],
    filters: list[dict[str, Any]],
    timeouts: dict[str, Any] | None,
    backends: list[dict[str, Any]],
) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if matches:
        rule["matches"] = matches
    if filters:
        rule["filters"] = filters
    if timeouts:
        rule["timeouts"] = copy.deepcopy(timeouts)
    if backends:
        rule["backendRefs"] = backends
    return rule


def _check_backend(scene: Scene, gateway: GatewayTraffic, color: Color, weight: int) -> dict[str, Any]:
    backend = _backend(scene, gateway, color, names.check_service(scene.service.name, color), weight)
    modifier = {"set": [{"name": names.COLOR_HEADER, "value": color.value}]}
    return backend | {"filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": modifier}]}


def _backend(scene: Scene, gateway: GatewayTraffic, color: Color, name: str, weight: int) -> dict[str, Any]:
    port = traffic_port(scene.ports(color), gateway.port, scene.service.spec.ports)
    return {"name": name, "port": port, "weight": weight}


def _redirects(rule: RouteRule) -> bool:
    return any(f.get("type") == "RequestRedirect" for f in rule.filters)
