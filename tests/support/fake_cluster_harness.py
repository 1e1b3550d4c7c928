"""One service in a cluster in memory, with its loop: passes are made one by one, and time is a number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sophia_operator.api.conditions import violations
from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.release import Color, Intent, ReleaseStatus
from sophia_operator.core.cache.findings import RequestsResult, RequestsTask
from sophia_operator.core.findings import (
    MetricsAnswer,
    MetricsRequest,
    ProbeRequest,
    ProbeResult,
    Samples,
    SmokeRequest,
    SmokeResult,
)
from sophia_operator.runtime.elsewhere import Elsewhere
from sophia_operator.runtime.loop import ServiceLoop
from sophia_operator.runtime.passes import Gone
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.wakeups import Feed, Wakeups
from sophia_operator.runtime.world import Mind, World
from tests.support.fake_cluster import CrashError, FakeCluster
from tests.support.fake_cluster_controllers import Controllers

NAMESPACE, NAME = "shop", "app"
START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def managed_service(image: str = "app:1", **spec: Any) -> dict[str, Any]:
    """A small service behind a Gateway with two short stages. `spec` replaces parts of the spec."""
    rollout = {
        "stages": [{"weightPercent": 25, "observeSeconds": 30}, {"weightPercent": 100, "observeSeconds": 30}],
        "gates": [{"name": "errors", "successRate": {"minPercent": "99"}, "minRequests": 10}],
        "lookIntervalSeconds": 5,
        "keepPreviousSeconds": 60,
        "progressDeadlineSeconds": 60,
        "abortKeepSeconds": 5,
        "drainSeconds": 5,
        **spec.pop("rollout", {}),
    }
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ManagedService",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "app", "image": image}]}},
            "ports": [{"name": "http", "port": 80}],
            "traffic": {"gateway": {"parentRefs": [{"name": "gw"}], "hostnames": ["app.example.com"]}},
            "rollout": rollout,
            **spec,
        },
    }


@dataclass
class Harness:
    """The cluster, the controllers around it, and the operator as one process that can be killed and started again."""

    spec: dict[str, Any] = field(default_factory=managed_service)
    now: datetime = START
    mind: Mind = field(default_factory=Mind)
    #: What Prometheus says to a gate, by the release under way; None: it does not answer.
    gate: Callable[[MetricsRequest], MetricsAnswer] | None = None
    smoke_passes: bool = True
    #: Users send requests; without them metrics are empty.
    traffic_flows: bool = True
    crashes: int = 0
    #: Makes what reads Gateways that no watch brings.
    elsewhere: Callable[[Harness], Elsewhere] | None = None

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(clock=lambda: self.now)
        self.controllers = Controllers(self.cluster)
        self.clock = _Clock(self)
        self.telemetry = Telemetry(process=False)
        self.controllers.add_gateway()
        self.cluster.add(self.spec)
        self.start()

    def start(self) -> None:
        """The operator starts: what it knew is lost, and it lists everything anew."""
        self.store = ObjectStore()
        self.wakeups = Wakeups()
        self.cluster.watch(Feed(self.store, self.wakeups))
        world = World(
            cluster=self.cluster,
            store=self.store,
            metrics=_Metrics(self),
            requests=_Requests(self),
            clock=self.clock,
            wakeups=self.wakeups,
            telemetry=self.telemetry,
            mind=self.mind,
            jitter=lambda: 0.5,
            elsewhere=self.elsewhere(self) if self.elsewhere is not None else None,
        )
        self.loop = ServiceLoop((NAMESPACE, NAME), world)

    async def once(self) -> float | None:
        """One pass. A crash starts the operator anew. Returns the seconds until the next pass."""
        try:
            seconds = await self.loop.once()
        except CrashError:
            self.crashes += 1
            self.start()
            return 0.0
        self.check()
        return seconds

    async def run(self, seconds: float, every: float = 1.0, tick: bool = True) -> None:
        """Passes and ticks until so much time is over: at once after a pass that asks for it, else every so often."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            wait = await self.once()
            if tick:
                self.controllers.tick()
            self.now += timedelta(seconds=0.1 if wait == 0.0 else every)

    async def run_until(self, condition: Callable[[], bool], limit: float = 600.0, every: float = 1.0) -> None:
        """Run until the condition holds. Raises AssertionError after `limit` seconds of simulated time."""
        end = self.now + timedelta(seconds=limit)
        while not condition():
            assert self.now < end, f"not within {limit} s: {self.describe()}"
            await self.run(0.05, every=every)

    def check(self) -> None:
        """What holds after every pass: conditions keep their rules."""
        for kind, model in (("Release", ReleaseStatus), ("ManagedService", ManagedServiceStatus)):
            for obj in self.cluster.all(kind):
                if obj.get("status"):
                    status = model.model_validate(obj["status"])
                    assert not violations(status.conditions, obj["metadata"]["generation"]), obj

    def change(self, image: str = "app:2", **spec: Any) -> None:
        """The user applies another spec."""
        new = managed_service(image, **spec)["spec"]
        self.cluster.edit("ManagedService", NAME, lambda o: o.__setitem__("spec", new))

    def intend(self, release: str, intent: Intent) -> None:
        """A person sets the intent of a release."""
        self.cluster.edit("Release", release, lambda o: o["spec"].update(intent=intent.value, reason="test"))

    def lose_status(self, kind: str, name: str) -> None:
        """Somebody wipes a status."""
        self.cluster.edit(kind, name, lambda o: o.pop("status", None))

    def state(self, release: str) -> str | None:
        """State of a release; None when it is not there."""
        obj = self.cluster.find("Release", release)
        return None if obj is None else obj.get("status", {}).get("state")

    def status(self) -> ManagedServiceStatus:
        """Status of the service."""
        obj = self.cluster.find("ManagedService", NAME)
        assert obj is not None
        return ManagedServiceStatus.model_validate(obj.get("status") or {})

    def condition(self, kind: str) -> tuple[str, str, str] | None:
        """(status, reason, message) of a condition of the service; None when it is not there."""
        found = next((c for c in self.status().conditions if c.type == kind), None)
        return None if found is None else (found.status.value, found.reason, found.message)

    def shares(self) -> dict[str, int]:
        """Percent of the users at each release."""
        return self.controllers.shares(NAME)

    def settled(self) -> bool:
        """Whether the service says that it is ready."""
        found = self.condition("Ready")
        generation = self.cluster.find("ManagedService", NAME)["metadata"]["generation"]  # type: ignore[index]
        return found is not None and found[0] == "True" and self.status().observed_generation == generation

    def describe(self) -> str:
        """The state of things, for messages."""
        releases = {o["metadata"]["name"]: self.state(o["metadata"]["name"]) for o in self.cluster.all("Release")}
        return f"{self.status().summary!r}, releases {releases}, traffic {self.shares()}, {self.status().conditions}"


