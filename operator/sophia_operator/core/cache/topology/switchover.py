"""A living primary hands over to a replica: planned, and without a loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sophia_operator.api.cache_tier_status import FailoverPhase, FailoverStatus, PastFailover
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import NodeCommand, NodeVerb
from sophia_operator.core.cache.topology import failover as unplanned
from sophia_operator.core.cache.topology.guard import guard, stays
from sophia_operator.core.cache.topology.outcome import Outcome, settled
from sophia_operator.core.cache.topology.sight import Seen, Sight, follows, lost, synced
from sophia_operator.core.decision import EventType, Notice

#: A hand-over that takes longer is called off.
HAND_OVER_SECONDS: Final = 15.0
#: The next try comes after so long, twice as long each time.
AGAIN_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 60.0
#: The longest such time when the primary's pod is on its way out, and soon gone.
_URGENT_SECONDS: Final = 2.0
#: After a planned change the old primary's clients are disconnected, for so long if that fails.
_CUT_SECONDS: Final = 60.0
_SOON: Final = 0.2


def cause(sight: Sight, primary: Seen) -> str | None:
    """Why the primary is to hand over; None when it is not."""
    if primary.view.terminating:
        return f"the pod of {primary.name} is on its way out"
    if sight.paused:
        return None
    if primary.ordinal >= sight.wanted:
        return f"there are to be {sight.wanted} nodes, and {primary.name} is not among them"
    staying = [n for n in sight.others(primary.name) if stays(sight, n)]
    ready = all(n.view.current and n.view.ready and synced(n, primary) for n in staying)
    if not primary.view.current and len(staying) == sight.wanted - 1 and staying and ready:
        return f"{primary.name} is to be replaced by a pod of the new template"
    return None


def heir(sight: Sight, primary: Seen) -> Seen | None:
    """The replica to hand over to: in sync, ready, and one that stays; of those, a current one with the longest
    history."""
    fit = [n for n in sight.others(primary.name) if _fit(sight, n, primary)]
    return max(fit, key=lambda n: (n.view.current, _offset(n), -n.ordinal), default=None)


def _fit(sight: Sight, seen: Seen, primary: Seen) -> bool:
    there = seen.view.ready and not seen.view.terminating and (seen.ordinal < sight.wanted or sight.paused)
    return there and synced(seen, primary) and (seen.min_replicas or 0) >= 1


def _offset(seen: Seen) -> int:
    return seen.node.offset if seen.node is not None else 0


def begin(sight: Sight, primary: Seen) -> Outcome | None:
    """The first step of a hand-over, when one is due and possible."""
    why = cause(sight, primary)
    target = heir(sight, primary) if why is not None else None
    if why is None or target is None or not sight.status.guarded:
        return None
    start = FailoverStatus(
        phase=FailoverPhase.SWITCHING,
        cause=why[:512],
        planned=True,
        from_node=primary.name,
        to_node=target.name,
        started_at=sight.now,
    )
    message = f"{primary.name} hands over to {target.name}: {why}"
    out = _tell(sight, start, primary, target)
    return out.with_notice(Notice(EventType.NORMAL, Reason.SWITCHING_OVER.value, message))


def go_on(sight: Sight, state: FailoverStatus) -> Outcome:
    """The next step of a hand-over."""
    old, new = sight.get(state.from_node), sight.get(state.to_node)
    told = state.told_at is not None
    if told and new is not None and new.is_primary:
        return _over(sight, state, new)
    if old is None or (old.node is None and lost(old, sight)) or _another_run(sight, old):
        return unplanned.begin(sight, state.from_node or "", f"{state.from_node} was lost as it handed over", state)
    if old.node is None:
        return _waits(sight, state, f"{old.name} does not answer", _SOON)
    if old.handing_over:
        return _under_way(sight, state, old, new)
    if old.is_replica:
        return _gave_up(sight, state, old, new)
    return _not_begun(sight, state, old, new)


def _gave_up(sight: Sight, state: FailoverStatus, old: Seen, new: Seen | None) -> Outcome:
    """The old primary says that it is a replica. What the new one said before that, or at the same time, is old."""
    why = f"{old.name} says that it is a replica, and {state.to_node} not that it is the primary"
    since = state.detached_at or sight.now
    unknown = new is not None and ((new.node is None and not new.silent) or new.at is None or new.at <= since)
    if unknown or old.told_since_look(NodeVerb.HAND_OVER):
        return _waits(sight, state.model_copy(update={"detached_at": since}), why, _SOON)
    return unplanned.begin(sight, old.name, why, state)


def _another_run(sight: Sight, old: Seen) -> bool:
    return old.node is not None and old.node.run_id != sight.status.primary_run_id


def _under_way(sight: Sight, state: FailoverStatus, old: Seen, new: Seen | None) -> Outcome:
    """Redis is at it: writes wait, or the roles change."""
    late = state.told_at is None or sight.since(state.told_at) >= HAND_OVER_SECONDS
    gone = new is None or new.view.ended or new.refused
    if (late or gone) and not old.told_since_look(NodeVerb.CANCEL_HAND_OVER):
        # Wherever it stands: as a primary again, it wants all its replicas, and so accepts nothing without this one.
        cancel = NodeCommand(old.name, NodeVerb.CANCEL_HAND_OVER)
        return _waits(sight, state, f"{old.name} cannot hand over to {state.to_node}, and stops trying", _SOON, cancel)
    return _waits(sight, state, f"{old.name} hands over to {state.to_node}", _SOON)


def _not_begun(sight: Sight, state: FailoverStatus, old: Seen, new: Seen | None) -> Outcome:
    """The old primary is one, and does not hand over: not yet, not any more, or not at all."""
    if old.told_since_look(NodeVerb.HAND_OVER):
        return _waits(sight, state, f"{old.name} hands over to {state.to_node}", _SOON)
    if new is None or cause(sight, old) is None or not _fit(sight, new, old):
        if state.told_at is not None and new is not None and new.node is None and not (new.refused or new.view.ended):
            # It may have taken over, and is fenced like a primary before the old one goes on.
            why = f"{new.name} may have taken over from {old.name}, and does not answer"
            return unplanned.begin(sight, old.name, why, state) if lost(new, sight) else _waits(sight, state, why, 0.5)
        message = f"{old.name} stays the primary for now, since {state.to_node} cannot take over"
        return settled_again(sight, old, message)
    return _tell(sight, state, old, new)


def settled_again(sight: Sight, old: Seen, message: str) -> Outcome:
    """The hand-over is called off."""
    out = settled(sight, old)
    return out.with_notice(Notice(EventType.WARNING, Reason.SWITCHING_OVER.value, message))


def _tell(sight: Sight, state: FailoverStatus, old: Seen, new: Seen) -> Outcome:
    """Brace the primary, and once that is seen tell it to hand over."""
    brace = max(1, sum(1 for n in sight.others(old.name) if _may_follow(n, old)))
    braced = guard(sight, old, sight.status.guarded, brace)
    if old.min_replicas != brace or not braced.guarded:
        out = _waits(sight, state, f"{old.name} is told to want all its replicas", _SOON, braced.command)
        return replace(out, guarded=braced.guarded)
    if state.told_at is not None:
        longest = _URGENT_SECONDS if old.view.terminating else _LONGEST_SECONDS
        pause = min(longest, AGAIN_SECONDS * 2 ** min(state.attempt - 1, 8)) * (1 + sight.jitter / 5)
        left = pause - sight.since(state.told_at)
        if left > 0:
            return _waits(sight, state, f"{old.name} did not hand over in try {state.attempt}", min(left, 2.0))
    attempt = state.attempt + 1 if state.told_at is not None else 1
    told = state.model_copy(update={"told_at": sight.now, "detached_at": None, "attempt": attempt})
    command = NodeCommand(old.name, NodeVerb.HAND_OVER, new.name)
    return _waits(sight, told, f"{old.name} hands over to {new.name}", _SOON, command)


def _may_follow(seen: Seen, old: Seen) -> bool:
    """Whether it is a replica of the primary, for all that is known."""
    return not seen.view.ended and (follows(seen, old) or (seen.node is None and not seen.refused))


def _over(sight: Sight, state: FailoverStatus, new: Seen) -> Outcome:
    out = settled(sight, new)
    past = PastFailover(
        cause=state.cause,
        planned=True,
        from_node=state.from_node,
        to_node=new.name,
        started_at=state.started_at,
        ended_at=sight.now,
        lost_bytes=0,
    )
    message = f"{state.from_node} handed over to {new.name}: {state.cause}"
    return out.with_past(past, Notice(EventType.NORMAL, Reason.SWITCHED_OVER.value, message))


def cut_off(sight: Sight, past: PastFailover | None) -> tuple[NodeCommand, ...]:
    """Clients of a node that was the primary are disconnected once it says that it is none."""
    newest = past or (sight.status.failovers[-1] if sight.status.failovers else None)
    if newest is None or not newest.planned or sight.since(newest.ended_at) > _CUT_SECONDS:
        return ()
    old = sight.get(newest.from_node)
    if old is None or not old.is_replica:
        return ()
    done = old.told.get(NodeVerb.DISCONNECT_CLIENTS.value)
    if done is not None and done.failure is None and done.at >= newest.ended_at:
        return ()
    return (NodeCommand(old.name, NodeVerb.DISCONNECT_CLIENTS),)


def _waits(
    sight: Sight, state: FailoverStatus, message: str, wait: float, command: NodeCommand | None = None
) -> Outcome:
    return Outcome(
        primary=state.from_node,
        run_id=sight.status.primary_run_id,
        guarded=sight.status.guarded,
        failover=state,
        commands=(command,) if command is not None else (),
        wait=wait,
        reason=(Reason.SWITCHING_OVER, message),
    )
