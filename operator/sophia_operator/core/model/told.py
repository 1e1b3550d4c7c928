"""What the gateway is told, as one hash: while it stays the same, so does `status.revision`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sophia_operator.api.model_endpoint import Model
from sophia_operator.api.model_gateway import GatewayPods, HttpRouteGateway
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.core.hashing import versioned_hash


def told_hash(spec: ModelRouteSpec, shares: Mapping[str, int], fallbacks: Sequence[str]) -> str:
    """`v1:<sha256>` of all that the gateway is told, with the shares in percent by model and the fallbacks in order.

    What only the operator needs is left out, such as limits, keys and where replicas are: a new number would have
    every replica prove anew what did not change.
    """
    gateway = spec.gateway
    told: dict[str, Any] = {
        "models": [_model(model) for model in spec.models],
        "shares": {name: share for name, share in shares.items() if share > 0},
    }
    if gateway.http_route is not None:
        # No HTTPRoute has a place for fallbacks, and their order changes whenever ranks do.
        return versioned_hash(told | {"httpRoute": _way(gateway.http_route)})
    told["fallbacks"] = list(fallbacks)
    told["withKey"] = [m.name for m in spec.models if m.credentials_secret_ref is not None]
    if gateway.portkey is not None:
        told["portkey"] = _pods(gateway.portkey) | {"httpRoute": _way(gateway.portkey.http_route)}
    if gateway.lite_llm is not None:
        told["liteLLM"] = _pods(gateway.lite_llm)
    return versioned_hash(told)


def _model(model: Model) -> dict[str, Any]:
    endpoint = model.endpoint
    service = None if endpoint.service_ref is None else endpoint.service_ref.to_dict()
    return {"name": model.name, "model": model.model, "url": endpoint.url, "serviceRef": service}


def _way(way: HttpRouteGateway) -> dict[str, Any]:
    return {
        "parentRefs": [ref.to_dict() for ref in way.parent_refs],
        "hostnames": list(way.hostnames),
        "path": way.path,
    }


def _pods(pods: GatewayPods) -> dict[str, Any]:
    return {"timeoutSeconds": pods.timeout_seconds}
