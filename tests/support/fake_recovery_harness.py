"""Namespaces with policies and pools in memory, with the loops of recovery: passes are made when they are due or woken,
and time is a number. Pools have no loop of their own: a stand-in carries acts out, as a planner of a target would."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.common import API_VERSION
from sophia_operator.api.conditions import violations
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus, RecoveryActionStatus
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.core.names import MANAGER
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.core.recovery.acts import begun, ended, replaced, tidied, to_begin
from sophia_operator.ports import Object
from sophia_operator.runtime.passes import Gone, Passes
from sophia_operator.runtime.recovery import observe
from sophia_operator.runtime.recovery.action_loop import ActionLoop
from sophia_operator.runtime.recovery.policy_loop import PolicyLoop
from sophia_operator.runtime.recovery.requests import requests_for
from sophia_operator.runtime.recovery.telling import NoReceivers
from sophia_operator.runtime.recovery.world import Locks, RecoveryWorld
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.waits import MIN_INTERVAL_SECONDS
from sophia_operator.runtime.wakeups import Feed, Wakeups
from tests.support.fake_cluster import CrashError, FakeCluster, is_crash
from tests.support.fake_models import SimTime

NAMESPACE: Final = "shop"
START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_RESYNC_SECONDS: Final = 600.0
_KINDS: Final = {"RecoveryPolicy": PolicyLoop, "RecoveryAction": ActionLoop}
_DATABASE: Final = {"host": "db", "name": "orders", "credentialsSecretRef": {"name": "db-user"}}
LoopKey = tuple[str, str, str]


def policy(name: str = "pools", namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    """A policy that answers lost connections within seconds, in mode Auto."""
    ladder = [{"action": "Reconnect", "timeoutSeconds": 20}, {"action": "Notify"}]
    rule = {"symptom": "ConnectionLost", "forSeconds": 2, "clearSeconds": 5, "escalation": ladder}
    usual = {"mode": "Auto", "stableSeconds": 3, "cooldownSeconds": 5}
    return {
        "apiVersion": API_VERSION,
        "kind": "RecoveryPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"targets": [{"kind": "ConnectionPool"}], "rules": [rule], **usual, **spec},
    }


def asked(name: str = "asked", namespace: str = NAMESPACE, pool: str = "orders", **spec: Any) -> dict[str, Any]:
    """An action that a person asks for."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RecoveryAction",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "target": {"kind": "ConnectionPool", "name": pool},
            "action": "Reconnect",
            "requestedBy": "eve",
            "verifySeconds": 20,
            **spec,
        },
    }


