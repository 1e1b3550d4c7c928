"""What the cluster should hold for a route: pure, and the same for the same input to the last byte.

It is rendered from the spec and the status alone: shares, fallbacks and their revision are persisted before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sophia_operator.core.hashing import versioned_hash
from sophia_operator.core.model import names
from sophia_operator.core.model.render.binding import binding_secret, endpoint
from sophia_operator.core.model.render.gateway_pods import litellm_config_map, service
from sophia_operator.core.model.render.http_route import API_VERSION as ROUTE_API_VERSION
from sophia_operator.core.model.render.http_route import http_route
from sophia_operator.core.model.views import ModelRouteDesired, ModelRouteObserved, ModelRouteView
from sophia_operator.core.render.desired import ChildRef

__all__ = ["endpoint", "render"]


def render(route: ModelRouteView, observed: ModelRouteObserved) -> ModelRouteDesired:
    """The objects of a route, in the order to apply them.

    What cannot be rendered yet is left out, and so stays as it is.
    """
    gateway, mounted = route.spec.gateway, None
    objects: list[Mapping[str, Any] | None] = []
    pods = gateway.lite_llm or gateway.portkey
    if pods is not None:
        objects.append(service(route, pods))
    if gateway.lite_llm is not None:
        config_map = litellm_config_map(route)
        mounted = versioned_hash(config_map["data"])
        objects.append(config_map)
    objects += [http_route(route), binding_secret(route, observed)]
    return ModelRouteDesired(tuple(o for o in objects if o is not None), tuple(_left_over(route)), mounted)


def _left_over(route: ModelRouteView) -> Iterator[ChildRef]:
    """What belongs to the other kinds of gateways: with it, clients would go on by the old way."""
    gateway, workload = route.spec.gateway, names.workload(route.name)
    if gateway.lite_llm is not None:
        yield ChildRef(ROUTE_API_VERSION, "HTTPRoute", workload)
    else:
        yield ChildRef("v1", "ConfigMap", names.litellm_config_map(route.name))
    if gateway.http_route is not None:
        yield ChildRef("v1", "Service", workload)
