"""When a rollout is over for somebody who waits for it: a pipeline must not wait for a person."""

from __future__ import annotations

from dataclasses import dataclass

from sophia_operator.api.conditions import PAUSES, Condition, ConditionType, Reason, find, is_true
from sophia_operator.api.release import Release
from sophia_operator.core.situation import Situation


@dataclass(frozen=True, slots=True)
class Ending:
    """Nothing goes on any more."""

    #: What a person must see to; None when the spec serves, or the release failed for good.
    waits_for: str | None = None
    #: False when it may go on by itself: what it lacks may have been applied a moment ago.
    is_certain: bool = True


def ending_of(s: Situation) -> Ending | None:
    """How it ended; None while something goes on.

    The operator writes a release's status first and the service's after it, and an order that was given to a release is
    not obeyed at once: so both must say the same, and of their newest specs.
    """
    conditions = s.service.status.conditions
    if not s.is_seen or not conditions or not _is_obeyed(s.rollout):
        return None
    paused = _pause(s)
    if paused is not None:
        return Ending(waits_for=paused.message)
    if find(conditions, ConditionType.RECONCILING) is not None:
        return None
    if s.rollout is not None and s.rollout.status.state.is_latched:
        return Ending()
    stalled = find(conditions, ConditionType.STALLED)
    if stalled is None:
        return Ending() if s.rollout is None else None
    if stalled.reason == Reason.RELEASE_LATCHED:
        return None  # of a release that made way meanwhile
    return Ending(waits_for=stalled.message, is_certain=False)


def _is_obeyed(rollout: Release | None) -> bool:
    """Whether the operator has seen the newest order to the release."""
    return rollout is None or rollout.status.observed_generation >= int(rollout.metadata.get("generation", 0))


def _pause(s: Situation) -> Condition | None:
    paused = find(s.service.status.conditions, ConditionType.PAUSED)
    if s.rollout is None or paused is None or paused.reason not in PAUSES:
        return None
    both = all(is_true(o.status.conditions, ConditionType.PAUSED) for o in (s.service, s.rollout))
    return paused if both else None