def pool(name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    """A pool."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "ConnectionPool", "metadata": meta, "spec": {"database": _DATABASE}}


def crashing_pod(of: str, name: str, restarts: int = 5) -> dict[str, Any]:
    """A pod of a pool that ends again and again."""
    labels = {LABEL_POOL: of, "app.kubernetes.io/managed-by": MANAGER}
    waits = {"name": "pgbouncer", "restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {},
        "status": {"phase": "Running", "containerStatuses": [waits]},
    }


@dataclass
class StandIn:
    """What is behind pools, and the planner that carries acts out: it writes down what it begins, does it, and writes
    down that it is done."""

    sick: set[tuple[str, str]] = field(default_factory=set)
    #: Whether an act mends what is sick, and whether acts are begun, and done.
    helps: bool = True
    begins: bool = True
    ends: bool = True
    #: How often each act was carried out, by its uid.
    done: Counter[str] = field(default_factory=Counter)

    def status(self, obj: Object, requests: Any, now: datetime) -> dict[str, Any]:
        """The status of a pool after one look at it; may carry something out."""
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        acts = tidied([ActStatus.model_validate(a) for a in (obj.get("status") or {}).get("acts", ())], requests)
        running = next((act for act in acts if act.phase is ActPhase.RUNNING), None)
        wish = to_begin(acts, requests) if self.begins else None
        if running is not None and self.ends:
            self.done[running.uid] += 1
            if self.helps:
                self.sick.discard(key)
            acts = replaced(acts, ended(running, ActPhase.DONE, "done", now, ["RECONNECT"]))
        elif running is None and wish is not None:
            acts = [*acts, begun(wish, now, subject="every instance")]
        return {
            "observedGeneration": obj["metadata"]["generation"],
            "conditions": [_said(kind, key not in self.sick) for kind in ("Healthy", "Ready", "RoleCorrect")],
            "acts": [act.to_dict() for act in acts],
        }


def _said(kind: str, well: bool) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True" if well else "False",
        "reason": "Healthy" if well else "ServerLost",
        "message": "all is well" if well else "no server answers",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }


@dataclass
class RecoveryHarness:
    """The cluster, and the operator as one process that can be killed and started again."""

    policies: tuple[dict[str, Any], ...] = field(default_factory=lambda: (policy(),))
    pools: tuple[str, ...] = ("orders", "users", "stock")
    crashes: int = 0

    def __post_init__(self) -> None:
        self.time = SimTime(START)
        self.cluster = FakeCluster(clock=self.time.now)
        self.stand_in = StandIn()
        self.phases: dict[str, list[str]] = {}
        for name in self.pools:
            self.cluster.add(pool(name))
        for obj in self.policies:
            self.cluster.add(obj)
        self.start()

    def start(self) -> None:
        """The operator starts, with nothing but what the cluster has."""
        self.store, self.telemetry = ObjectStore(), Telemetry(process=False)
        self.wakeups = {kind: Wakeups() for kind in _KINDS}
        self.feed = Feed(
            self.store,
            Wakeups(),
            policies=self.wakeups["RecoveryPolicy"],
            actions=self.wakeups["RecoveryAction"],
        )
        self.cluster.watch(self.feed)
        self.locks = Locks()
        self.worlds = {kind: self._world(kind) for kind in _KINDS}
        self.loops: dict[LoopKey, Passes] = {}
        self._due: dict[LoopKey, datetime] = {}
        self._is_new = True

    def _world(self, kind: str) -> RecoveryWorld:
        return RecoveryWorld(
            self.cluster,
            self.store,
            self.feed,
            self.time,
            self.wakeups[kind],
            self.telemetry,
            self.locks,
            NoReceivers(),
            jitter=lambda: 0.5,
        )

    @property
    def now(self) -> datetime:
        """The time now."""
        return self.time.at

    # What others do

    def break_pool(self, name: str = "orders", namespace: str = NAMESPACE) -> None:
        """Nothing is behind it any more."""
        self.stand_in.sick.add((namespace, name))

    def answer(self, name: str, *, yes: bool) -> None:
        """A person answers."""
        self.cluster.edit("RecoveryAction", name, lambda o: o["spec"].update(approved=yes, approvedBy="eve"))

    # What is there

    def policy(self, name: str = "pools") -> RecoveryPolicyStatus:
        """What a policy says."""
        found = self.cluster.find("RecoveryPolicy", name)
        assert found is not None
        return observe.policy_status(found)

    def actions(self) -> dict[str, RecoveryActionStatus]:
        """What every action says, by name."""
        return {o["metadata"]["name"]: observe.action_status(o) for o in self.cluster.all("RecoveryAction")}

    def only(self) -> tuple[str, RecoveryActionStatus]:
        """The one action that there is."""
        (found,) = self.actions().items()
        return found

    def spec(self, name: str) -> dict[str, Any]:
        """What an action asks for."""
        found = self.cluster.find("RecoveryAction", name)
        assert found is not None
        spec: dict[str, Any] = found["spec"]
        return spec

    def is_at(self, phase: str) -> bool:
        """Whether there is an action, and each one is there."""
        found = self.actions().values()
        return bool(found) and all(status.phase.value == phase for status in found)

    def sample(self, name: str, **labels: str) -> float | None:
        """A number that Prometheus would see."""
        return self.telemetry.registry.get_sample_value(name, labels)

    # Time

    async def once(self, key: LoopKey) -> None:
        """One pass. A crash starts the operator anew."""
        kind, namespace, name = key
        self.wakeups[kind].event((namespace, name)).clear()
        try:
            seconds = await self.loops[key].once()
        except Gone:
            loop = self.loops.pop(key)
            del self._due[key]
            self.wakeups[kind].forget((namespace, name))
            await loop._end()
            return
        self._due[key] = self.now + timedelta(seconds=_RESYNC_SECONDS if seconds is None else seconds)
        self._check(key)

    def _check(self, key: LoopKey) -> None:
        kind, namespace, name = key
        obj = self.cluster.find(kind, name, namespace)
        if obj is None:
            return
        conditions = observe.action_status(obj).conditions if kind == "RecoveryAction" else self.policy(name).conditions
        assert violations(conditions, obj["metadata"]["generation"]) == []
        if kind == "RecoveryAction":
            phase = observe.action_status(obj).phase.value
            seen = self.phases.setdefault(name, [])
            if seen[-1:] != [phase]:
                seen.append(phase)

    async def step(self) -> None:
        """Whoever is due or was woken looks once, and so does the planner of every pool."""
        try:
            for obj in list(self.cluster.all("ConnectionPool")):
                await self._plan(obj)
            self._begin_loops()
            for key in list(self.loops):
                kind, namespace, name = key
                if self._due[key] <= self.now or self.wakeups[kind].event((namespace, name)).is_set():
                    await self.once(key)
        except (CrashError, BaseExceptionGroup) as error:
            if not is_crash(error):
                raise
            self.crashes += 1
            self.start()

    def _begin_loops(self) -> None:
        self._is_new = False
        for kind, make in _KINDS.items():
            for obj in self.cluster.all(kind):
                key = (kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
                if key not in self.loops:
                    self.loops[key] = make(key[1:], self.worlds[kind])
                    self.loops[key]._begin()
                    self._due[key] = self.now

    async def _plan(self, obj: Object) -> None:
        meta = obj["metadata"]
        requests = requests_for(self.store, "ConnectionPool", meta["namespace"], meta["name"], set())
        status = self.stand_in.status(obj, requests, self.now)
        wanted, known = (ConnectionPoolStatus.model_validate(s) for s in (status, obj.get("status") or {}))
        if wanted != known:
            head = {key: meta[key] for key in ("name", "namespace", "resourceVersion")}
            await self.cluster.apply_status(
                {"apiVersion": API_VERSION, "kind": "ConnectionPool", "metadata": head, "status": status}
            )

    async def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            await self.step()
            await asyncio.sleep(0)
            soon = self.now + timedelta(seconds=MIN_INTERVAL_SECONDS)
            woken = any(self.wakeups[k].event((n, m)).is_set() for k, n, m in self.loops)
            at_once = woken or self._planner_has_work() or self._is_new
            later = min([end, *self._due.values()])
            self.time.move(min(end, soon if at_once else max(soon, later)))

    def _planner_has_work(self) -> bool:
        for obj in self.cluster.all("ConnectionPool"):
            meta, acts = obj["metadata"], (obj.get("status") or {}).get("acts", ())
            sick = (meta["namespace"], meta["name"]) in self.stand_in.sick
            told = any(c["status"] == "False" for c in (obj.get("status") or {}).get("conditions", ()))
            if sick != told or any(a["phase"] == "Running" for a in acts):
                return True
        return False

    async def run_until(self, condition: Any, limit: float = 120.0) -> None:
        """Run until the condition holds. Raises AssertionError after `limit` seconds of simulated time."""
        end = self.now + timedelta(seconds=limit)
        while not condition():
            assert self.now < end, f"not within {limit} s: {self.phases} {self.policy().symptoms}"
            await self.run(0.1)
