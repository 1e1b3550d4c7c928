"""Deletes RecoveryActions whose time is over."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sophia_operator.api.common import API_VERSION
from sophia_operator.core.recovery import kept
from sophia_operator.core.recovery.views import ActionView
from sophia_operator.ports import ObjectRef
from sophia_operator.runtime.recovery.sight import Sight
from sophia_operator.runtime.recovery.world import RecoveryWorld

#: What is to go is looked for no more often.
_SELDOM_SECONDS: Final = 60.0
#: At most so many are deleted in one pass.
_AT_ONCE: Final = 20

#: Times at which actions are to go, the one that ended first before the others.
Ends = list[tuple[datetime, ActionView]]


def is_pruner(sight: Sight, policy: str) -> bool:
    """Whether it is this policy's loop that prunes: the first one by name."""
    return bool(sight.policies) and sight.policies[0].name == policy


def ends(sight: Sight) -> Ends:
    """When each action of the namespace that is over is to go."""
    specs = [policy.spec for policy in sight.policies]
    return kept.ends(sight.history.actions, kept.keep_of(specs), specs)


def due_seconds(ends: Ends, now: datetime) -> float | None:
    """When the next one is to go; None while there is none that is over."""
    first = min((due for due, _ in ends), default=None)
    return None if first is None else max(_SELDOM_SECONDS, (first - now).total_seconds())


async def prune(world: RecoveryWorld, ends: Ends, now: datetime) -> int:
    """Delete what is to go; returns how many that were. Raises ClusterError."""
    gone = [action for due, action in ends if due <= now][:_AT_ONCE]
    for action in gone:
        await world.cluster.delete(ObjectRef(API_VERSION, "RecoveryAction", action.namespace, action.name, action.uid))
    return len(gone)
