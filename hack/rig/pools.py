"""ConnectionPools on the cluster, and what they are doing."""

from __future__ import annotations

import base64
import socket
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo

from hack.cluster import versions
from hack.demo.figures import seconds_of
from hack.rig.api import Json, is_ready
from hack.rig.databases import DATABASE, Database
from hack.rig.told import Told, condition_of, conditions_of
from hack.rig.waiting import until

__all__ = ["NEWER_IMAGE", "POOLER_IMAGE", "PORT", "Pool", "behind", "condition_of", "conditions_of", "pool"]

POOLER_IMAGE: Final = "localhost/sophia-pgbouncer:dev"
#: A PgBouncer that has what newer versions have.
NEWER_IMAGE: Final = f"localhost/pgbouncer-newer:{versions.of('pgbouncer-newer')}"
PORT: Final = 5432
_LABEL: Final = "sophia.ai/pool"
_CONNECT_SECONDS: Final = 5


def pool(name: str, server: Database, **spec: Any) -> Json:
    """A small ConnectionPool in front of a database, that is looked at every second. `spec` as in the API."""
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ConnectionPool",
        "metadata": {"name": name, "namespace": server.namespace},
        "spec": {
            "database": behind(server),
            "instances": 2,
            "size": {"min": 2, "max": 8},
            "maxClients": 100,
            "connectTimeoutSeconds": 5,
            "healthCheck": {"intervalSeconds": 1},
            "template": {"resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}},
            **spec,
        },
    }


def behind(server: Database, **changes: Any) -> Json:
    """A pool's `spec.database`."""
    reference = {"name": server.credentials}
    return {"host": server.host, "name": DATABASE, "credentialsSecretRef": reference, **changes}


class Pool(Told):
    """One test pool on the cluster."""

    kind = "ConnectionPool"
    under_way = ("reconnect",)

    def __init__(self, database: Database, name: str = "orders") -> None:
        super().__init__(database.api, database.namespace, name)
        self.database = database

    def apply(self, **spec: Any) -> Json:
        """Apply the pool; `spec` as of `pool`."""
        return self.api.apply(pool(self.name, self.database, **spec))

    # -- What it says -------------------------------------------------------------------------------------------------

    def wait_reconnected(self, since: float, *, seconds: float = 60) -> Json:
        """Wait until a reconnect that ended after that moment (seconds since the epoch) is in its status."""

        def look(found: Json) -> Json | None:
            past = (found.get("status") or {}).get("reconnects") or []
            return past[-1] if past and seconds_of(past[-1]["endedAt"]) >= since else None

        return self.wait("to reconnect", look, seconds=seconds)

    # -- Its parts ----------------------------------------------------------------------------------------------------

    def pods(self) -> list[Json]:
        """Pods of its instances that are not on their way out, by name."""
        found = self.api.list("Pod", self.namespace, f"{_LABEL}={self.name}")
        there = [p for p in found if not p["metadata"].get("deletionTimestamp")]
        return sorted(there, key=lambda p: str(p["metadata"]["name"]))

    def uids(self) -> set[str]:
        """Which pods those are."""
        return {p["metadata"]["uid"] for p in self.pods()}

    def addresses(self) -> dict[str, str]:
        """Addresses of instances that are ready, by name."""
        return {p["metadata"]["name"]: p["status"]["podIP"] for p in self.pods() if is_ready(p)}

    def all_gone(self, uids: set[str]) -> bool:
        """Whether none of these pods is there any more, not even on its way out."""
        return not uids & {p["metadata"]["uid"] for p in self.api.list("Pod", self.namespace, f"{_LABEL}={self.name}")}

    def wait_served(self, *, seconds: float = 45) -> None:
        """Wait until this machine reaches the Service: proxies hear of ready pods a moment after everybody else.
        Raises TimeoutError."""
        until(f"the Service of {self.name} to lead to its pods", self._is_served, seconds=seconds, every=0.1)

    def _is_served(self) -> bool:
        try:
            with socket.create_connection((self.service_address(), PORT), timeout=2):
                return True
        except OSError:
            return False

    def binding(self) -> dict[str, str]:
        """What applications get, as text."""
        name = self.status()["binding"]["name"]
        secret = self.api.get("Secret", self.namespace, name)
        assert secret is not None, f"Secret {name} is gone"
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    def service_address(self) -> str:
        """Address of the Service that clients use."""
        service = self.api.get("Service", self.namespace, f"{self.name}-pool")
        assert service is not None, f"Service {self.name}-pool is gone"
        return str(service["spec"]["clusterIP"])

    def conninfo(self, address: str | None = None, **changes: Any) -> str:
        """How an application connects: by the `uri` of the binding, whose host name this machine cannot resolve.
        `address`: to one instance instead of the Service."""
        at = {"hostaddr": address or self.service_address(), "connect_timeout": _CONNECT_SECONDS}
        return make_conninfo(self.binding()["uri"], **{**at, **changes})

    def connect(self, address: str | None = None, **changes: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of an application; options as of `conninfo`."""
        return psycopg.connect(self.conninfo(address, **changes), autocommit=True, prepare_threshold=None)
