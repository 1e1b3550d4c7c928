"""What leads to the pods of a gateway that somebody else runs, and what they read."""

from __future__ import annotations

from typing import Any

from sophia_operator.api.model_gateway import GatewayPods
from sophia_operator.core.model import names
from sophia_operator.core.model.render import metadata
from sophia_operator.core.model.render.litellm import litellm_data
from sophia_operator.core.model.views import ModelRouteView


def service(route: ModelRouteView, pods: GatewayPods) -> dict[str, Any]:
    """The Service. Its EndpointSlices have its labels, so they are watched, and say which pods there are."""
    port = {"name": "http", "protocol": "TCP", "port": pods.port, "targetPort": pods.port}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata.child(route, names.workload(route.name), metadata.TRAFFIC),
        "spec": {"type": "ClusterIP", "selector": dict(pods.selector), "ports": [port]},
    }


def litellm_config_map(route: ModelRouteView) -> dict[str, Any]:
    """What LiteLLM proxies read."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata.child(route, names.litellm_config_map(route.name), metadata.CONFIG),
        "data": litellm_data(route),
    }
