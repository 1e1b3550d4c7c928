"""Tiers in a cluster in memory, with their loops: passes are made one by one, and time is a number."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.api.conditions import violations
from sophia_operator.core.cache import names
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import RequestsResult, RequestsTask
from sophia_operator.core.cache.table import Table, TableRequest, TableResult, TableTask
from sophia_operator.core.findings import (
    MetricsAnswer,
    MetricsRequest,
    ProbeRequest,
    ProbeResult,
    Samples,
    SmokeRequest,
    SmokeResult,
)
from sophia_operator.ports import Caches, CacheTables, Object
from sophia_operator.runtime.caches.loop import CacheLoop
from sophia_operator.runtime.caches.world import CacheMind, CacheWorld
from sophia_operator.runtime.passes import Gone
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.wakeups import Feed, Wakeups
from tests.support.fake_caches import FakeCaches, FakeNodes
from tests.support.fake_cluster import CrashError, FakeCluster

NAMESPACE: Final = "shop"
NAME: Final = "hot"
START: Final = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TEXTS: Final = {"name": "texts", "prefix": "emb", "ttlSeconds": 600}


def cache_tier(name: str = NAME, **spec: Any) -> dict[str, Any]:
    """A tier of a primary and two replicas. `spec` replaces parts of the spec."""
    usual: dict[str, Any] = {
        "level": "Redis",
        "redis": {"managed": {"replicas": 2}},
        "namespaces": [TEXTS],
        # Others' tests look at scans.
        "scan": {"intervalSeconds": 86_400},
    }
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "CacheTier",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**usual, **spec},
    }


def secret(name: str, **content: str) -> dict[str, Any]:
    """A Secret with that content."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in content.items()},
    }


@dataclass
class FakeTables:
    """Tables of PostgreSQL levels behind the pools of those hosts, which ask for that password."""

    hosts: dict[str, str] = field(default_factory=dict)
    looked_at: list[TableRequest] = field(default_factory=list)
    done: list[TableTask] = field(default_factory=list)
    closed: bool = False

    async def table(self, request: TableRequest) -> Table | CacheFailure:
        """As in ports.CacheTables."""
        await asyncio.sleep(0)
        self.looked_at.append(request)
        if request.host not in self.hosts:
            return CacheFailure(CacheFault.HOST_UNKNOWN, "Name or service not known")
        if self.hosts[request.host] != request.password:
            return CacheFailure(CacheFault.AUTHENTICATION_FAILED, "password authentication failed")
        return Table(1, 10, 1_000_000, 0, request.unlogged, ping_ms=1.0, check_ms=2.0)

    async def work(self, request: TableRequest, task: TableTask) -> TableResult:
        """As in ports.CacheTables."""
        await asyncio.sleep(0)
        assert request.host in self.hosts
        self.done.append(task)
        return TableResult(None, 10, 0, 0, 0, task.seconds)

    async def close(self) -> None:
        """As in ports.CacheTables."""
        self.closed = True


@dataclass
class FakeOutside:
    """Prometheus, and the services that are warmed: each query has its value, or none."""

    values: dict[str, float] = field(default_factory=dict)
    warmed: list[RequestsTask] = field(default_factory=list)

    async def query(self, namespace: str, request: MetricsRequest) -> MetricsAnswer:  # noqa: ARG002 - the port's
        """As in ports.Metrics."""
        await asyncio.sleep(0)
        return Samples({"value": self.values[request.query]} if request.query in self.values else {})

    async def smoke(self, request: SmokeRequest) -> SmokeResult:
        """As in ports.Requests."""
        raise AssertionError(f"a tier has no smoke tests: {request}")

    async def probe(self, request: ProbeRequest) -> ProbeResult:
        """As in ports.Requests."""
        raise AssertionError(f"a tier has no gateway: {request}")

    async def warm(self, task: RequestsTask) -> RequestsResult:
        """As in ports.Requests."""
        await asyncio.sleep(0)
        self.warmed.append(task)
        return RequestsResult(None, 10, 10 - task.first, 0, task.seconds)


