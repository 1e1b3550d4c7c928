"""Names and labels of everything that belongs to a pool."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.common import GROUP
from sophia_operator.core import names

LABEL_POOL: Final = f"{GROUP}/pool"
#: On a pod: the configuration that its volume was last made to look at.
ANNOTATION_CONFIG: Final = f"{GROUP}/config-hash"
#: In the pod template: hash of everything that only a new pod takes over. It tells new pods from old ones.
ANNOTATION_RESTART: Final = f"{GROUP}/restart-hash"

#: Port of the PgBouncers, and of the Service in front of them.
PORT: Final = 5432
#: User of the admin console and of checks through the instances.
ADMIN: Final = "sophia-admin"
#: Database, in PgBouncer's configuration, with server connections of its own for checks.
CHECK_DATABASE: Final = "sophia-check"
#: Database, in PgBouncer's configuration, that nobody can connect to: SHOW DATABASES shows the hash of the
#: configuration as the name of the database behind it.
MARKER_DATABASE: Final = "sophia-config"
#: What the operator calls itself at the server.
APPLICATION: Final = "sophia-operator"


def workload(pool: str) -> str:
    """Name of the Deployment, the Service and the PodDisruptionBudget."""
    return f"{pool}-pool"


def config_secret(pool: str) -> str:
    """Secret with pgbouncer.ini and userlist.txt."""
    return f"{pool}-pool-config"


def access_secret(pool: str) -> str:
    """Secret with the passwords that the operator made."""
    return f"{pool}-pool-access"


def binding_secret(pool: str) -> str:
    """Secret for applications."""
    return f"{pool}-pool-binding"


def client_user(pool: str) -> str:
    """User that applications connect as. It follows from the pool's name alone: so it stays when the user at the server
    becomes another one."""
    return f"{pool}-client"


def labels(pool: str) -> dict[str, str]:
    """Labels of every child."""
    return {
        "app.kubernetes.io/name": "pgbouncer",
        "app.kubernetes.io/instance": pool,
        "app.kubernetes.io/component": "connection-pool",
        "app.kubernetes.io/part-of": pool,
        "app.kubernetes.io/managed-by": names.MANAGER,
        LABEL_POOL: pool,
    }


def selector(pool: str) -> dict[str, str]:
    """Labels that tell the pods of a pool."""
    return {LABEL_POOL: pool}
