"""The Service that clients connect to."""

from __future__ import annotations

from typing import Any, Final

from sophia_operator.core.pool import names
from sophia_operator.core.pool.render import metadata
from sophia_operator.core.pool.views import PoolView

#: Name of the port, in the Service and in the pods.
PORT_NAME: Final = "postgresql"


def service(pool: PoolView) -> dict[str, Any]:
    """Spreads new connections over the instances that are ready."""
    port = {"name": PORT_NAME, "protocol": "TCP", "port": names.PORT, "targetPort": PORT_NAME}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata.child(pool, names.workload(pool.name)),
        "spec": {"type": "ClusterIP", "selector": names.selector(pool.name), "ports": [port]},
    }


def host(pool: PoolView) -> str:
    """Where clients in the cluster find it."""
    return f"{names.workload(pool.name)}.{pool.namespace}.svc"