@dataclass
class CacheHarness:
    """The cluster, the nodes, and the operator as one process that can be killed and started again."""

    tiers: tuple[dict[str, Any], ...] = field(default_factory=lambda: (cache_tier(),))
    objects: tuple[dict[str, Any], ...] = ()
    now: datetime = START
    mind: CacheMind = field(default_factory=CacheMind)
    crashes: int = 0

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(clock=lambda: self.now)
        self.nodes = FakeNodes(self.cluster, lambda: self.now)
        self.fake = FakeCaches(self.nodes, lambda: self.now)
        self.tables, self.outside = FakeTables(), FakeOutside()
        self.telemetry = Telemetry(process=False)
        for obj in (*self.objects, *self.tiers):
            self.cluster.add(obj)
        self.start()

    def caches(self) -> Caches:
        """What loops speak to nodes by; tests put something before it."""
        return self.fake

    def rows(self) -> CacheTables:
        """What loops speak to tables by."""
        return self.tables

    def start(self) -> None:
        """The operator starts, with nothing but what the cluster has."""
        for task in self.fake.watches:
            task.cancel()
        self.store, self.wakeups = ObjectStore(), Wakeups()
        feed = Feed(self.store, Wakeups(), Wakeups(), self.wakeups)
        self.cluster.watch(feed)
        self.world = CacheWorld(
            cluster=self.cluster,
            store=self.store,
            feed=feed,
            caches=self.caches(),
            tables=self.rows(),
            metrics=self.outside,
            requests=self.outside,
            clock=_Clock(self),
            wakeups=self.wakeups,
            telemetry=self.telemetry,
            default_image="redis:test",
            mind=self.mind,
            jitter=lambda: 0.5,
        )
        keys = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in self.cluster.all("CacheTier")]
        self.loops = {key[1]: CacheLoop(key, self.world) for key in keys}

    @property
    def loop(self) -> CacheLoop:
        """The loop of the one tier."""
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

    async def run(self, seconds: float, every: float = 0.5) -> None:
        """Passes and ticks until so much time is over: soon after a pass that asks for it, else every so often."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            waits = [await self.once(name) for name in list(self.loops)]
            self.nodes.tick()
            # Parts of work end, and watches see that their node broke.
            for _ in range(4):
                await asyncio.sleep(0)
            shortest = min([every, *(w for w in waits if w is not None)])
            step = round(max(0.1, shortest), 1)
            self.nodes.advance(step)
            self.now += timedelta(seconds=step)

    async def run_until(self, condition: Callable[[], object], limit: float = 120.0) -> None:
        """Run until the condition holds. Raises AssertionError after `limit` seconds of simulated time."""
        end = self.now + timedelta(seconds=limit)
        while not condition():
            assert self.now < end, f"not within {limit} s: {self.describe()}"
            await self.run(0.05)

    def check(self) -> None:
        """What holds after every pass: conditions keep their rules, never are two pods labelled as the primary, and
        nothing secret is in a status, an event, or a pod."""
        passwords = [p for o in self.cluster.all("Secret") for p in _passwords(o)]
        for obj in self.cluster.all("CacheTier"):
            if obj.get("status"):
                status = CacheTierStatus.model_validate(obj["status"])
                assert not violations(status.conditions, obj["metadata"]["generation"]), obj
            assert not any(p in str(obj) for p in passwords)
            labelled = [p for p in self.pods(obj["metadata"]["name"]) if _role(p) == names.ROLE_PRIMARY]
            assert len(labelled) <= 1, [p["metadata"]["name"] for p in labelled]
        assert not any(p in notice.message for _, notice in self.cluster.events for p in passwords)
        for pod in self.cluster.all("Pod"):
            assert not any(p in str(pod) for p in passwords)

    def tier(self, name: str = NAME) -> Object:
        """The tier as it is."""
        found = self.cluster.find("CacheTier", name)
        assert found is not None
        return found

    def change(self, name: str = NAME, **spec: Any) -> None:
        """The user applies other parts of the spec."""
        self.cluster.edit("CacheTier", name, lambda o: o["spec"].update(spec))

    def status(self, name: str = NAME) -> CacheTierStatus:
        """Status of a tier."""
        return CacheTierStatus.model_validate(self.tier(name).get("status") or {})

    def condition(self, kind: str, name: str = NAME) -> tuple[str, str, str] | None:
        """(status, reason, message) of a condition; None when it is not there."""
        found = next((c for c in self.status(name).conditions if c.type == kind), None)
        return None if found is None else (found.status.value, found.reason, found.message)

    def is_true(self, kind: str, name: str = NAME) -> bool:
        """Whether a condition holds."""
        found = self.condition(kind, name)
        return found is not None and found[0] == "True"

    def settled(self, name: str = NAME) -> bool:
        """Whether the tier says that it is ready, with its newest spec, and that nothing is under way."""
        return (
            self.is_true("Ready", name)
            and self.condition("Reconciling", name) is None
            and self.condition("Stalled", name) is None
            and self.status(name).observed_generation == self.tier(name)["metadata"]["generation"]
        )

    def content(self, name: str) -> dict[str, str]:
        """Content of a Secret."""
        found = self.cluster.find("Secret", name)
        assert found is not None
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    def pods(self, name: str = NAME) -> list[Object]:
        """The tier's pods."""
        return [p for p in self.cluster.all("Pod") if p["metadata"]["labels"].get(names.LABEL_CACHE) == name]

    def roles(self, name: str = NAME) -> dict[str, str | None]:
        """The role label of each pod."""
        return {p["metadata"]["name"]: _role(p) for p in self.pods(name)}

    def reasons(self) -> list[str]:
        """Reasons of all events, in their order."""
        return [notice.reason for _, notice in self.cluster.events]

    def describe(self) -> str:
        """The state of things, for messages."""
        said = {
            n: [(c.type, c.status.value, c.reason, c.message) for c in self.status(n).conditions] for n in self.loops
        }
        status = self.status() if self.cluster.find("CacheTier", NAME) is not None else None
        failover = None if status is None else status.failover
        return f"{said}, {failover}, pods {self.roles()}, events {self.reasons()[-8:]}"


def _role(pod: Object) -> str | None:
    label: str | None = pod["metadata"]["labels"].get(names.LABEL_ROLE)
    return label


def _passwords(obj: Object) -> list[str]:
    data = obj.get("data") or {}
    return [base64.b64decode(v).decode(errors="replace") for k, v in data.items() if k.endswith("password")]


@dataclass
class _Clock:
    harness: CacheHarness

    def now(self) -> datetime:
        return self.harness.now
