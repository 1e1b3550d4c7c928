"""Memory of incidents: what was tried, and what helped, by symptom and kind, from RecoveryActions alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sophia_operator.api.recovery_action_status import ActionPhase, Verified
from sophia_operator.api.recovery_policy import Step
from sophia_operator.api.recovery_values import ACTIONS, Action, Symptom, TargetKind
from sophia_operator.core.recovery import past
from sophia_operator.core.recovery.views import ActionView

#: An action goes before another one only when it helped so often...
_LEAST_HELPED: Final = 3
#: ...and in a share of its tries that is larger by so many points.
_LEAD_PERCENT: Final = 20


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """What one action did for one symptom of one kind."""

    symptom: Symptom
    kind: TargetKind
    action: Action
    tried: int
    helped: int
    worse: int
    false_fires: int
    #: Seconds from the claim to the end of those that helped, the median; None without one.
    seconds: float | None

    @property
    def percent(self) -> int:
        """Share of the tries that helped."""
        return 100 * self.helped // self.tried if self.tried else 0


def incidents(actions: Iterable[ActionView]) -> tuple[IncidentLine, ...]:
    """A line for each symptom, kind and action that was tried, what helps most first."""
    tried: dict[tuple[Symptom, TargetKind, Action], list[ActionView]] = defaultdict(list)
    for action in actions:
        trigger = action.spec.trigger
        if trigger is not None and past.counts(action) and action.status.phase.is_over:
            tried[trigger.symptom, action.spec.target.kind, action.spec.action].append(action)
    lines = [_line(*key, found) for key, found in tried.items()]
    return tuple(sorted(lines, key=lambda i: (i.symptom, i.kind, -i.percent, -i.tried, i.action)))


def in_order(steps: Sequence[Step], lines: Iterable[IncidentLine], symptom: Symptom, kind: TargetKind) -> list[Step]:
    """The steps of a ladder with what was seen to help before what was not: as written, until there is evidence.
    What deletes data never goes before what does not."""
    known = {line.action: line for line in lines if (line.symptom, line.kind) == (symptom, kind)}
    out: list[Step] = []
    for step in steps:
        place = len(out)
        while place > 0 and _goes_before(step, out[place - 1], known):
            place -= 1
        out.insert(place, step)
    return out


def _goes_before(step: Step, other: Step, known: dict[Action, IncidentLine]) -> bool:
    mine, its = known.get(step.action), known.get(other.action)
    if mine is None or mine.helped < _LEAST_HELPED:
        return False
    if ACTIONS[step.action].deletes_data and not ACTIONS[other.action].deletes_data:
        return False
    return its is not None and its.tried >= _LEAST_HELPED and mine.percent >= its.percent + _LEAD_PERCENT


def _line(symptom: Symptom, kind: TargetKind, action: Action, found: Sequence[ActionView]) -> IncidentLine:
    well = [a for a in found if a.status.phase is ActionPhase.SUCCEEDED and a.status.verified is Verified.HELPED]
    took = sorted(
        (a.status.ended_at - a.status.claimed_at).total_seconds()
        for a in well
        if a.status.ended_at is not None and a.status.claimed_at is not None
    )
    return IncidentLine(
        symptom=symptom,
        kind=kind,
        action=action,
        tried=len(found),
        helped=len(well),
        worse=sum(a.status.verified is Verified.WORSE for a in found),
        false_fires=sum(a.status.false_fire for a in found),
        seconds=took[len(took) // 2] if took else None,
    )
