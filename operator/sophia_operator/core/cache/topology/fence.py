"""Whether a node that may be a primary is known to accept no write any more, and what makes it so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sophia_operator.api.cache_tier_status import FailoverPhase, FailoverStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import NodeCommand, NodeVerb
from sophia_operator.core.cache.topology.sight import LOST_SECONDS, Seen, Sight, follows, heard

#: From when nobody follows a guarded primary: the lag that it allows (5 s), a second until it notices, and some more.
FENCE_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Suspect:
    """A node that may be a primary: it was one, or was told to become one."""

    name: str
    #: Which run of its process; None: whichever runs there.
    run_id: str | None
    #: Whether it accepts no write while nobody follows it.
    guarded: bool
    #: The node that may be handing over to it, and so make it a primary without anybody's help.
    heir_of: str | None = None


@dataclass(frozen=True, slots=True)
class Fence:
    """How far it is. `up`: no suspect but the candidate accepts writes, now or later."""

    up: bool
    detached_at: datetime | None = None
    commands: tuple[NodeCommand, ...] = ()
    wait: float | None = None
    why: tuple[Reason, str] | None = None


def suspects(sight: Sight, failover: FailoverStatus) -> tuple[Suspect, ...]:
    """Every node that may be a primary while a failover is under way."""
    out: list[Suspect] = []
    if failover.from_node is not None:
        out.append(Suspect(failover.from_node, sight.status.primary_run_id, sight.status.guarded))
    if failover.to_node is not None and failover.told_at is not None:
        # No node is told before it was seen to be at 1, nor told 0 before the status says that it is the primary.
        heir_of = None if failover.phase is FailoverPhase.PROMOTING else failover.from_node
        out.append(Suspect(failover.to_node, None, True, heir_of))
    known = {s.name for s in out}
    # Somebody else may have promoted others.
    others = (n for n in sight.nodes if n.node is not None and n.is_primary and n.name not in known)
    out += [Suspect(n.name, n.node.run_id, (n.min_replicas or 0) >= 1) for n in others if n.node is not None]
    return tuple(out)


def ended(sight: Sight, suspect: Suspect) -> bool:
    """Rule 1: whether that run of its process ended, or it says itself that it is no primary."""
    seen = sight.get(suspect.name)
    if seen is None:
        return True  # the pod is gone
    if seen.node is not None:
        if suspect.run_id is not None and seen.node.run_id != suspect.run_id:
            return True
        giver = sight.get(suspect.heir_of)
        return seen.is_replica and (giver is None or giver.node is not None or giver.view.ended)
    if seen.view.address is None or seen.view.ended:
        return True  # the pod is a new one that does not run yet, or its process ended
    if seen.earlier_run is not None and seen.earlier_run == suspect.run_id:
        return True
    # A firewall can refuse as well; then a replica would still hear from it.
    return seen.refused and not heard(seen, sight.nodes)


def fence(sight: Sight, failover: FailoverStatus, candidate: str | None) -> Fence:
    """What is to be done so that no suspect but the candidate accepts a write."""
    left = [s for s in suspects(sight, failover) if s.name != candidate and not ended(sight, s)]
    if not left:
        return Fence(True)
    talking = [n for n in (sight.get(s.name) for s in left) if n is not None and n.is_primary]
    bare = [s for s in left if not s.guarded and s.name not in {n.name for n in talking}]
    if talking:
        # What says that it is a primary can be told that it is none.
        message = f"{talking[0].name} is to be no primary any more"
        return Fence(False, failover.detached_at, _away([], talking), 0.2, (Reason.FENCING, message))
    if bare:
        name = bare[0].name
        message = (
            f"{name} does not answer, and it may still accept writes, since it had no replica in sync: "
            f"wait until its process is known to have ended, or delete its pod: kubectl delete pod {name}"
        )
        return Fence(False, wait=1.0, why=(Reason.FENCING, message))
    return _detach(sight, failover, left)


def _detach(sight: Sight, failover: FailoverStatus, left: list[Suspect]) -> Fence:
    """Rule 2: nobody follows it, and that for long enough."""
    if sight.since(failover.started_at) < LOST_SECONDS and any(_was_never_asked(sight, s) for s in left):
        return Fence(False, wait=0.5, why=(Reason.FENCING, f"{left[0].name} does not answer yet"))
    following: list[Seen] = []
    unknown: list[Seen] = []
    for suspect in left:
        old = sight.get(suspect.name)
        assert old is not None  # or it would have ended
        followers, hidden = _followers(sight.others(suspect.name), old)
        following += followers
        unknown += hidden
    commands = _away(following, [])
    names = ", ".join(s.name for s in left)
    if unknown:
        who = unknown[0].name
        message = (
            f"{names} does not answer; {who} does not either, and may follow it still: make one of them reachable, or "
            f"delete the pod of one that is not needed: kubectl delete pod {who}"
        )
        return Fence(False, None, commands, 1.0, (Reason.FENCING, message))
    if following:
        return Fence(False, None, commands, 0.2, (Reason.FENCING, f"nodes stop following {names}{_refusal(following)}"))
    since = failover.detached_at or sight.now
    rest = FENCE_SECONDS - sight.since(since)
    if rest <= 0:
        return Fence(True, since, commands)
    message = f"{names} does not answer; without replicas it accepts no writes from {FENCE_SECONDS:g} s on"
    return Fence(False, since, commands, rest, (Reason.FENCING, message))


def _followers(others: Iterable[Seen], suspect: Seen) -> tuple[list[Seen], list[Seen]]:
    """Who says that it follows the suspect, and of whom it cannot be known."""
    living = [n for n in others if not n.view.ended and n.view.address is not None and not n.refused]
    return [n for n in living if follows(n, suspect)], [n for n in living if n.node is None]


def _refusal(following: Iterable[Seen]) -> str:
    """What one of them made of being told so, if it did not do it."""
    for seen in following:
        result = seen.told.get(NodeVerb.FOLLOW.value)
        if result is not None and result.failure is not None:
            return f"; {seen.name} does not yet: {result.failure.message}"
    return ""


def _was_never_asked(sight: Sight, suspect: Suspect) -> bool:
    """After a restart of the operator nothing says for how long it has been silent."""
    seen = sight.get(suspect.name)
    return seen is not None and seen.last_at is None


def _away(following: list[Seen], talking: list[Seen]) -> tuple[NodeCommand, ...]:
    """Follow nobody; clients of what was a primary look for the new one."""
    names = dict.fromkeys(n.name for n in (*following, *talking) if not n.told_since_look(NodeVerb.FOLLOW))
    cut = [n.name for n in talking if n.name in names]
    return (
        *(NodeCommand(name, NodeVerb.FOLLOW) for name in names),
        *(NodeCommand(name, NodeVerb.DISCONNECT_CLIENTS) for name in cut),
    )
