"""What is decided about one incident: the first question that has an answer. See docs/design/recovery.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_action import ActionTarget, RecoveryActionSpec, Trigger
from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_policy import Step
from sophia_operator.api.recovery_policy_status import Verdict
from sophia_operator.api.recovery_values import Action, Mode
from sophia_operator.core.recovery import guards, names
from sophia_operator.core.recovery.cases import Case
from sophia_operator.core.recovery.decision import NewAction
from sophia_operator.core.recovery.guards import Obstacle, Wish
from sophia_operator.core.recovery.ladder import steps_left
from sophia_operator.core.recovery.memory import IncidentLine
from sophia_operator.core.recovery.moments import when
from sophia_operator.core.recovery.parameters import parameters_of
from sophia_operator.core.recovery.scene import Scene
from sophia_operator.core.words import count, span

#: As many acts of one incident as their numbers go.
MOST_ACTS: Final = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What is decided about one incident."""

    verdict: Verdict
    reason: Reason
    why: str
    #: When time alone makes another answer of it.
    until: datetime | None = None
    create: NewAction | None = None


@dataclass(frozen=True, slots=True)
class _Question:
    case: Case
    scene: Scene
    #: Steps that were not tried yet, the next one first.
    left: Sequence[Step]


def answer(case: Case, scene: Scene, lines: Sequence[IncidentLine]) -> Answer:
    """What is done about the incident, or why not now."""
    asked = _Question(case, scene, steps_left(case.rule, case.incident, case.climb.tried, lines))
    found = next((said for ask in _ASKED if (said := ask(asked)) is not None), None)
    return found or _act(asked)


def _gone(asked: _Question) -> Answer | None:
    gone = asked.case.incident.gone_since
    if gone is None:
        return None
    until = gone + timedelta(seconds=asked.case.rule.clear_seconds)
    words = f"not seen since {when(gone)}; over at {when(until)} if it stays so"
    return Answer(Verdict.OVER, Reason.SYMPTOM_IS_GONE, words, until)


def _led(asked: _Question) -> Answer | None:
    leader = asked.case.led_by
    if leader is None:
        return None
    words = f"RecoveryPolicy {leader} answers it too, and is stricter, or of equals the first by name: it decides"
    return Answer(Verdict.WAIT, Reason.STRICTER_POLICY, words)


def _off(asked: _Question) -> Answer | None:
    modes = [asked.case.mode(step.action, asked.scene) for step in asked.case.rule.escalation]
    if any(mode is not Mode.OFF for mode, _ in modes):
        return None
    words = f"the mode of RecoveryPolicy {modes[0][1]} is Off: nothing is done about it"
    return Answer(Verdict.WAIT, Reason.MODE_OFF, words)


def _watched(asked: _Question) -> Answer | None:
    """An act that answers the symptom is under way, or waits: of this incident, or of one that is forgotten."""
    case = asked.case
    open_ = [
        a
        for a in asked.scene.on(case.target)
        if a.spec.trigger is not None and a.spec.trigger.symptom is case.incident.symptom and not a.status.phase.is_over
    ]
    if not open_:
        return None
    last = open_[-1]
    awaits = last.spec.approval_required and last.spec.approved is None
    reason = Reason.AWAITING_APPROVAL if awaits else Reason.ACT_UNDER_WAY
    words = f"{last.name} ({last.spec.action.value}) is {last.status.phase.value}"
    if last.status.phase is ActionPhase.WAITING:
        words = f"{words}: {last.status.message}"
    return Answer(Verdict.WATCH, reason, words)


def _gave_up(asked: _Question) -> Answer | None:
    climbed, last = asked.case.climb, asked.case.climb.last
    if last is not None and last.status.phase is ActionPhase.UNKNOWN:
        words = f"{last.name} may have been done when the operator ended: a person has to look; nothing more is done"
        return Answer(Verdict.GAVE_UP, Reason.OUTCOME_UNKNOWN, words)
    if asked.left and climbed.made < MOST_ACTS:
        return None
    tried = ", ".join(a.value for a in climbed.tried) or count(climbed.made, "act")
    words = f"{tried} did not help, and there is no further step: hands off until the symptom is gone"
    return Answer(Verdict.GAVE_UP, Reason.GAVE_UP, words)


def _held(asked: _Question) -> Answer | None:
    found = guards.held(_wish(asked, asked.left[0], Mode.AUTO), asked.scene)
    return _wait([found]) if found is not None else None


def _new(asked: _Question) -> Answer | None:
    since = asked.case.incident.present_since or asked.case.incident.since
    ripe = since + timedelta(seconds=asked.case.rule.for_seconds)
    if asked.scene.now >= ripe:
        return None
    return Answer(Verdict.WAIT, Reason.SYMPTOM_IS_NEW, f"seen since {when(since)}; answered from {when(ripe)} on", ripe)


