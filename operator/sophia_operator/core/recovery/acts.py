"""Acts in the status of their target: what every planner that carries acts out does the same way.

A target writes down that it begins with an act, and with what exactly, before it does anything. After a crash it goes
on with what is written there, and with nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sophia_operator.api.recovery_action_status import MAX_ACTS, MAX_DID, ActPhase, ActStatus
from sophia_operator.core.recovery.views import ActRequest


def act_of(acts: Iterable[ActStatus], request: ActRequest) -> ActStatus | None:
    """What the target says of the request."""
    return next((act for act in acts if act.uid == request.uid), None)


def to_begin(acts: Iterable[ActStatus], requests: Iterable[ActRequest]) -> ActRequest | None:
    """The next request to begin with: one after the other, in the order in which they were claimed."""
    known = tuple(acts)
    if any(act.phase is ActPhase.RUNNING for act in known):
        return None
    uids = {act.uid for act in known}
    waiting = [r for r in requests if r.may_begin and r.uid not in uids]
    return min(waiting, key=lambda r: (r.claimed_at is None, r.claimed_at, r.name), default=None)


def begun(request: ActRequest, now: datetime, *, subject: str | None = None, message: str = "") -> ActStatus:
    """The act as it is written down before anything is done."""
    return ActStatus(
        name=request.name,
        uid=request.uid,
        action=request.action,
        phase=ActPhase.RUNNING,
        subject=subject,
        message=message,
        started_at=now,
    )


def ended(act: ActStatus, phase: ActPhase, message: str, now: datetime, did: Sequence[str] = ()) -> ActStatus:
    """The act once nothing more is done. `did` is added to what was written down before."""
    lines = [*act.did, *(line[:512] for line in did)][-MAX_DID:]
    return act.model_copy(update={"phase": phase, "message": message[:4096], "ended_at": now, "did": lines})


def replaced(acts: Iterable[ActStatus], changed: ActStatus) -> list[ActStatus]:
    """The list with that act in the place of the one of its uid, or after all others."""
    known = list(acts)
    if all(act.uid != changed.uid for act in known):
        return [*known, changed]
    return [changed if act.uid == changed.uid else act for act in known]


def tidied(acts: Iterable[ActStatus], requests: Iterable[ActRequest]) -> list[ActStatus]:
    """Acts that are still of use: those under way, and the newest that ended whose RecoveryAction is there. There is
    room left for one that begins. One whose RecoveryAction has not yet read how it ended stays: it would be done again.
    """
    unread = {request.uid: request.may_begin for request in requests}
    useful = [act for act in acts if act.phase is ActPhase.RUNNING or act.uid in unread]
    over = [act for act in useful if act.phase is not ActPhase.RUNNING and not unread[act.uid]]
    dropped = {act.uid for act in over[: max(0, len(useful) - (MAX_ACTS - 1))]}
    return [act for act in useful if act.uid not in dropped]
