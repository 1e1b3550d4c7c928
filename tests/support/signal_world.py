"""An operator's signalling with receivers in memory, and with time that is moved."""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sophia_operator.api.conditions import ConditionType, find
from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.core.recovery.signal_request import SignalRequest
from sophia_operator.core.recovery.views import ActionView, PolicyView
from sophia_operator.ports import Object, ObjectRef
from sophia_operator.runtime.recovery import observe
from sophia_operator.runtime.recovery.signal_lanes import Requests
from sophia_operator.runtime.recovery.signalling import Signalling
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.wakeups import Wakeups
from tests.support import signal_scene as scene
from tests.support.fake_models import SimTime
from tests.support.recovery_objects import meta

Answer = str | None


@dataclass
class Receivers:
    """Implements ports.Signals: what each place answers, and what it was told. `hang` never answers."""

    answers: dict[str, Answer] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    requests: list[SignalRequest] = field(default_factory=list)
    running: int = 0
    most: int = 0
    by_place: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def send(self, request: SignalRequest) -> Answer:
        place = request.to.url
        name = place.split("//")[1].split(".")[0]
        self.requests.append(request)
        self.told.append((name, request.id))
        self.running += 1
        self.by_place[name] += 1
        assert self.by_place[name] == 1, "a receiver is asked one thing at a time"
        self.most = max(self.most, self.running)
        try:
            if self.answers.get(name) == "hang":
                await asyncio.Event().wait()
            return self.answers.get(name)
        finally:
            self.running -= 1
            self.by_place[name] -= 1

    async def close(self) -> None:
        """As in Signals."""


class Secrets:
    """Of the API server only what reading Secrets needs."""

    def __init__(self, store: ObjectStore) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self._store = store

    def put(self, name: str, **content: str) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
        version = len(self.objects) + 100
        obj = {"apiVersion": "v1", "kind": "Secret", "metadata": meta(name, version), "data": data}
        self.objects[name] = obj
        self._store.put(obj)

    async def get(self, ref: ObjectRef) -> Object | None:
        return self.objects.get(ref.name)


class World:
    """A policy with receivers, an action of it, and what tells of them."""

    def __init__(self, *hooks: dict[str, Any], receivers: Receivers | None = None, most: int = 16) -> None:
        self.time = SimTime(scene.NOW)
        self.store = ObjectStore()
        self.receivers = receivers or Receivers()
        self.telemetry = Telemetry(process=False)
        self.policies, self.actions = Wakeups(), Wakeups()
        self.secrets = Secrets(self.store)
        self.most = most
        self.version = 1
        self.policy_object = scene.policy_object(*hooks)
        self.action_object = scene.action_object(status={"changes": 1, "signalled": 1})
        self.store.put(scene.pool_object())
        self.put(self.policy_object)
        self.put(self.action_object)
        self.signalling = self.started()
        self.write_policy()

    def started(self) -> Signalling:
        """The operator's part, as after a start."""
        return Signalling(
            self.receivers,
            self.secrets,  # type: ignore[arg-type]
            self.store,
            self.store.put,
            self.time,
            telemetry=self.telemetry,
            policies=self.policies,
            actions=self.actions,
            requests=Requests(self.most),
            wait=self.wait,
            jitter=lambda: 1.0,
        )

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        assert seconds is not None
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.time.sleep(seconds))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()

    def put(self, obj: dict[str, Any]) -> None:
        self.version += 1
        obj["metadata"] = obj["metadata"] | {"resourceVersion": str(self.version)}
        self.store.put(obj)

    @property
    def policy(self) -> PolicyView:
        return observe.policy_view(self.policy_object)

    @property
    def action(self) -> ActionView:
        return observe.action_view(self.action_object)

    def write(self, phase: str | None = None, *, lost: bool = False) -> ActionView:
        """A pass over the action that brings it to that phase. `lost`: the operator ends right after the write."""
        before, policies = self.action, observe.policies_of(self.store, "shop")
        status = before.status
        if phase is not None:
            changes = {"phase": ActionPhase(phase), "changes": status.changes + 1, "message": f"it is {phase}"}
            status = status.model_copy(update=changes)
        status = self.signalling.action_to_write(before, status, policies, self.time.now())
        self.action_object = {**self.action_object, "status": status.to_dict()}
        self.put(self.action_object)
        if not lost:
            self.signalling.action_changed(self.action, policies)
        return self.action

    def write_policy(self, **changes: Any) -> RecoveryPolicyStatus:
        """A pass over the policy."""
        before = self.policy
        decided = before.status.model_copy(update=changes)
        status = self.signalling.policy_to_write(before, decided, self.time.now())
        self.policy_object = {**self.policy_object, "status": status.to_dict()}
        self.put(self.policy_object)
        self.signalling.policy_changed(self.policy, status)
        return status

    def edit_policy(self, *hooks: dict[str, Any]) -> None:
        meta_ = self.policy_object["metadata"]
        generation = {"generation": meta_["generation"] + 1}
        spec = self.policy_object["spec"] | {"signals": list(hooks)}
        self.policy_object = {**self.policy_object, "metadata": meta_ | generation, "spec": spec}
        self.put(self.policy_object)

    async def settle(self) -> None:
        """Everything that can go on without time goes on."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        end = scene.later((self.time.now() - scene.NOW).total_seconds() + seconds)
        await self.settle()
        while (at := self.time.next_end) is not None and at <= end:
            self.time.move(at)
            await self.settle()
        self.time.move(end)
        await self.settle()

    def count(self, result: str, kind: str = "Webhook") -> float:
        value = self.telemetry.registry.get_sample_value(
            "sophia_recovery_signals_total", {"receiver_kind": kind, "result": result}
        )
        assert value is not None
        return value

    def condition(self) -> tuple[str, str] | None:
        found = find(self.write_policy().conditions, ConditionType.SIGNALS_DELIVERED)
        return (found.status.value, found.message) if found is not None else None
