"""RecoveryActions that are over go after a time, and beyond a number: never within the hour that budgets look back
on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.common import API_VERSION
from sophia_operator.api.recovery_policy import Keep
from sophia_operator.core.recovery.views import ActionView
from sophia_operator.ports import ObjectRef
from sophia_operator.runtime.recovery.sight import KEPT, Sight
from sophia_operator.runtime.recovery.world import RecoveryWorld

#: What is to go is looked for no more often.
_SELDOM_SECONDS: Final = 60.0
#: At most so many are deleted in one pass.
_AT_ONCE: Final = 20


def keep_of(sight: Sight) -> Keep:
    """The longest time, and the largest number, that a policy of the namespace asks for."""
    keeps = [policy.spec.keep for policy in sight.policies]
    if not keeps:
        return Keep()
    return Keep(
        ttl_seconds=max(keep.ttl_seconds for keep in keeps), max_actions=max(keep.max_actions for keep in keeps)
    )


def is_pruner(sight: Sight, policy: str) -> bool:
    """Whether it is this policy's loop that prunes: the first one by name."""
    return bool(sight.policies) and sight.policies[0].name == policy


def outdated(actions: Iterable[ActionView], keep: Keep, now: datetime) -> list[ActionView]:
    """Those that are to go, the oldest first."""
    over = sorted((a for a in actions if a.status.phase.is_over), key=_ended)
    old = [a for a in over if now - _ended(a) > KEPT]
    surplus = len(over) - keep.max_actions
    ttl = timedelta(seconds=keep.ttl_seconds)
    return [a for number, a in enumerate(old) if now - _ended(a) > ttl or number < surplus]


def due_seconds(sight: Sight, now: datetime) -> float | None:
    """When the next one is to go by its age, or as one of too many; None while there is none that is over."""
    ends = [_ended(a) for a in sight.history.actions if a.status.phase.is_over]
    if not ends:
        return None
    keep = keep_of(sight)
    age = KEPT if len(ends) > keep.max_actions else timedelta(seconds=keep.ttl_seconds)
    return max(_SELDOM_SECONDS, (min(ends) + age - now).total_seconds())


async def prune(world: RecoveryWorld, sight: Sight, now: datetime) -> int:
    """Delete what is to go; returns how many that were. Raises ClusterError."""
    gone = outdated(sight.history.actions, keep_of(sight), now)[:_AT_ONCE]
    for action in gone:
        await world.cluster.delete(ObjectRef(API_VERSION, "RecoveryAction", action.namespace, action.name, action.uid))
    return len(gone)


def _ended(action: ActionView) -> datetime:
    return action.status.ended_at or action.created_at
