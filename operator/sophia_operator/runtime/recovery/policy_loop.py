"""The loop of one RecoveryPolicy: look at the namespace, decide, persist, create actions, prune, wait.

Every policy's loop decides for the whole namespace and carries out its own part: the decision is the same for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from sophia_operator.api.common import API_VERSION
from sophia_operator.api.recovery_action import LABEL_POLICY
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.names import MANAGER
from sophia_operator.core.recovery.decision import NewAction
from sophia_operator.core.recovery.views import PolicyView
from sophia_operator.ports import ClusterError, Object, Refusal
from sophia_operator.runtime.recovery import observe, prune
from sophia_operator.runtime.recovery.sight import dependencies, look
from sophia_operator.runtime.recovery.world import RecoveryWorld
from sophia_operator.runtime.resource_loop import ResourceLoop
from sophia_operator.runtime.wakeups import Key


class PolicyLoop(ResourceLoop):
    """Runs passes over one policy until it is gone."""

    kind = "RecoveryPolicy"

    def __init__(self, policy: Key, world: RecoveryWorld) -> None:
        super().__init__(policy, world)
        self._world = world

    def _begin(self) -> None:
        self._world.telemetry.recovery.started()

    async def _end(self) -> None:
        self._world.telemetry.recovery.forget_policy(*self._key)
        self._world.teller.forget_policy(*self._key)

    @staticmethod
    def _status_of(obj: Object) -> RecoveryPolicyStatus:
        return observe.policy_status(obj)

    @staticmethod
    def _in_order(status: RecoveryPolicyStatus) -> RecoveryPolicyStatus:
        return observe.policy_in_order(status)

    async def _pass(self) -> tuple[float | None, int]:
        world, (namespace, name) = self._world, self._key
        # In this order: policies of one namespace that wait for each other take nobody's turn.
        async with world.locks.deciding(namespace), self._turn():
            obj = self._object()
            try:
                policy = observe.policy_view(obj)
            except ValidationError as error:
                return None, await self._say_unreadable(obj, error)
            now = world.clock.now()
            sight = look(world, namespace, now)
            world.wakeups.depend(self._key, dependencies(sight, namespace))
            decisions = world.mind.decide(sight.symptoms, sight.policies, sight.history, now)
            decided = decisions.statuses.get(name, policy.status)
            status = world.teller.policy_to_write(policy, decided, now)
            writes = await self._write_status(obj, policy.status, status)
            world.telemetry.recovery.policy_seen(namespace, name, policy.spec, status)
            new = [action for action in decisions.create if action.policy == name]
            writes += await self._create(policy, new)
        notices = decisions.notices.get(name, ())
        await asyncio.gather(*(self._tell(policy.uid, notice) for notice in notices))
        world.teller.policy_changed(policy, status)
        ends = prune.ends(sight)
        if new or prune.is_pruner(sight, name):
            writes += await prune.prune(world, ends, now)
        due = decisions.next.seconds if isinstance(decisions.next, RequeueAfter) else None
        return _soonest(due, sight.look_again_seconds(), prune.due_seconds(ends, now)), writes

    async def _create(self, policy: PolicyView, actions: Sequence[NewAction]) -> int:
        """Create what is not there yet. Raises ClusterError."""
        for action in actions:
            try:
                made = await self._world.cluster.create(_object(policy, action))
            except ClusterError as error:
                if error.refusal is not Refusal.ALREADY_EXISTS:
                    raise
                continue  # it was created before the operator ended, and the watch brings it
            self._world.feed.seen(made)
        return len(actions)


def _object(policy: PolicyView, action: NewAction) -> dict[str, Any]:
    """Owned by nobody: what was done is told also when the policy, or the object, is gone."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RecoveryAction",
        "metadata": {
            "name": action.name,
            "namespace": policy.namespace,
            "labels": {"app.kubernetes.io/managed-by": MANAGER, LABEL_POLICY: policy.name},
        },
        "spec": action.spec.to_dict(),
    }


def _soonest(*waits: float | None) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)