@dataclass
class _Clock:
    harness: Harness

    def now(self) -> datetime:
        return self.harness.now


@dataclass
class _Metrics:
    """Tells the truth about where the traffic goes; gates are up to the test."""

    harness: Harness

    async def query(self, namespace: str, request: MetricsRequest) -> MetricsAnswer:  # noqa: ARG002 - the port's
        await asyncio.sleep(0)
        harness = self.harness
        if request.key == "share":
            weights = harness.controllers.traffic.get(NAME, {})
            total = 2000.0 if harness.traffic_flows else 0.0
            return Samples({c.value: total * weights.get(c, 0) / 100 for c in Color})
        if harness.gate is not None:
            return harness.gate(request)
        good = {"total": 1000.0, "errors": 0.0, "value": 50.0, "baseline_total": 1000.0, "baseline_errors": 0.0}
        return Samples(good)


@dataclass
class _Requests:
    harness: Harness

    async def smoke(self, request: SmokeRequest) -> SmokeResult:  # noqa: ARG002 - the port's
        await asyncio.sleep(0)
        return SmokeResult(self.harness.smoke_passes, "" if self.harness.smoke_passes else "status 500, not 200")

    async def probe(self, request: ProbeRequest) -> ProbeResult:
        await asyncio.sleep(0)
        weights = self.harness.controllers.traffic.get(NAME, {})
        return ProbeResult({c: round(request.count * weights.get(c, 0) / 100) for c in Color}, 0)

    async def warm(self, task: RequestsTask) -> RequestsResult:
        raise AssertionError(f"a ManagedService warms nothing: {task}")


__all__ = ["NAME", "NAMESPACE", "START", "Gone", "Harness", "managed_service"]