def _untold(asked: _Question) -> Answer | None:
    """Nothing is begun on what cannot be seen; the incident goes on, for nothing says that it is over."""
    if asked.case.untold is None:
        return None
    words = f"whether it is there cannot be told now: {asked.case.untold}"
    return Answer(Verdict.WAIT, Reason.SYMPTOM_UNKNOWN, words[:1024])


def _told(asked: _Question) -> Answer | None:
    """People were told, and have the time of that step to do something before the next one."""
    last = asked.case.climb.last
    if last is None or last.spec.action is not Action.NOTIFY or last.status.phase is not ActionPhase.SUCCEEDED:
        return None
    until = (last.status.claimed_at or last.created_at) + timedelta(seconds=last.spec.verify_seconds)
    if asked.scene.now >= until:
        return None
    words = f"{last.name} told people; {asked.left[0].action.value} is next, at {when(until)}"
    return Answer(Verdict.WATCH, Reason.ACT_UNDER_WAY, words, until)


def _act(asked: _Question) -> Answer:
    """The first step that the guard rails allow. One whose breaker is open passes on to the next, and so does one that
    is only to be said, once it was: in an incident there is one dry run, whatever its ladder."""
    case, obstacles = asked.case, list[Obstacle]()
    said = _said(case)
    for step in asked.left:
        mode, _ = case.mode(step.action, asked.scene)
        if mode is Mode.OFF or (mode is Mode.DRY_RUN and said is not None):
            continue
        found = guards.obstacle(_wish(asked, step, mode), asked.scene)
        if found is None:
            return _make(asked, step, mode)
        obstacles.append(found)
        if found.reason is not Reason.BREAKER_OPEN:
            break
    if obstacles:
        return _wait(obstacles)
    if said is not None:
        return Answer(Verdict.WAIT, Reason.WOULD_ACT, said)
    return Answer(Verdict.WAIT, Reason.MODE_OFF, "the mode of what is left is Off: nothing more is done")


def _said(case: Case) -> str | None:
    """What the incident's dry run is, also if it was deleted since; None without one."""
    made = next((a for a in case.climb.acts if a.spec.dry_run), None)
    if made is not None:
        return f"a dry run: RecoveryAction {made.name} says what would be done"
    incident = case.incident
    if incident.verdict is Verdict.WAIT and incident.reason == Reason.WOULD_ACT:
        return "a dry run said what would be done, and was deleted since: it is not said again"
    return None


def _wish(asked: _Question, step: Step, mode: Mode) -> Wish:
    case = asked.case
    return Wish(
        target=case.target,
        action=step.action,
        symptom=case.incident.symptom,
        policy=case.policy.name,
        since=case.incident.since,
        mode=mode,
        goes_on=case.climb.goes_on,
    )


def _wait(found: Sequence[Obstacle]) -> Answer:
    """For the first of the obstacles; it is looked at again when any of them ends."""
    until = min((one.until for one in found if one.until is not None), default=None)
    return Answer(Verdict.WAIT, found[0].reason, found[0].message, until)


def _make(asked: _Question, step: Step, mode: Mode) -> Answer:
    case, incident = asked.case, asked.case.incident
    number = case.climb.made + 1
    lasted = f"{incident.symptom.value} for {span(asked.scene.now - incident.since)}"
    said = f"{lasted}: {incident.message}" if incident.message else lasted
    spec = RecoveryActionSpec(
        target=ActionTarget(kind=incident.kind, name=incident.name),
        action=step.action,
        parameters=parameters_of(step, case.rule),
        trigger=Trigger(
            policy=case.policy.name,
            symptom=incident.symptom,
            since=incident.since,
            step=number,
            timeout_seconds=step.timeout_seconds,
            severity=case.rule.severity,
            message=said[:4096],
        ),
        approval_required=mode is Mode.APPROVE,
        dry_run=mode is Mode.DRY_RUN,
        verify_seconds=step.timeout_seconds,
    )
    name = names.action_name(case.policy.name, incident, step.action, number)
    reason, words = {
        Mode.APPROVE: (Reason.AWAITING_APPROVAL, f"RecoveryAction {name} ({step.action.value}) waits for a person"),
        Mode.DRY_RUN: (Reason.WOULD_ACT, f"a dry run: RecoveryAction {name} says what {step.action.value} would do"),
    }.get(mode, (Reason.ACTING, f"RecoveryAction {name} ({step.action.value}) is made"))
    return Answer(Verdict.ACT, reason, words, None, NewAction(case.policy.name, name, spec))


_ASKED: Final[tuple[Callable[[_Question], Answer | None], ...]] = (
    _gone, _led, _off, _watched, _gave_up, _held, _untold, _new, _told,
)  # fmt: skip
