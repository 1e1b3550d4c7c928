"""ModelRoutes as tests apply them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, Final

from sophia_operator.core.model.views import ModelRouteView
from sophia_operator.runtime.models.observe import route_view

NAMESPACE: Final = "shop"
NAME: Final = "chat"
START: Final = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
#: What gateways ask for, and what the models' own APIs ask for.
GATEWAY_KEY: Final = "sk-gateway-canary"
LABELS: Final = {"app": "litellm"}


def model(name: str, **more: Any) -> dict[str, Any]:
    """A model at an endpoint of its own, which asks for a key."""
    usual = {
        "name": name,
        "model": f"{name}-model",
        "endpoint": {"url": f"https://{name}.example.com/v1"},
        "credentialsSecretRef": {"name": f"{name}-key"},
    }
    return {key: value for key, value in {**usual, **more}.items() if value is not None}


def served_model(name: str, **more: Any) -> dict[str, Any]:
    """A model that a Service of the cluster serves, under the name that all of them have."""
    endpoint = {"serviceRef": {"name": name, "port": 8000}}
    return {"name": name, "model": "llama", "endpoint": endpoint, **more}


def model_route(name: str = NAME, **spec: Any) -> dict[str, Any]:
    """A route over three models by LiteLLM proxies, of which `primary` is the best and probed each second. `spec`
    replaces parts of the spec."""
    usual: dict[str, Any] = {
        "models": [model("primary", quality="0.9"), model("second", quality="0.8"), model("third", quality="0.7")],
        "gateway": {"liteLLM": {"selector": LABELS, "credentialsSecretRef": {"name": "gateway-key"}}},
        "probe": {"intervalSeconds": 1, "timeoutSeconds": 10},
        "switch": {"forSeconds": 3},
        "failback": {"healthySeconds": 30, "stages": [10, 50, 100], "stageSeconds": 10, "holdSeconds": 20},
    }
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**usual, **spec},
    }


def http_route(name: str = NAME, **spec: Any) -> dict[str, Any]:
    """A route over two Services by an HTTPRoute, which two Envoys carry out."""
    way = {
        "parentRefs": [{"name": "gw"}],
        "hostnames": ["models.example.com"],
        "dataPlane": {"host": "envoy.infra.svc", "port": 8080},
    }
    models = [served_model("primary", quality="0.9"), served_model("second", quality="0.7")]
    gateway = {"httpRoute": {**way, **spec.pop("way", {})}}
    return model_route(name, **{"models": models, "gateway": gateway, **spec})


def portkey_route(name: str = NAME, **spec: Any) -> dict[str, Any]:
    """A route over two models of one account by Portkey gateways, behind an HTTPRoute which two Envoys carry out."""
    way = {
        "parentRefs": [{"name": "gw"}],
        "hostnames": ["models.example.com"],
        "dataPlane": {"host": "envoy.infra.svc", "port": 8080},
    }
    account = {"credentialsSecretRef": {"name": "account-key"}}
    models = [model("primary", quality="0.9", **account), model("second", quality="0.8", **account)]
    gateway = {"portkey": {"selector": {"app": "portkey"}, "httpRoute": {**way, **spec.pop("way", {})}}}
    return model_route(name, **{"models": models, "gateway": gateway, **spec})


def secret(name: str, **content: str) -> dict[str, Any]:
    """A Secret with that content."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in content.items()},
    }


def key_of(name: str) -> str:
    """The key that a model's API asks for."""
    return f"sk-{name}-canary"


def keys() -> tuple[dict[str, Any], ...]:
    """The Secrets that a route needs."""
    found = [secret(f"{name}-key", **{"api-key": key_of(name)}) for name in ("primary", "second", "third")]
    return (*found, secret("gateway-key", **{"api-key": GATEWAY_KEY}))


def view(obj: dict[str, Any], **status: Any) -> ModelRouteView:
    """The route as a pass reads it."""
    meta = {"uid": "uid-1", "generation": 1, "resourceVersion": "1", "creationTimestamp": "2026-03-01T12:00:00Z"}
    return route_view(obj | {"metadata": obj["metadata"] | meta, "status": status})
