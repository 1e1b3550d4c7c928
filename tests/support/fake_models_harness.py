"""Routes in a cluster in memory, with their loops: passes are made when they are due or woken, and time is a number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sophia_operator.api.conditions import violations
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.core.findings import MetricsAnswer, MetricsRequest, Samples
from sophia_operator.ports import Models, Object
from sophia_operator.runtime.elsewhere import Elsewhere
from sophia_operator.runtime.models.loop import ModelRouteLoop
from sophia_operator.runtime.models.world import ModelMind, ModelWorld
from sophia_operator.runtime.passes import Gone
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.waits import MIN_INTERVAL_SECONDS
from sophia_operator.runtime.wakeups import Feed, Key, Wakeups
from tests.support.fake_cluster import CrashError, FakeCluster
from tests.support.fake_cluster_controllers import Controllers
from tests.support.fake_gateways import FakeGateways
from tests.support.fake_models import FakeEndpoint, FakeModels, SimTime
from tests.support.model_routes import (
    GATEWAY_KEY,
    LABELS,
    NAME,
    NAMESPACE,
    START,
    http_route,
    key_of,
    keys,
    model_route,
)

#: Tasks take that many turns of the event loop to come to rest.
_TURNS: Final = 12
_RESYNC_SECONDS: Final = 600.0


@dataclass
class FakePrometheus:
    """Each query has its samples, or none."""

    answers: dict[str, MetricsAnswer] = field(default_factory=dict)
    asked: list[MetricsRequest] = field(default_factory=list)

    async def query(self, namespace: str, request: MetricsRequest) -> MetricsAnswer:
        """As in ports.Metrics."""
        assert namespace == NAMESPACE
        await asyncio.sleep(0)
        self.asked.append(request)
        return self.answers.get(request.query, Samples({}))


@dataclass
class ModelHarness:
    """The cluster, the models, the gateways, and the operator as one process that can be killed and started again."""

    routes: tuple[dict[str, Any], ...] = field(default_factory=lambda: (model_route(),))
    objects: tuple[dict[str, Any], ...] = field(default_factory=keys)
    mind: ModelMind = field(default_factory=ModelMind)
    with_gateway: bool = True
    #: Namespaces that the operator works in; none: all.
    namespaces: tuple[str, ...] = ()
    crashes: int = 0
    passes: int = 0
    #: Whether controllers and gateways follow what is applied, as time goes on.
    world_works: bool = True

    def __post_init__(self) -> None:
        self.time = SimTime(START)
        self.cluster = FakeCluster(clock=self.time.now)
        self.controllers = Controllers(self.cluster)
        self.gateways = FakeGateways(self.cluster, self.time.now)
        self.fake = FakeModels(self.time, self.gateways)
        self.prometheus = FakePrometheus()
        self.telemetry = Telemetry(process=False)
        if self.with_gateway:
            self.controllers.add_gateway()
        for obj in (*self.objects, *self.routes):
            self.cluster.add(obj)
        for name, latency in (("primary", 200), ("second", 300), ("third", 400)):
            self.fake.endpoints[f"https://{name}.example.com/v1"] = FakeEndpoint(
                f"{name}-model", latency, key=key_of(name)
            )
            self.fake.endpoints[f"http://{name}.shop.svc:8000/v1"] = FakeEndpoint("llama", latency)
        for name in ("litellm-0", "litellm-1"):
            self.gateways.add_proxy(name, NAME, key=GATEWAY_KEY, **LABELS)
        self.loops: dict[Key, ModelRouteLoop] = {}
        self._due: dict[Key, datetime] = {}
        self.start()

    def models(self) -> Models:
        """What loops ask models by; tests put something before it."""
        return self.fake

    def start(self) -> None:
        """The operator starts, with nothing but what the cluster has."""
        for loop in self.loops.values():
            for run in loop._prober._running.values():
                run.task.cancel()
        self.store, self.wakeups = ObjectStore(), Wakeups()
        self.feed = Feed(self.store, Wakeups(), Wakeups(), Wakeups(), self.wakeups)
        self.cluster.watch(self.feed)
        self.world = ModelWorld(
            cluster=self.cluster,
            store=self.store,
            feed=self.feed,
            models=self.models(),
            metrics=self.prometheus,
            clock=self.time,
            wakeups=self.wakeups,
            telemetry=self.telemetry,
            mind=self.mind,
            elsewhere=Elsewhere(self.cluster, self.store, self.time, self.namespaces) if self.namespaces else None,
            pause=self.time.sleep,
            jitter=lambda: 0.5,
        )
        keys = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in self.cluster.all("ModelRoute")]
        self.loops = {key: ModelRouteLoop(key, self.world) for key in keys}
        self._due = dict.fromkeys(keys, self.time.at)

    @property
    def now(self) -> datetime:
        """The time now."""
        return self.time.at

    @property
    def loop(self) -> ModelRouteLoop:
        """The loop of the one route."""
        return self.loops[NAMESPACE, NAME]

    async def once(self, key: Key) -> None:
        """One pass. A crash starts the operator anew."""
        self.wakeups.event(key).clear()
        self.passes += 1
        try:
            seconds = await self.loops[key].once()
        except Gone:
            loop = self.loops.pop(key)
            del self._due[key]
            self.wakeups.forget(key)
            await loop._end()
            return
        except CrashError:
            self._crashed()
            return
        except BaseExceptionGroup as group:
            if group.subgroup(CrashError) is None:
                raise
            self._crashed()
            return
        self._due[key] = self.now + timedelta(seconds=_RESYNC_SECONDS if seconds is None else seconds)
        self.check()

    def _crashed(self) -> None:
        self.crashes += 1
        self.start()

    async def run(self, seconds: float, every: float = 0.5) -> None:
        """Let so much time pass: passes are made when they are due or woken, and the world goes on beside."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            for key in list(self.loops):
                due = self._due.get(key)
                if due is not None and (due <= self.now or self.wakeups.event(key).is_set()):
                    await self.once(key)
            await self._settle()
            if self.world_works:
                self.controllers.tick()
                self.gateways.tick()
            self.time.move(min(end, self._next(every)))
            await self._settle()

    def _next(self, every: float) -> datetime:
        """When something happens next. Passes are never closer than the least interval."""
        soon = self.now + timedelta(seconds=MIN_INTERVAL_SECONDS)
        times = [self.now + timedelta(seconds=every), *(max(soon, due) for due in self._due.values())]
        if any(self.wakeups.event(key).is_set() for key in self.loops):
            times.append(soon)
        if self.time.next_end is not None:
            times.append(max(soon, self.time.next_end))
        return min(times)

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def run_until(self, condition: Callable[[], object], limit: float = 120.0) -> None:
        """Run until the condition holds. Raises AssertionError after `limit` seconds of simulated time."""
        end = self.now + timedelta(seconds=limit)
        while not condition():
            assert self.now < end, f"not within {limit} s: {self.describe()}"
            await self.run(0.05)

    async def stop(self) -> None:
        """The process ends."""
        for loop in self.loops.values():
            await loop._end()

    def check(self) -> None:
        """What holds after every pass: conditions keep their rules, shares make a whole, and nothing secret is in a
        status, an event, or anything that the operator made."""
        canaries = [GATEWAY_KEY, *(key_of(name) for name in ("primary", "second", "third"))]
        for obj in self.cluster.all("ModelRoute"):
            if obj.get("status"):
                status = ModelRouteStatus.model_validate(obj["status"])
                assert not violations(status.conditions, obj["metadata"]["generation"]), obj
                assert sum(s.percent for s in status.shares) in (0, 100), status.shares
        kinds = ("ModelRoute", "HTTPRoute", "ConfigMap", "Service", "Pod")
        texts = [str(obj) for kind in kinds for obj in self.cluster.all(kind)]
        texts += [notice.message for _, notice in self.cluster.events]
        assert not any(canary in text for text in texts for canary in canaries)

    def endpoint(self, name: str) -> FakeEndpoint:
        """The endpoint of a model with a URL, or else of one behind a Service."""
        by_url = any("liteLLM" in r["spec"]["gateway"] for r in self.routes)
        return self.fake.endpoints[f"https://{name}.example.com/v1" if by_url else f"http://{name}.shop.svc:8000/v1"]

    def route(self, name: str = NAME) -> Object:
        """The route as it is."""
        found = self.cluster.find("ModelRoute", name)
        assert found is not None
        return found

    def change(self, name: str = NAME, **spec: Any) -> None:
        """The user applies other parts of the spec; None takes one away."""

        def amend(obj: dict[str, Any]) -> None:
            obj["spec"] = {k: v for k, v in {**obj["spec"], **spec}.items() if v is not None}

        self.cluster.edit("ModelRoute", name, amend)

    def status(self, name: str = NAME) -> ModelRouteStatus:
        """Status of a route."""
        return ModelRouteStatus.model_validate(self.route(name).get("status") or {})

    def shares(self, name: str = NAME) -> dict[str, int]:
        """Percent of the requests that each model is to get, without those that get none."""
        return {s.name: s.percent for s in self.status(name).shares if s.percent}

    def condition(self, kind: str, name: str = NAME) -> tuple[str, str, str] | None:
        """(status, reason, message) of a condition; None when it is not there."""
        found = next((c for c in self.status(name).conditions if c.type == kind), None)
        return None if found is None else (found.status.value, found.reason, found.message)

    def is_true(self, kind: str, name: str = NAME) -> bool:
        """Whether a condition holds."""
        found = self.condition(kind, name)
        return found is not None and found[0] == "True"

    def settled(self, name: str = NAME) -> bool:
        """Whether the route says that it is ready, with its newest spec, and that nothing is under way."""
        status = self.status(name)
        return (
            self.is_true("Ready", name)
            and self.condition("Reconciling", name) is None
            and self.condition("Stalled", name) is None
            and status.switch is None
            and status.observed_generation == self.route(name)["metadata"]["generation"]
        )

    def serves(self, model: str) -> bool:
        """Whether that model serves, and every replica was seen to say so."""
        return self.settled() and self.shares() == {model: 100} and self.status().active == model

    def state(self, model: str, name: str = NAME) -> str | None:
        """State of a model as the status has it."""
        return next((m.state.value for m in self.status(name).models if m.name == model), None)

    def reasons(self) -> list[str]:
        """Reasons of all events, in their order."""
        return [notice.reason for _, notice in self.cluster.events]

    def describe(self) -> str:
        """The state of things, for messages."""
        said = {}
        for obj in self.cluster.all("ModelRoute"):
            status = self.status(obj["metadata"]["name"])
            models = [(m.name, m.state.value, m.rank, m.message) for m in status.models]
            conditions = [(c.type, c.status.value, c.reason, c.message) for c in status.conditions]
            said[obj["metadata"]["name"]] = (models, status.shares, status.switch, status.replicas, conditions)
        return f"{self.now}: {said}, events {self.reasons()[-8:]}"


__all__ = ["ModelHarness", "http_route", "model_route"]
