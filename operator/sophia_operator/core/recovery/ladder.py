"""The ladder of an incident: which step is next, by what was tried so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_policy import Rule, Step
from sophia_operator.api.recovery_policy_status import SymptomStatus
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.recovery import past
from sophia_operator.core.recovery.memory import IncidentLine, in_order
from sophia_operator.core.recovery.views import ActionView


@dataclass(frozen=True, slots=True)
class Climb:
    """How far an incident's ladder was climbed."""

    #: Acts of the incident, the oldest first; dry runs are among them.
    acts: tuple[ActionView, ...]
    #: Number of acts that were made.
    made: int
    #: Actions that were tried since one last helped, one as often as it was.
    tried: tuple[Action, ...]
    #: Whether the last act was tried and did not help.
    goes_on: bool

    @property
    def last(self) -> ActionView | None:
        """The newest act."""
        return self.acts[-1] if self.acts else None


def climb(policy: str, incident: SymptomStatus, actions: Iterable[ActionView]) -> Climb:
    """How far it was climbed: by RecoveryActions, and by what the policy's status remembers of those that are gone."""
    acts = tuple(sorted((a for a in actions if _is_of(policy, incident, a)), key=_number))
    tried = _without(incident.tried, (act.spec.action for act in acts))
    goes_on = bool(tried)
    for act in acts:
        if act.spec.dry_run or not act.status.phase.is_over or act.status.phase is ActionPhase.SKIPPED:
            continue
        if past.helped(act) and act.spec.action is not Action.NOTIFY:
            tried, goes_on = [], False
        else:
            tried = [*tried, act.spec.action]
            # What was refused, by a person or for good, took no time in which something could have helped.
            goes_on = True
    made = max([incident.step, *(_number(act) for act in acts)])
    return Climb(acts, made, tuple(tried), goes_on)


def steps_left(
    rule: Rule, incident: SymptomStatus, tried: Sequence[Action], lines: Iterable[IncidentLine]
) -> list[Step]:
    """The steps that were not tried yet, the next one first. One action may be several steps."""
    left, gone = list[Step](), list(tried)
    for step in in_order(rule.escalation, lines, incident.symptom, incident.kind):
        if step.action in gone:
            gone.remove(step.action)
        else:
            left.append(step)
    return left


def goes_on(action: ActionView, actions: Iterable[ActionView]) -> bool:
    """Whether an action goes on with the ladder of its incident: the act before it was tried and did not help."""
    trigger = action.spec.trigger
    if trigger is None:
        return False
    before = [
        a
        for a in actions
        if a.spec.trigger is not None
        and a.target == action.target
        and (a.spec.trigger.policy, a.spec.trigger.symptom) == (trigger.policy, trigger.symptom)
        and a.spec.trigger.since == trigger.since
        and a.spec.trigger.step < trigger.step
        and not a.spec.dry_run
        and a.status.phase.is_over
        and a.status.phase is not ActionPhase.SKIPPED
    ]
    last = max(before, key=_number, default=None)
    return last is not None and (last.spec.action is Action.NOTIFY or not past.helped(last))


def _without(tried: Iterable[Action], known: Iterable[Action]) -> list[Action]:
    """Tries that no act is known of any more."""
    left = list(tried)
    for action in known:
        if action in left:
            left.remove(action)
    return left


def _is_of(policy: str, incident: SymptomStatus, action: ActionView) -> bool:
    trigger = action.spec.trigger
    return (
        trigger is not None
        and action.target == (incident.kind, incident.name)
        and (trigger.policy, trigger.symptom) == (policy, incident.symptom)
        and trigger.since == incident.since
    )


def _number(action: ActionView) -> int:
    return action.spec.trigger.step if action.spec.trigger is not None else 0
