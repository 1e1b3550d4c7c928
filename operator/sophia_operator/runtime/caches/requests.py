"""How the operator speaks to the nodes, and to the table, of a tier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sophia_operator.core.cache import names
from sophia_operator.core.cache.conf import CA
from sophia_operator.core.cache.findings import NodeRequest, NodeTls
from sophia_operator.core.cache.settings import live_settings
from sophia_operator.core.cache.table import TableRequest
from sophia_operator.core.cache.views import NodeView, TierAccess, TierView
from sophia_operator.core.pool.servers import reachable_host

#: Beside the live settings: what the planner of the topology goes by, on nodes that are the operator's.
_OF_TOPOLOGY: Final = (names.MIN_REPLICAS, names.MIN_REPLICAS_LAG)


def node_request(
    tier: TierView, access: TierAccess, node: NodeView, *, full: bool, timeout_seconds: float
) -> NodeRequest | None:
    """None while the node has no address."""
    redis = tier.spec.redis
    if redis is None or node.address is None:
        return None
    if redis.external is not None:
        external = redis.external
        return NodeRequest(
            name=node.name,
            host=reachable_host(tier.namespace, node.address),
            port=external.port,
            username=access.client_username,
            password=access.client_password,
            tls=NodeTls(external.host, access.ca) if external.tls is not None else None,
            settings=tuple(live_settings(tier)),
            full=full,
            timeout_seconds=timeout_seconds,
        )
    secured = redis.managed is not None and redis.managed.tls is not None
    return NodeRequest(
        name=node.name,
        host=node.address,
        port=names.PORT,
        username=names.ADMIN,
        password=access.admin_password,
        # Nodes are spoken to by their addresses, which no certificate is valid for.
        tls=NodeTls(names.host(tier.name, tier.namespace), access.ca) if secured else None,
        settings=tuple(dict.fromkeys((*live_settings(tier), *_OF_TOPOLOGY))),
        full=full,
        timeout_seconds=timeout_seconds,
    )


def table_request(tier: TierView, access: TierAccess) -> TableRequest | None:
    """Through the pool, as applications do; None for other levels."""
    level, binding = tier.spec.postgresql, access.pool_binding
    if level is None or binding is None:
        return None
    ca = binding.get(CA)
    return TableRequest(
        host=binding["host"],
        port=int(binding["port"]),
        database=binding["database"],
        username=binding["username"],
        password=binding["password"],
        table=level.table,
        unlogged=level.unlogged,
        ca=ca,
        ssl_mode=_ssl_mode(binding),
    )


def _ssl_mode(binding: Mapping[str, str]) -> str:
    if CA in binding:
        return "verify-full"
    return "require" if "sslmode=require" in binding.get("uri", "") else "prefer"
