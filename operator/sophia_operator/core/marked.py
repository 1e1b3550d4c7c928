"""The operator's own requests through the Gateway: what one must look like to reach a rule for marked requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sophia_operator.core.render.route import marked_rules
from sophia_operator.core.views import ServiceView


@dataclass(frozen=True, slots=True)
class Shape:
    """Path with its query, and headers, of a GET that a rule matches."""

    path: str
    headers: dict[str, str] = field(default_factory=dict)


def shape_of(service: ServiceView) -> Shape | None:
    """The request for the first rule that a marked GET can reach; None when there is none."""
    gateway = service.spec.traffic.gateway
    if gateway is None:
        return None
    for rule in marked_rules(gateway):
        for match in rule.matches or [{}]:
            shape = _shape(match)
            if shape is not None:
                return shape
    return None


def headers_of(service: ServiceView) -> dict[str, str]:
    """Headers that a request of any path needs to reach the service."""
    shape = shape_of(service)
    return shape.headers if shape is not None else {}


def host_of(service: ServiceView) -> str | None:
    """A host name that the route answers to; None when it answers to all."""
    gateway = service.spec.traffic.gateway
    if gateway is None or not gateway.hostnames:
        return None
    return gateway.hostnames[0].replace("*", "sophia-probe", 1)


def _shape(match: dict[str, Any]) -> Shape | None:
    """A GET that the match takes; None when only another method, or a pattern that we would have to invert, does."""
    if match.get("method", "GET") != "GET":
        return None
    path = match.get("path") or {}
    conditions = [*(match.get("headers") or []), *(match.get("queryParams") or [])]
    if any(c.get("type", "Exact") != "Exact" for c in [*conditions, *([path] if _is_pattern(path) else [])]):
        return None
    query = urlencode([(str(q.get("name")), str(q.get("value"))) for q in match.get("queryParams") or []])
    where = str(path.get("value") or "/")
    headers = {str(h.get("name")): str(h.get("value")) for h in match.get("headers") or []}
    return Shape(f"{where}?{query}" if query else where, headers)


def _is_pattern(path: dict[str, Any]) -> bool:
    return path.get("type") == "RegularExpression"
