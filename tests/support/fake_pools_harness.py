"""Pools in a cluster in memory, with their loops: passes are made one by one, and time is a number."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.conditions import violations
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.pool import names
from sophia_operator.ports import Object
from sophia_operator.runtime.passes import Gone
from sophia_operator.runtime.pools.loop import PoolLoop
from sophia_operator.runtime.pools.world import PoolMind, PoolWorld
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.wakeups import Feed, Wakeups
from tests.support.fake_cluster import CrashError, FakeCluster
from tests.support.fake_cluster_controllers import Controllers
from tests.support.fake_pools import USER, FakePools

NAMESPACE: Final = "shop"
NAME: Final = "orders"
CREDENTIALS: Final = "db-user"
START: Final = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def connection_pool(name: str = NAME, **spec: Any) -> dict[str, Any]:
    """A pool of two instances. `spec` replaces parts of the spec."""
    database = {"host": "db", "name": "orders", "credentialsSecretRef": {"name": CREDENTIALS}}
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ConnectionPool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"database": database | spec.pop("database", {}), **spec},
    }


def secret(name: str = CREDENTIALS, **content: str) -> dict[str, Any]:
    """A Secret with that content; the server's user and first password without any."""
    content = content or {"username": USER, "password": "pw-one"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in content.items()},
    }


@dataclass
class PoolHarness:
    """The cluster, the servers, and the operator as one process that can be killed and started again."""

    pools: tuple[dict[str, Any], ...] = field(default_factory=lambda: (connection_pool(),))
    objects: tuple[dict[str, Any], ...] = field(default_factory=lambda: (secret(),))
    now: datetime = START
    mind: PoolMind = field(default_factory=PoolMind)
    crashes: int = 0

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(clock=lambda: self.now)
        self.controllers = Controllers(self.cluster)
        self.fake = FakePools(self.cluster, lambda: self.now)
        self.telemetry = Telemetry(process=False)
        for obj in (*self.objects, *self.pools):
            self.cluster.add(obj)
        self.start()

    def start(self) -> None:
        """The operator starts, with nothing but what the cluster has."""
        for task in self.fake.watches:
            task.cancel()
        self.store, self.wakeups, services = ObjectStore(), Wakeups(), Wakeups()
        self.services = services
        feed = Feed(self.store, services, self.wakeups)
        self.cluster.watch(feed)
        self.world = PoolWorld(
            cluster=self.cluster,
            store=self.store,
            feed=feed,
            pools=self.fake,
            clock=_Clock(self),
            wakeups=self.wakeups,
            telemetry=self.telemetry,
            default_image="pgbouncer:test",
            mind=self.mind,
            jitter=lambda: 0.5,
        )
        keys = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in self.cluster.all("ConnectionPool")]
        self.loops = {key[1]: PoolLoop(key, self.world) for key in keys}

    @property
    def loop(self) -> PoolLoop:
        """The loop of the one pool."""
        return self.loops[NAME]

    async def once(self, name: str = NAME) -> float | None:
        """One pass. A crash starts the operator anew. Returns the seconds until the next pass."""
        try:
            seconds = await self.loops[name].once()
        except Gone:
            del self.loops[name]
            return None
        except CrashError:
            self._crashed()
            return 0.0
        except BaseExceptionGroup as group:
            if group.subgroup(CrashError) is None:
                raise
            self._crashed()
            return 0.0
        self.check()
        return seconds

    def _crashed(self) -> None:
        self.crashes += 1
        self.start()

    async def run(self, seconds: float, every: float = 1.0) -> None:
        """Passes and ticks until so much time is over: soon after a pass that asks for it, else every so often."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            waits = [await self.once(name) for name in list(self.loops)]
            self.controllers.tick()
            self.fake.tick()
            # Watches see that their server broke.
            for _ in range(3):
                await asyncio.sleep(0)
            shortest = min([every, *(w for w in waits if w is not None)])
            self.now += timedelta(seconds=max(0.1, shortest))

    async def run_until(self, condition: Callable[[], bool], limit: float = 120.0) -> None:
        """Run until the condition holds. Raises AssertionError after `limit` seconds of simulated time."""
        end = self.now + timedelta(seconds=limit)
        while not condition():
            assert self.now < end, f"not within {limit} s: {self.describe()}"
            await self.run(0.05)

    def check(self) -> None:
        """What holds after every pass: conditions keep their rules, and nothing secret is in a status or an event."""
        passwords = [p for o in self.cluster.all("Secret") for p in _passwords(o)]
        for obj in self.cluster.all("ConnectionPool"):
            if obj.get("status"):
                status = ConnectionPoolStatus.model_validate(obj["status"])
                assert not violations(status.conditions, obj["metadata"]["generation"]), obj
            assert not any(p in str(obj) for p in passwords)
        assert not any(p in notice.message for _, notice in self.cluster.events for p in passwords)
        for pod in self.cluster.all("Pod"):
            assert not any(p in str(pod) for p in passwords)

    def pool(self, name: str = NAME) -> Object:
        """The pool as it is."""
        found = self.cluster.find("ConnectionPool", name)
        assert found is not None
        return found

    def change(self, name: str = NAME, **spec: Any) -> None:
        """The user applies other parts of the spec."""
        self.cluster.edit("ConnectionPool", name, lambda o: o["spec"].update(spec))

    def set_secret(self, name: str = CREDENTIALS, **content: str) -> None:
        """Somebody writes a Secret."""
        data = secret(name, **content)["data"]
        self.cluster.edit("Secret", name, lambda o: o.update(data=data))

    def status(self, name: str = NAME) -> ConnectionPoolStatus:
        """Status of a pool."""
        return ConnectionPoolStatus.model_validate(self.pool(name).get("status") or {})

    def condition(self, kind: str, name: str = NAME) -> tuple[str, str, str] | None:
        """(status, reason, message) of a condition; None when it is not there."""
        found = next((c for c in self.status(name).conditions if c.type == kind), None)
        return None if found is None else (found.status.value, found.reason, found.message)

    def is_true(self, kind: str, name: str = NAME) -> bool:
        """Whether a condition holds."""
        found = self.condition(kind, name)
        return found is not None and found[0] == "True"

    def settled(self, name: str = NAME) -> bool:
        """Whether the pool says that it is ready, with its newest spec and configuration."""
        status = self.status(name)
        return (
            self.is_true("Ready", name)
            and self.is_true("ConfigApplied", name)
            and self.is_true("RoleCorrect", name)
            and self.condition("Reconciling", name) is None
            and status.observed_generation == self.pool(name)["metadata"]["generation"]
        )

    def content(self, name: str) -> dict[str, str]:
        """Content of a Secret."""
        found = self.cluster.find("Secret", name)
        assert found is not None
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    def pods(self, name: str = NAME) -> list[Object]:
        """The pool's pods."""
        return [p for p in self.cluster.all("Pod") if p["metadata"]["labels"].get(names.LABEL_POOL) == name]

    def describe(self) -> str:
        """The state of things, for messages."""
        said = {
            n: [(c.type, c.status.value, c.reason, c.message) for c in self.status(n).conditions] for n in self.loops
        }
        return f"{said}, pods {[p['metadata']['name'] for p in self.cluster.all('Pod')]}"


def _passwords(obj: Object) -> list[str]:
    data = obj.get("data") or {}
    return [base64.b64decode(v).decode(errors="replace") for k, v in data.items() if k.endswith("password")]


@dataclass
class _Clock:
    harness: PoolHarness

    def now(self) -> datetime:
        return self.harness.now
