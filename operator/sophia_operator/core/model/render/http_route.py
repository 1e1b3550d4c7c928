"""The HTTPRoute: over the models' Services by weights, or in front of Portkey, with what that is told."""

from __future__ import annotations

import copy
from typing import Any, Final

from sophia_operator.api.model_endpoint import Model
from sophia_operator.api.model_gateway import HttpRouteGateway, PortkeyGateway
from sophia_operator.core.model import names
from sophia_operator.core.model.render import metadata, portkey
from sophia_operator.core.model.render.order import shares_of
from sophia_operator.core.model.render.way import PROXY_PATH
from sophia_operator.core.model.views import ModelRouteView

API_VERSION: Final = "gateway.networking.k8s.io/v1"
#: Without it, gateways have time limits of their own for a whole answer: Envoy would cut a stream off after 15 s.
_FOR_EVER: Final = "0s"


def http_route(route: ModelRouteView) -> dict[str, Any] | None:
    """The HTTPRoute; None while no model serves, and with LiteLLM.

    The first rule is for clients that leave the choice to the route, and the others for those that choose a model: by
    one more header their match outranks the first.
    """
    shares, gateway = shares_of(route), route.spec.gateway
    if not shares:
        return None
    if gateway.portkey is not None:
        way, rules = gateway.portkey.http_route, _portkey_rules(route, gateway.portkey)
    elif gateway.http_route is not None:
        way, rules = gateway.http_route, _weighted_rules(route, gateway.http_route, shares)
    else:
        return None
    return {
        "apiVersion": API_VERSION,
        "kind": "HTTPRoute",
        "metadata": metadata.child(route, names.workload(route.name), metadata.TRAFFIC),
        "spec": {
            "parentRefs": [ref.to_dict() for ref in way.parent_refs],
            "hostnames": list(way.hostnames),
            "rules": rules,
        },
    }


def _weighted_rules(route: ModelRouteView, way: HttpRouteGateway, shares: dict[str, int]) -> list[dict[str, Any]]:
    models = route.spec.models
    # Models without a share stay listed: their connections and their health are known when traffic comes.
    everybody = [_backend(route, model, shares[model.name]) for model in models]
    filters = _rewrite(way, _path(models[0]))
    chosen = [_rule(way, model, [_backend(route, model, 1)], copy.deepcopy(filters)) for model in models]
    return [_rule(way, None, everybody, filters), *chosen]


def _backend(route: ModelRouteView, model: Model, weight: int) -> dict[str, Any]:
    service = model.endpoint.service_ref
    assert service is not None  # admission holds that
    said = {names.MODEL_HEADER: model.name, names.REVISION_HEADER: str(route.status.revision)}
    return {"name": service.name, "port": service.port, "weight": weight, "filters": [_response_headers(said)]}


def _path(model: Model) -> str:
    service = model.endpoint.service_ref
    assert service is not None  # admission holds that, and that the path is the same for all models
    return service.path


def _portkey_rules(route: ModelRouteView, gateway: PortkeyGateway) -> list[dict[str, Any]]:
    way = gateway.http_route
    chosen: list[Model | None] = [None, *route.spec.models]
    return [_portkey_rule(route, gateway, way, model) for model in chosen]


def _portkey_rule(
    route: ModelRouteView, gateway: PortkeyGateway, way: HttpRouteGateway, chosen: Model | None
) -> dict[str, Any]:
    value = portkey.config(route, None if chosen is None else chosen.name)
    modifier = {
        "set": [{"name": portkey.CONFIG_HEADER, "value": value}],
        "remove": list(portkey.OVERRULING_HEADERS),
    }
    filters = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": modifier},
        _response_headers({names.REVISION_HEADER: str(route.status.revision)}),
        *_rewrite(way, PROXY_PATH),
    ]
    backend = {"name": names.workload(route.name), "port": gateway.port, "weight": 1}
    return _rule(way, chosen, [backend], filters)


def _rule(
    way: HttpRouteGateway, chosen: Model | None, backends: list[dict[str, Any]], filters: list[dict[str, Any]]
) -> dict[str, Any]:
    match: dict[str, Any] = {"path": {"type": "PathPrefix", "value": way.path or "/"}}
    if chosen is not None:
        match["headers"] = [{"type": "Exact", "name": names.CHOICE_HEADER, "value": chosen.name}]
    rule: dict[str, Any] = {"matches": [match], "timeouts": {"request": _FOR_EVER}}
    return rule | ({"filters": filters} if filters else {}) | {"backendRefs": backends}


def _rewrite(way: HttpRouteGateway, path: str) -> list[dict[str, Any]]:
    """What makes the clients' path that of the backends."""
    if path == way.path:
        return []
    replaced = {"type": "ReplacePrefixMatch", "replacePrefixMatch": path or "/"}
    return [{"type": "URLRewrite", "urlRewrite": {"path": replaced}}]


def _response_headers(values: dict[str, str]) -> dict[str, Any]:
    written = [{"name": name, "value": value} for name, value in values.items()]
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": written}}
