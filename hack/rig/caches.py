"""CacheTiers on the cluster, and what they are doing."""

from __future__ import annotations

import base64
import os
import signal
import socket
from contextlib import suppress
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hack.cluster import versions
from hack.demo.figures import seconds_of
from hack.rig.api import Api, Json
from hack.rig.processes import first_process
from hack.rig.told import Told, condition_of
from hack.rig.waiting import until

REDIS_IMAGE: Final = "localhost/sophia-redis:dev"
#: Another server that speaks the same protocol.
VALKEY_IMAGE: Final = f"localhost/valkey:{versions.of('valkey')}"
PORT: Final = 6379
_LABEL: Final = "sophia.ai/cache"
_ROLE: Final = "sophia.ai/role"
#: Of one namespace, as all tests have it.
NAMESPACE: Final = {"name": "emb", "prefix": "emb", "ttlSeconds": 3600}
_RESOURCES: Final = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}


def tier(name: str, namespace: str, **spec: Any) -> Json:
    """A small CacheTier of Redis nodes, a primary and a replica, looked at every second. `spec` as in the API; without
    a level of its own, `managed` replaces parts of its nodes."""
    managed = {"replicas": 1, "maxMemoryMegabytes": 32, "resources": _RESOURCES, **spec.pop("managed", {})}
    nodes = {} if "level" in spec else {"level": "Redis", "redis": spec.pop("redis", {"managed": managed})}
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "CacheTier",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            **nodes,
            "namespaces": [NAMESPACE],
            "healthCheck": {"intervalSeconds": 1},
            "scan": {"intervalSeconds": 5},
            **spec,
        },
    }


