"""The Services in front of the nodes."""

from __future__ import annotations

from typing import Any, Final

from sophia_operator.core.cache import names
from sophia_operator.core.cache.render import metadata
from sophia_operator.core.cache.views import TierView

#: Name of the port, in the Services and in the pods.
PORT_NAME: Final = "redis"


def services(tier: TierView) -> tuple[dict[str, Any], ...]:
    """To the primary, to replicas, and to each node by its name.

    Which node is what, the label of its pod says, and not this Service: so a failover is one write.
    """
    return (
        _by_role(tier, names.workload(tier.name), names.ROLE_PRIMARY),
        _by_role(tier, names.replicas_service(tier.name), names.ROLE_REPLICA),
        _nodes(tier),
    )


def _by_role(tier: TierView, name: str, role: str) -> dict[str, Any]:
    selector = names.selector(tier.name) | {names.LABEL_ROLE: role}
    return _service(tier, name, {"type": "ClusterIP", "selector": selector})


def _nodes(tier: TierView) -> dict[str, Any]:
    # Nodes have names before they are ready: they are not before they have followed a primary.
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": names.selector(tier.name)}
    return _service(tier, names.nodes_service(tier.name), spec)


def _service(tier: TierView, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    port = {"name": PORT_NAME, "protocol": "TCP", "port": names.PORT, "targetPort": PORT_NAME}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata.child(tier, name),
        "spec": {**spec, "ports": [port]},
    }
