"""Names, labels and keys of everything that belongs to a tier."""

from __future__ import annotations

from typing import Final

from sophia_operator.api import cache_tier_rules
from sophia_operator.api.common import GROUP
from sophia_operator.core import names

LABEL_CACHE: Final = f"{GROUP}/cache"
#: On a pod: what the node said that it is. The Services select by it.
LABEL_ROLE: Final = f"{GROUP}/role"
ROLE_PRIMARY: Final = "primary"
ROLE_REPLICA: Final = "replica"
#: In the pod template: hash of everything that only a new pod takes over. It tells new pods from old ones.
ANNOTATION_RESTART: Final = f"{GROUP}/restart-hash"

PORT: Final = 6379
#: Whom a node follows that was just started: nobody answers there, so it accepts no writes.
FENCE_HOST: Final = "127.0.0.1"
FENCE_PORT: Final = 1
#: In redis.conf of every node, and set by the planner of the topology alone: never among the live settings. A node that
#: has no replica that was heard of in so many seconds accepts no writes, unless the operator told it to.
MIN_REPLICAS: Final = "min-replicas-to-write"
MIN_REPLICAS_LAG: Final = "min-replicas-max-lag"
MIN_REPLICAS_LAG_SECONDS: Final = 5
#: In redis.conf too: a replica hears from a living primary each second, so one that hears nothing says something.
REPLICA_PING: Final = "repl-ping-replica-period"
REPLICA_PING_SECONDS: Final = 1
#: The operator's own user: everything. Of replicas: to follow the primary. Of probes: PING.
ADMIN: Final = "sophia-admin"
REPLICATOR: Final = "sophia-replica"
PROBER: Final = "sophia-probe"
#: Keys of the access Secret. The operator makes it, as it does a pool's, before it renders anything.
CLIENT_KEY: Final = "client-password"
ADMIN_KEY: Final = "admin-password"
REPLICATOR_KEY: Final = "replicator-password"
PROBER_KEY: Final = "prober-password"
#: Name of the one node of an adopted Redis.
EXTERNAL: Final = "external"
#: Keys of the operator's own: those of its checks. Of no namespace, and never counted.
OWN_PREFIX: Final = cache_tier_rules.OWN_PREFIX


def workload(tier: str) -> str:
    """Name of the StatefulSet, of the PodDisruptionBudget, and of the Service that leads to the primary."""
    return f"{tier}-cache"


def replicas_service(tier: str) -> str:
    """Service that leads to replicas."""
    return f"{tier}-cache-replicas"


def nodes_service(tier: str) -> str:
    """Headless Service that gives every node, ready or not, a name."""
    return f"{tier}-cache-nodes"


def config_secret(tier: str) -> str:
    """Secret with redis.conf, users.acl and the scripts."""
    return f"{tier}-cache-config"


def access_secret(tier: str) -> str:
    """Secret with the passwords that the operator made."""
    return f"{tier}-cache-access"


def binding_secret(tier: str) -> str:
    """Secret for applications."""
    return f"{tier}-cache-binding"


def chain_config_map(tier: str) -> str:
    """ConfigMap with the chain, for applications."""
    return f"{tier}-cache-chain"


def host(tier: str, namespace: str) -> str:
    """Where clients in the cluster find the primary, and the name that a certificate is valid for."""
    return f"{workload(tier)}.{namespace}.svc"


def client_user(tier: str) -> str:
    """User that applications connect as."""
    return f"{tier}-client"


def labels(tier: str) -> dict[str, str]:
    """Labels of every child."""
    return {
        "app.kubernetes.io/name": "redis",
        "app.kubernetes.io/instance": tier,
        "app.kubernetes.io/component": "cache-tier",
        "app.kubernetes.io/part-of": tier,
        "app.kubernetes.io/managed-by": names.MANAGER,
        LABEL_CACHE: tier,
    }


def selector(tier: str) -> dict[str, str]:
    """Labels that tell the nodes of a tier."""
    return {LABEL_CACHE: tier}


def generation(number: int, revision: int | None = None) -> str:
    """The part of a key that says its generation: `g1`, or `g1r7` for the own generation of release 7.

    The number counts flushes by generation; so a release that is rolled back to finds what it left.
    """
    return f"g{number}" if revision is None else f"g{number}r{revision}"


def key_prefix(prefix: str, number: int, revision: int | None = None) -> str:
    """What the keys of a namespace begin with in a generation, as in `emb:g1r7:`."""
    return f"{prefix}:{generation(number, revision)}:"
