"""Where an action may go, write by write."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import violations
from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.recovery.action.values import ActionDecision
from sophia_operator.core.recovery.views import ActionView

_IN_HAND: Final = (ActionPhase.CLAIMED, ActionPhase.RUNNING, ActionPhase.VERIFYING)
_BEFORE: Final = (ActionPhase.PENDING, ActionPhase.WAITING, ActionPhase.AWAITING_APPROVAL)
#: Where an action may go from each phase. Those that ended before they were claimed were never claimed.
_WAYS: Final = {
    **{p: {*_BEFORE, ActionPhase.CLAIMED, ActionPhase.SKIPPED, ActionPhase.REFUSED} for p in _BEFORE},
    ActionPhase.CLAIMED: {*_IN_HAND, ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.UNKNOWN},
    ActionPhase.RUNNING: {*_IN_HAND[1:], ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.UNKNOWN},
    ActionPhase.VERIFYING: {ActionPhase.VERIFYING, ActionPhase.SUCCEEDED, ActionPhase.FAILED},
}


def must(holds: bool, words: str) -> None:
    """A rule."""
    if not holds:
        raise AssertionError(words)


def went(before: ActionView, after: ActionView, decision: ActionDecision, now: datetime, longest: float) -> None:
    """An action was written; `longest` is the longest time that a symptom must be gone."""
    was, phase, status = before.status.phase, after.status.phase, after.status
    must(phase in _WAYS[was], f"{after.name} went from {was} to {phase}")
    must(status.phase.is_over == (status.ended_at is not None), f"{after.name}: when it ended")
    must(not violations(status.conditions, after.generation), f"conditions of {after.name}")
    must(bool(status.message), f"{after.name} says nothing")
    kept = before.status.claimed_at is None or before.status.claimed_at == status.claimed_at
    must(kept, f"{after.name} was claimed twice")
    if phase in _IN_HAND:
        must(isinstance(decision.next, RequeueAfter), f"{after.name} waits for ever in {phase}")
        assert status.claimed_at is not None
        end = status.claimed_at + timedelta(seconds=after.spec.verify_seconds)
        stable = status.gone_since is not None and now - status.gone_since < timedelta(seconds=longest)
        must(now < end or stable or was not in _IN_HAND, f"{after.name} stays {phase}")


def one_in_hand(actions: Iterable[ActionView], on: ActionView) -> None:
    """Never two acts on one object."""
    in_hand = [a.name for a in actions if a.target == on.target and a.status.phase in _IN_HAND]
    must(len(in_hand) <= 1, f"{in_hand} at once")
