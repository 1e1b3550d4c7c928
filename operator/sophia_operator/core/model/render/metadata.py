"""Metadata of a route's objects."""

from __future__ import annotations

from typing import Any, Final

from sophia_operator.api.common import API_VERSION
from sophia_operator.core.model import names
from sophia_operator.core.model.views import ModelRouteView

#: Values of app.kubernetes.io/component.
TRAFFIC: Final = "model-traffic"  # what clients' requests go through
CONFIG: Final = "model-config"  # what a gateway, or an application, reads


def child(route: ModelRouteView, name: str, component: str) -> dict[str, Any]:
    """Metadata of an object that belongs to the route, and goes with it."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": "ModelRoute",
        "name": route.name,
        "uid": route.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": route.namespace,
        "labels": names.common_labels(route.name, component),
        "ownerReferences": [owner],
    }
