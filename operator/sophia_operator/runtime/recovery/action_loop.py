"""The loop of one RecoveryAction: look, decide, persist, act if it is its own to do, tell, wait."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from sophia_operator.api.common import API_VERSION
from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.recovery_action_status import ActStatus, RecoveryActionStatus
from sophia_operator.api.recovery_policy import Keep
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.recovery import past
from sophia_operator.core.recovery.action.values import ActionDecision, ActionObserved
from sophia_operator.core.recovery.views import ActionView, Sign, TargetView
from sophia_operator.ports import Object, ObjectRef
from sophia_operator.runtime.recovery import observe
from sophia_operator.runtime.recovery.crashes import pod_is_there
from sophia_operator.runtime.recovery.sight import Sight, dependencies, look
from sophia_operator.runtime.recovery.world import RecoveryWorld
from sophia_operator.runtime.resource_loop import ResourceLoop
from sophia_operator.runtime.wakeups import Dependency, Key

#: A pod that is to go is looked at again after so long.
_POD_SECONDS: Final = 1.0


class ActionLoop(ResourceLoop):
    """Runs passes over one action until it is gone; one that is over only waits for its time to go."""

    kind = "RecoveryAction"

    def __init__(self, action: Key, world: RecoveryWorld) -> None:
        super().__init__(action, world)
        self._world = world

    def _begin(self) -> None:
        """Counted by its policy and its phases."""

    async def _end(self) -> None:
        self._world.telemetry.recovery.forget_action(*self._key)
        self._world.teller.forget(*self._key)

    @staticmethod
    def _status_of(obj: Object) -> RecoveryActionStatus:
        try:
            return observe.action_status(obj)
        except ValidationError:
            # Of no use for a decision, but what it says in the end replaces it.
            return RecoveryActionStatus()

    @staticmethod
    def _in_order(status: RecoveryActionStatus) -> RecoveryActionStatus:
        return observe.action_in_order(status)

    async def _pass(self) -> tuple[float | None, int]:
        world = self._world
        async with self._turn():
            obj = self._object()
            try:
                action = observe.action_view(obj)
            except ValidationError as error:
                return None, await self._say_unreadable(obj, error)
            now = world.clock.now()
            if action.status.phase.is_over:
                world.wakeups.depend(self._key, frozenset())
                world.telemetry.recovery.action_seen(action)
                policies = observe.policies_of(world.store, action.namespace)
                world.teller.action_changed(action, policies)
                status = world.teller.action_to_write(action, action.status, policies, now)
                told = await self._write_status(obj, action.status, status)
                seconds, deleted = await self._rest(action, now)
                return seconds, told + deleted
            decision = self._decide(action, now)
            if decision.status.claimed_at is not None and action.status.claimed_at is None:
                async with world.locks.claiming:
                    # Others may have claimed an act since this one looked.
                    decision = self._decide(action, world.clock.now())
                    writes = await self._write_status(obj, action.status, decision.status)
            else:
                writes = await self._write_status(obj, action.status, decision.status)
        after = replace(action, status=decision.status)
        world.telemetry.recovery.action_changed(action, after)
        if decision.restart is not None:
            pod = decision.restart
            await world.cluster.delete(ObjectRef("v1", "Pod", action.namespace, pod.name, pod.uid))
            writes += 1
        await asyncio.gather(*(self._tell(action.uid, notice) for notice in decision.notices))
        world.teller.action_changed(after, observe.policies_of(world.store, action.namespace))
        due = decision.next.seconds if isinstance(decision.next, RequeueAfter) else None
        if decision.restart is not None:
            # Nobody is woken when the pod begins to go.
            return min(due or _POD_SECONDS, _POD_SECONDS), writes
        return (0.0 if writes else due), writes

    def _decide(self, action: ActionView, now: datetime) -> ActionDecision:
        world, kind = self._world, action.spec.target.kind
        sight = look(world, action.namespace, now, frozenset({kind}))
        target = sight.target(action.target)
        depends = dependencies(sight, action.namespace)
        named, key = _named(action), (kind, action.namespace, action.spec.target.name)
        world.wakeups.depend(self._key, depends | {named})
        observed = ActionObserved(
            target=target,
            act=_act(target, action),
            pod_there=pod_is_there(world.store, *key, action.status.subject),
            sign=_sign(sight, action),
            policies=sight.policies,
            symptoms=sight.symptoms,
            history=sight.history,
        )
        decision = world.mind.advance(action, observed, now)
        return replace(decision, status=world.teller.action_to_write(action, decision.status, sight.policies, now))

    async def _rest(self, action: ActionView, now: datetime) -> tuple[float | None, int]:
        """Where there is a policy, its loop prunes; else the action goes by itself."""
        if observe.policies_of(self._world.store, action.namespace):
            return None, 0
        left = (past.end_of(action) + timedelta(seconds=Keep().ttl_seconds) - now).total_seconds()
        if left > 0:
            return left, 0
        ref = ObjectRef(API_VERSION, self.kind, action.namespace, action.name, action.uid)
        await self._world.cluster.delete(ref)
        return None, 1


def _named(action: ActionView) -> Dependency:
    """The target, as what the action depends on."""
    return action.spec.target.kind.value, action.namespace, action.spec.target.name


def _act(target: TargetView | None, action: ActionView) -> ActStatus | None:
    """What the target says of it."""
    if target is None or isinstance(target.status, ManagedServiceStatus):
        return None
    return next((act for act in target.status.acts if act.uid == action.uid), None)


def _sign(sight: Sight, action: ActionView) -> Sign | None:
    """What is seen of the action's symptom, by its policy's rule; cannot be told when that is gone."""
    trigger = action.spec.trigger
    if trigger is None:
        return None
    seen = (
        s.sign
        for s in sight.symptoms.seen
        if (s.policy, s.target, s.symptom) == (trigger.policy, action.target, trigger.symptom)
    )
    return next(seen, Sign(None, message="its policy, or the rule for it, is gone"))