class Cache(Told):
    """One test tier on the cluster."""

    kind = "CacheTier"
    under_way = ("failover",)

    def __init__(self, api: Api, namespace: str, name: str = "near") -> None:
        super().__init__(api, namespace, name)

    def apply(self, **spec: Any) -> Json:
        """Apply the tier; `spec` as of `tier`."""
        return self.api.apply(tier(self.name, self.namespace, **spec))

    # -- What it says -------------------------------------------------------------------------------------------------

    def primary(self) -> str | None:
        """The node that accepts writes, as it said itself."""
        return self.status().get("primary")

    def wait_failed_over(self, since: float, *, seconds: float = 60) -> Json:
        """Wait until a change of the primary that ended after that moment (in seconds since the epoch) is told."""

        def look(found: Json) -> Json | None:
            past = (found.get("status") or {}).get("failovers") or []
            return past[-1] if past and seconds_of(past[-1]["endedAt"]) >= since else None

        return self.wait("to have another primary", look, seconds=seconds)

    def wait_flushed(self, name: str, *, seconds: float = 60) -> Json:
        """Wait until the flush of that name has ended, in whatever way."""

        def look(found: Json) -> Json | None:
            past = (found.get("status") or {}).get("flushes") or []
            return next((flush for flush in past if flush["name"] == name), None)

        return self.wait(f"to end flush {name}", look, seconds=seconds)

    def namespace_status(self, name: str = "emb") -> Json:
        """What the last scan found of a namespace; {} before."""
        found = self.status().get("namespaces") or []
        return next((n for n in found if n["name"] == name), {})

    # -- Its parts ----------------------------------------------------------------------------------------------------

    def pods(self) -> list[Json]:
        """Pods of its nodes that are not on their way out, by name."""
        found = self.api.list("Pod", self.namespace, f"{_LABEL}={self.name}")
        there = [p for p in found if not p["metadata"].get("deletionTimestamp")]
        return sorted(there, key=lambda p: str(p["metadata"]["name"]))

    def uids(self) -> dict[str, str]:
        """Which pods those are, by name."""
        return {p["metadata"]["name"]: p["metadata"]["uid"] for p in self.pods()}

    def labelled(self, role: str) -> list[str]:
        """Names of the pods that are labelled with that role."""
        return [p["metadata"]["name"] for p in self.pods() if p["metadata"]["labels"].get(_ROLE) == role]

    def wait_labelled(self, role: str, count: int = 1, *, seconds: float = 45) -> list[str]:
        """Names of the pods with that role, once there are so many: the status is written before labels are.
        Raises TimeoutError."""

        def look() -> list[str] | None:
            found = self.labelled(role)
            return found if len(found) == count else None

        return self.api.until(f"{count} {role} to be labelled", look, seconds=seconds)

    def binding(self) -> dict[str, str]:
        """What applications get, as text."""
        name = self.status()["binding"]["name"]
        # The status is written before what it speaks of.
        secret: Json = self.api.until(
            f"Secret {name}", lambda: self.api.get("Secret", self.namespace, name), seconds=30
        )
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    def service_address(self) -> str:
        """Address of the Service that leads to the primary."""
        service = self.api.get("Service", self.namespace, f"{self.name}-cache")
        assert service is not None, f"Service {self.name}-cache is gone"
        return str(service["spec"]["clusterIP"])

    def address(self, node: str) -> str:
        """Address of a node's pod."""
        (pod,) = [p for p in self.pods() if p["metadata"]["name"] == node]
        return str(pod["status"]["podIP"])

    def kill(self, node: str) -> None:
        """Kill the node's process as the kernel does one that takes too much memory: its container is started anew, in
        the same pod. Where the process cannot be reached from this machine, its pod is deleted without grace, which
        is milder: the kubelet asks it to end."""
        (pod,) = [p for p in self.pods() if p["metadata"]["name"] == node]
        pid = first_process(pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2])
        if pid is not None:
            with suppress(PermissionError):
                os.kill(pid, signal.SIGKILL)
                return
        self.api.delete("Pod", self.namespace, node, grace_seconds=0)

    def client(self, address: str | None = None, **options: Any) -> redis.Redis:
        """A client as of an application, by the binding; `address`: to one node instead of the Service."""
        binding = self.binding()
        chosen: dict[str, Any] = {"username": binding["username"], "password": binding["password"]}
        chosen |= {"socket_timeout": 5, "socket_connect_timeout": 5, "retry": Retry(NoBackoff(), 0)}
        return redis.Redis(address or self.service_address(), PORT, decode_responses=True, **{**chosen, **options})

    def fill(self, count: int, *, prefix: str = "emb:g1:", size: int = 32, **options: Any) -> None:
        """Write that many keys, `<prefix>0` and so on; options as of SET."""
        with self.client() as client:
            for begin in range(0, count, 1000):
                with client.pipeline(transaction=False) as pipeline:
                    for number in range(begin, min(begin + 1000, count)):
                        pipeline.set(f"{prefix}{number}", "x" * size, **options)
                    pipeline.execute()

    def fill_up(self, used_megabytes: int) -> int:
        """Write entries of 2 kB, `emb:g1:0` and so on, in a burst, until the primary uses so much memory, of which what
        the server itself uses is a part. Returns how many."""
        count, step = 0, 200
        with self.client() as client:
            while int(client.info("memory")["used_memory"]) < used_megabytes * 1024 * 1024:
                client.mset({f"emb:g1:{number}": "x" * 2000 for number in range(count, count + step)})
                count += step
        return count

    def count(self, pattern: str) -> int:
        """How many keys match at the primary."""
        with self.client() as client:
            return sum(1 for _ in client.scan_iter(pattern, count=1000))

    def wait_served(self, *, seconds: float = 45) -> None:
        """Wait until this machine reaches the Service: proxies hear of ready pods a moment after everybody else.
        Raises TimeoutError."""
        until(f"the Service of {self.name} to lead to its primary", self._is_served, seconds=seconds, every=0.1)

    def _is_served(self) -> bool:
        try:
            with socket.create_connection((self.service_address(), PORT), timeout=2):
                return True
        except OSError:
            return False


__all__ = ["NAMESPACE", "PORT", "REDIS_IMAGE", "VALKEY_IMAGE", "Cache", "condition_of", "tier"]
