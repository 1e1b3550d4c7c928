"""Loops of recovery in the test's own process, on a real API server: they end at a write, and others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sophia_operator.adapters.kubernetes import KubernetesCluster
from sophia_operator.api.common import API_VERSION
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.ports import Object, ObjectRef
from sophia_operator.runtime.passes import Gone, Passes
from sophia_operator.runtime.recovery.action_loop import ActionLoop
from sophia_operator.runtime.recovery.policy_loop import PolicyLoop
from sophia_operator.runtime.recovery.requests import requests_for
from sophia_operator.runtime.recovery.telling import NoReceivers
from sophia_operator.runtime.recovery.world import Locks, RecoveryWorld
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.wakeups import Feed, Wakeups
from sophia_operator.wiring import SystemClock
from tests.support.fake_cluster import CrashError, is_crash
from tests.support.fake_recovery_harness import StandIn

T = TypeVar("T")
_KINDS: Final = {"RecoveryPolicy": PolicyLoop, "RecoveryAction": ActionLoop}
_LISTED: Final = (
    (API_VERSION, "RecoveryPolicy"),
    (API_VERSION, "RecoveryAction"),
    (API_VERSION, "ConnectionPool"),
    ("v1", "Pod"),
)


class Mortal:
    """The API server, for a process that ends right after one of its writes."""

    def __init__(self, cluster: KubernetesCluster, *, dies_after: int | None = None) -> None:
        self._cluster = cluster
        self._dies_after = dies_after
        self.writes: list[tuple[str, str]] = []

    async def create(self, obj: Object) -> Object:
        """As in ports.Cluster."""
        return await self._write("create", obj["kind"], self._cluster.create(obj))

    async def apply_status(self, obj: Object) -> Object:
        """As in ports.Cluster."""
        return await self._write("status", obj["kind"], self._cluster.apply_status(obj))

    async def delete(self, ref: ObjectRef) -> None:
        """As in ports.Cluster."""
        await self._write("delete", ref.kind, self._cluster.delete(ref))

    async def _write(self, verb: str, kind: str, call: Awaitable[T]) -> T:
        answer = await call
        self.writes.append((verb, kind))
        if len(self.writes) == self._dies_after:
            raise CrashError
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


class Operator:
    """The loops, and the stand-in for the planner of pools. What is behind pools outlives them."""

    def __init__(self, cluster: KubernetesCluster, namespace: str, *, dies_after: int | None = None) -> None:
        self.mortal = Mortal(cluster, dies_after=dies_after)
        self.namespace = namespace
        self.stand_in = StandIn()
        self.crashes = 0
        self._start()

    def _start(self) -> None:
        self.store, policies, actions = ObjectStore(), Wakeups(), Wakeups()
        self.feed = Feed(self.store, Wakeups(), policies=policies, actions=actions)
        telemetry, locks, clock = Telemetry(process=False), Locks(), SystemClock()
        cluster: Any = self.mortal
        self._worlds = {
            kind: RecoveryWorld(cluster, self.store, self.feed, clock, wakeups, telemetry, locks, NoReceivers())
            for kind, wakeups in (("RecoveryPolicy", policies), ("RecoveryAction", actions))
        }
        self._loops: dict[tuple[str, str], Passes] = {}
        self._known: dict[tuple[str, str], Object] = {}

    async def step(self) -> None:
        """List everything, and let every loop look once."""
        try:
            await self._list()
            for obj in [o for (kind, _), o in self._known.items() if kind == "ConnectionPool"]:
                await self._plan(obj)
            for key in [key for key in self._known if key[0] in _KINDS]:
                await self._once(key)
        except (CrashError, BaseExceptionGroup) as error:
            if not is_crash(error):
                raise
            self.crashes += 1
            self._start()

    async def _list(self) -> None:
        seen: dict[tuple[str, str], Object] = {}
        for api_version, kind in _LISTED:
            async for page in self.mortal.list_objects(api_version, kind, self.namespace):
                for obj in page:
                    seen[kind, obj["metadata"]["name"]] = obj
                    self.feed.seen(obj)
        for key in set(self._known) - set(seen):
            self.feed.gone(self._known[key])
        self._known = seen

    async def _once(self, key: tuple[str, str]) -> None:
        kind, name = key
        if key not in self._loops:
            self._loops[key] = _KINDS[kind]((self.namespace, name), self._worlds[kind])
        try:
            await self._loops[key]._pass()
        except Gone:
            del self._loops[key]

    async def _plan(self, obj: Object) -> None:
        name = obj["metadata"]["name"]
        requests = requests_for(self.store, "ConnectionPool", self.namespace, name, set())
        status = self.stand_in.status(obj, requests, datetime.now(UTC))
        wanted, known = (ConnectionPoolStatus.model_validate(s) for s in (status, obj.get("status") or {}))
        if wanted != known:
            head = {key: obj["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
            await self.mortal.apply_status(
                {"apiVersion": API_VERSION, "kind": "ConnectionPool", "metadata": head, "status": wanted.to_dict()}
            )

    async def run_until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Step by step until the condition holds. Raises AssertionError when it does not in time."""
        end = asyncio.get_running_loop().time() + seconds
        while not condition():
            assert asyncio.get_running_loop().time() < end, f"not within {seconds} s: {self._known}"
            await self.step()
            await asyncio.sleep(0.05)
