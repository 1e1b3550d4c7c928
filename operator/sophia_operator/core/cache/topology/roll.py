"""Nodes that are replaced one by one, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass

from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.decision import NodeToDelete
from sophia_operator.core.cache.topology.guard import stays, wanted_replicas
from sophia_operator.core.cache.topology.sight import Seen, Sight, synced


@dataclass(frozen=True, slots=True)
class Roll:
    """The node to replace next, and whether that may be done now."""

    victim: Seen | None = None
    delete: tuple[NodeToDelete, ...] = ()
    reason: tuple[Reason, str] | None = None


def plan_roll(sight: Sight, primary: Seen) -> Roll:
    """Replicas first, one at a time, the highest first. The primary goes last, once it handed over; with no other node
    its keys go with it."""
    if sight.paused:
        return Roll()
    outdated = [n for n in sight.nodes if not n.view.current and not n.view.terminating and n is not primary]
    alone = sight.wanted == 1 and not sight.others(primary.name)
    if not outdated and alone and not primary.view.current and not primary.view.terminating:
        return _replaced(sight, primary, primary)
    # One that does not work, and is outdated, goes first: only so a broken template can be mended.
    victim = max(outdated, key=lambda n: (not _fine(n, primary), n.ordinal), default=None)
    if victim is None:
        return Roll(reason=_waits_for_sync(sight, primary) if not primary.view.current else None)
    unfit = [n for n in sight.others(primary.name, victim.name) if not _fine(n, primary)]
    blocking = [n for n in unfit if n.view.current or n.view.terminating]
    if blocking:
        message = (
            f"{victim.name} is replaced once {blocking[0].name} is ready and in sync: {_state(blocking[0], primary)}"
        )
        return Roll(reason=(Reason.ROLLING, message))
    return _replaced(sight, primary, victim)


def _replaced(sight: Sight, primary: Seen, victim: Seen) -> Roll:
    nodes = sight.observed.stateful_set
    if nodes is None or not nodes.caught_up or len(sight.nodes) < min(nodes.spec_replicas, sight.wanted):
        message = f"{victim.name} is replaced once every node has a pod"
        return Roll(reason=(Reason.ROLLING, message))
    message = f"{victim.name} is replaced by a pod of the new template"
    reason = (Reason.ROLLING, message)
    bare = primary.min_replicas == 0 and not sight.status.guarded
    if victim is not primary and not wanted_replicas(sight, primary, (victim.name,)) and not bare:
        return Roll(victim, reason=reason)  # the primary has to do without it first
    return Roll(victim, (NodeToDelete(victim.name, victim.view.uid),), reason)


def _fine(seen: Seen, primary: Seen) -> bool:
    return seen.view.ready and not seen.view.terminating and synced(seen, primary)


def _waits_for_sync(sight: Sight, primary: Seen) -> tuple[Reason, str] | None:
    waiting = [n for n in sight.others(primary.name) if not _fine(n, primary)]
    if not waiting:
        return None
    message = f"{primary.name} hands over once {waiting[0].name} is ready and in sync: {_state(waiting[0], primary)}"
    return Reason.ROLLING, message


def _state(seen: Seen, primary: Seen) -> str:
    if seen.view.terminating:
        return "its pod is on its way out"
    if seen.failure is not None:
        return f"it does not answer ({seen.failure.message})"
    return "it is not in sync yet" if not synced(seen, primary) else "its pod is not ready"


def plan_scale(sight: Sight, primary: Seen | None) -> int:
    """How many nodes the StatefulSet is given: fewer only once those that go are not needed any more."""
    nodes = sight.observed.stateful_set
    current = nodes.spec_replicas if nodes is not None else sight.wanted
    if current <= sight.wanted:
        return sight.wanted
    if sight.paused or primary is None or primary.node is None or primary.ordinal >= sight.wanted:
        return current
    bare = primary.min_replicas == 0 and not sight.status.guarded
    if not wanted_replicas(sight, primary) and not bare:
        return current
    return sight.wanted


__all__ = ["Roll", "plan_roll", "plan_scale", "stays"]
