"""Steps of a release's way, written down the same way everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import (
    MAX_TRANSITIONS,
    Outcome,
    ReleaseState,
    ReleaseStatus,
    Transition,
)
from sophia_operator.core.decision import EventType, Notice
from sophia_operator.core.views import ReleaseView


@dataclass(frozen=True, slots=True)
class Step:
    """What a step function decided about one release."""

    status: ReleaseStatus
    notices: tuple[Notice, ...] = ()
    #: Seconds until the next look; None: nothing to wait for but events.
    wait: float | None = None
    #: Why the release does not go on, for conditions.
    held_by: tuple[Reason, str] | None = None
    #: Whether only a change by a person, or of the cluster, can end the hold.
    stalls: bool = False
    #: Whether the step is a transition: the pass takes no other.
    moved: bool = field(default=False)


_BAD = frozenset({ReleaseState.ROLLING_BACK, ReleaseState.ROLLED_BACK, ReleaseState.FAILED})


def move(
    release: ReleaseView, state: ReleaseState, reason: Reason, message: str, now: datetime, **changes: Any
) -> Step:
    """The release goes to `state`; the way is recorded and people are told."""
    status = release.status
    since = status.state_since if status.state is state and status.state_since else now
    weight = changes["stage"].weight_percent if changes.get("stage") is not None else None
    entry = Transition(time=now, state=state, weight_percent=weight, reason=reason.value, message=message[:4096])
    moved = status.model_copy(
        update={
            "state": state,
            "state_since": since,
            "transitions": [*status.transitions, entry][-MAX_TRANSITIONS:],
            **changes,
        }
    )
    bad = state in _BAD and reason not in (Reason.SUPERSEDED, Reason.REVERTED, Reason.REBUILT)
    notice = Notice(EventType.WARNING if bad else EventType.NORMAL, reason.value, message, release.name)
    return Step(moved, (notice,), wait=0.0, moved=True)


def roll_back(release: ReleaseView, outcome: ReleaseState, reason: Reason, message: str, now: datetime) -> Step:
    """All traffic goes back to the stable release; `outcome` is where the release ends once that is confirmed."""
    status = release.status
    return move(
        release,
        ReleaseState.ROLLING_BACK,
        reason,
        message,
        now,
        outcome=Outcome(state=outcome, reason=reason.value, message=message[:4096]),
        pause=None,
        state_since=now,
        weights=status.weights.model_copy(update={"wanted_percent": 0, "looked_at": None, "message": ""}),
    )


def seconds_since(moment: datetime | None, now: datetime) -> float:
    """Seconds from `moment` to `now`; 0 without a moment."""
    return 0.0 if moment is None else (now - moment).total_seconds()
