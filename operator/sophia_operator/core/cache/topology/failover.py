"""A change of the primary without the old one's help, and the first primary."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.cache_tier_status import FailoverPhase, FailoverStatus, PastFailover
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache import names
from sophia_operator.core.cache.findings import NodeCommand, NodeVerb
from sophia_operator.core.cache.topology.elect import candidate, unaccounted, waits_for
from sophia_operator.core.cache.topology.fence import fence
from sophia_operator.core.cache.topology.guard import guard_command
from sophia_operator.core.cache.topology.outcome import Outcome, held, settled
from sophia_operator.core.cache.topology.sight import Seen, Sight, heard, lost
from sophia_operator.core.decision import EventType, Notice

#: A promoted node that does not say so is told again after so long.
AGAIN_SECONDS: Final = 1.0
_SOON: Final = 0.2


def first(sight: Sight) -> Outcome:
    """No primary is known: that says that it is one, or the node with the longest history, once no other may be one."""
    saying = [n for n in sight.nodes if n.is_primary]
    if not any(n.node is not None for n in sight.nodes):
        return held(sight, Reason.NODES_NOT_READY, "no node answers yet", 1.0)
    who = unaccounted(sight)
    if who is not None:
        message = (
            f"no primary is known, and {who}, which does not answer, may be it or hold its data: wait until it runs, "
            "or, if it is not needed, lower spec.redis.managed.replicas"
        )
        return held(sight, Reason.NO_PRIMARY, message, 1.0)
    if saying:
        return settled(sight, max(saying, key=_claim))
    anew = FailoverStatus(
        phase=FailoverPhase.FENCING,
        cause="the tier has no primary yet",
        planned=False,
        started_at=sight.now,
    )
    return go_on(sight, anew)


def _claim(seen: Seen) -> tuple[int, ...]:
    assert seen.node is not None
    labelled = seen.view.role_label == names.ROLE_PRIMARY
    return (int(labelled), len(seen.node.replicas), seen.node.offset, -seen.ordinal)


def begin(sight: Sight, old: str, cause: str, told: FailoverStatus | None = None) -> Outcome:
    """The primary is lost. `told` is the hand-over in the middle of which it got lost."""
    out = go_on(sight, start(sight, old, cause, told))
    message = f"{cause}; a replica is to take over"
    return out.with_notice(Notice(EventType.WARNING, Reason.PRIMARY_LOST.value, message))


def start(sight: Sight, old: str, cause: str, told: FailoverStatus | None = None) -> FailoverStatus:
    """A failover at its beginning."""
    return FailoverStatus(
        phase=FailoverPhase.FENCING,
        cause=cause[:512],
        planned=False,
        from_node=old,
        to_node=told.to_node if told is not None and told.told_at is not None else None,
        told_at=told.told_at if told is not None else None,
        started_at=sight.now,
    )


def go_on(sight: Sight, failover: FailoverStatus) -> Outcome:
    """The next step of a failover."""
    old = sight.get(failover.from_node)
    if failover.told_at is None and old is not None and _is_there(sight, old):
        return _left_alone(sight, old)
    best = candidate(sight, failover)
    if best is None:
        reading = next((n.name for n in sight.nodes if n.node is not None and n.node.loading), None)
        why = "no other node answers" if reading is None else f"{reading} still reads its data from disk"
        message = f"{failover.from_node or 'no node'} is no primary any more, and {why}"
        return _waits(sight, failover, (Reason.NO_PRIMARY, message), 1.0)
    if failover.phase is FailoverPhase.PROMOTING and best.name == failover.to_node:
        # The others were fenced when it was told, and stay so, since nobody is told to follow them.
        return _over(sight, failover, best) if best.is_primary else _promote(sight, failover, best)
    fenced = fence(sight, failover, best.name)
    state = failover.model_copy(update={"detached_at": fenced.detached_at})
    if not fenced.up:
        assert fenced.why is not None
        return _waits(sight, state, fenced.why, fenced.wait, fenced.commands)
    if best.is_primary:
        return _over(sight, state, best)
    other = waits_for(sight, state, best) if failover.from_node is not None else None
    if other is not None:
        message = f"{other.name} may have more than {best.name}, and does not answer yet"
        return _waits(sight, state, (Reason.FAILING_OVER, message), 1.0)
    return _promote(sight, state, best)


def _is_there(sight: Sight, old: Seen) -> bool:
    """Whether the old primary is there, and only the operator cannot reach it, or may not."""
    return old.failure is not None and not lost(old, sight) and (heard(old, sight.nodes) or not old.silent)


def _left_alone(sight: Sight, old: Seen) -> Outcome:
    assert old.failure is not None
    message = f"the operator cannot look at {old.name}, which is there: {old.failure.message}"
    return Outcome(
        primary=old.name,
        run_id=sight.status.primary_run_id,
        guarded=sight.status.guarded,
        failover=None,
        wait=1.0,
        reason=(Reason.NODE_UNREACHABLE, message),
    )


def _promote(sight: Sight, failover: FailoverStatus, best: Seen) -> Outcome:
    why = (Reason.FAILING_OVER, f"{best.name} is to become the primary: {failover.cause}")
    fit = best.min_replicas is not None and best.min_replicas >= 1
    if not fit:
        if best.min_replicas is None or best.told_since_look(NodeVerb.CONFIGURE):
            return _waits(sight, failover, why, _SOON)
        return _waits(sight, failover, why, _SOON, (guard_command(best.name, 1),))
    again = failover.phase is FailoverPhase.PROMOTING and failover.to_node == best.name
    if again and failover.told_at is not None and sight.since(failover.told_at) < AGAIN_SECONDS:
        return _waits(sight, failover, why, _SOON)
    told = failover.model_copy(
        update={
            "phase": FailoverPhase.PROMOTING,
            "to_node": best.name,
            "told_at": sight.now,
            "attempt": failover.attempt + 1 if again else 1,
            "lost_bytes": failover.lost_bytes if again else _lacks(sight, failover, best),
        }
    )
    return _waits(sight, told, why, _SOON, (NodeCommand(best.name, NodeVerb.PROMOTE),))


def _lacks(sight: Sight, failover: FailoverStatus, best: Seen) -> int | None:
    """How much the old primary is known to have had that this node has not."""
    old = sight.get(failover.from_node)
    if old is None or old.last is None or old.last.run_id != sight.status.primary_run_id or best.node is None:
        return None
    if old.last.replication_id != best.node.replication_id:
        return None
    return max(0, old.last.offset - best.node.offset)


def _over(sight: Sight, failover: FailoverStatus, new: Seen) -> Outcome:
    """It says that it is the primary, and no other accepts writes."""
    out = settled(sight, new)
    assert new.node is not None
    if failover.from_node is None:
        return out
    if failover.from_node == new.name and new.node.run_id == sight.status.primary_run_id:
        message = f"{new.name} answers again, and stays the primary"
        return out.with_notice(Notice(EventType.NORMAL, Reason.AVAILABLE.value, message))
    past = PastFailover(
        cause=failover.cause,
        planned=False,
        from_node=failover.from_node,
        to_node=new.name,
        started_at=failover.started_at,
        ended_at=sight.now,
        lost_bytes=failover.lost_bytes,
    )
    message = f"{new.name} is the primary: {failover.cause}"
    return out.with_past(past, Notice(EventType.NORMAL, Reason.FAILED_OVER.value, message))


def _waits(
    sight: Sight,
    failover: FailoverStatus,
    why: tuple[Reason, str],
    wait: float | None,
    commands: tuple[NodeCommand, ...] = (),
) -> Outcome:
    return Outcome(
        primary=None,
        run_id=sight.status.primary_run_id,
        guarded=sight.status.guarded,
        failover=failover,
        commands=commands,
        wait=wait,
        reason=why,
    )
