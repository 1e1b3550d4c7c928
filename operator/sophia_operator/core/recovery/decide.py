"""The engine: what is done about what is seen in a namespace, and why not more.

Pure: the same arguments give the same decision. Statuses are persisted before actions are created; an action that was
decided on and not created, since the operator ended in between, is decided on again, under the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_action import ActionTarget, RecoveryActionSpec, Trigger
from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_policy import Rule, Step
from sophia_operator.api.recovery_policy_status import MAX_SYMPTOMS, StormStatus, SymptomStatus, Verdict
from sophia_operator.api.recovery_values import Action, Mode, Severity
from sophia_operator.core.decision import Done, Next, RequeueAfter
from sophia_operator.core.recovery import guards, names
from sophia_operator.core.recovery.decision import Decisions, NewAction
from sophia_operator.core.recovery.guards import Obstacle, Scene, Wish
from sophia_operator.core.recovery.ladder import Climb, climb, steps_left
from sophia_operator.core.recovery.memory import IncidentLine, incidents
from sophia_operator.core.recovery.modes import mode_of, strictest, strictness
from sophia_operator.core.recovery.parameters import parameters_of
from sophia_operator.core.recovery.policy_status import finish
from sophia_operator.core.recovery.quiet import quiet_until
from sophia_operator.core.recovery.storm import storm_of, symptomatic
from sophia_operator.core.recovery.track import IncidentKey, key_of, rule_of, signs, track, value_of
from sophia_operator.core.recovery.views import History, PolicyView, Symptoms, TargetKey
from sophia_operator.core.words import clock, count, span

_SEVERITIES: Final = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
#: As many acts of one incident as their numbers go.
_MOST_ACTS: Final = 16


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is decided about one incident."""

    verdict: Verdict
    reason: str
    why: str
    until: datetime | None = None
    create: NewAction | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    """One incident, with all that is decided by."""

    policy: PolicyView
    rule: Rule
    incident: SymptomStatus
    #: Policies that answer the same symptom of the same object.
    others: tuple[PolicyView, ...]
    climb: Climb


def decide(symptoms: Symptoms, policies: tuple[PolicyView, ...], history: History, now: datetime) -> Decisions:
    """What is done in one namespace. At most one act is begun on each object."""
    ordered = tuple(sorted(policies, key=lambda p: p.name))
    tracked = {p.name: track(p, symptoms, now) for p in ordered}
    storms = {
        p.name: storm_of(p, len(symptomatic(tracked[p.name])), len(symptoms.selected.get(p.name, ())), now)
        for p in ordered
    }
    scene = replace(guards.scene_of(ordered, symptoms, history, now, storms), promised=_promised(history))
    lines = incidents(history.actions)
    answers: dict[tuple[str, IncidentKey], _Answer] = {}
    create: list[NewAction] = []
    for case in _cases(ordered, tracked, history):
        answer = _answer(case, scene, lines)
        answers[case.policy.name, key_of(case.incident)] = answer
        if answer.create is not None:
            create.append(answer.create)
            if _is_act(answer.create):
                scene = replace(scene, promised=(*scene.promised, (case.incident.kind, case.incident.name)))
    done = {p.name: _with_answers(p, symptoms, tracked[p.name], answers, history) for p in ordered}
    finished = {p.name: finish(p, done[p.name], storms[p.name], scene) for p in ordered}
    return Decisions(
        statuses={name: status for name, (status, _) in finished.items()},
        create=tuple(create),
        notices={name: notices for name, (_, notices) in finished.items() if notices},
        next=_next(ordered, tracked, storms, tuple(answers.values()), now),
    )


def _promised(history: History) -> tuple[TargetKey, ...]:
    """Objects of automatic acts that were made and are not claimed yet, nor wait for a person."""
    waiting = (ActionPhase.PENDING, ActionPhase.WAITING)
    return tuple(
        a.target
        for a in history.actions
        if a.spec.trigger is not None
        and a.status.phase in waiting
        and not a.spec.dry_run
        and a.spec.action is not Action.NOTIFY
    )


def _is_act(new: NewAction) -> bool:
    return not (new.spec.dry_run or new.spec.approval_required or new.spec.action is Action.NOTIFY)


def _cases(
    policies: Sequence[PolicyView], tracked: Mapping[str, Sequence[SymptomStatus]], history: History
) -> Iterator[_Case]:
    """Every incident whose policy leads, the worst and then the oldest one first."""
    cases: list[_Case] = []
    for policy in policies:
        for incident in tracked[policy.name]:
            rule = rule_of(policy, incident.symptom)
            if rule is None:
                continue
            same = [p for p in policies if any(key_of(i) == key_of(incident) for i in tracked[p.name])]
            if _leader(same, incident) is policy:
                others = tuple(p for p in same if p is not policy)
                cases.append(_Case(policy, rule, incident, others, climb(policy.name, incident, history.actions)))
    cases.sort(key=lambda c: (_SEVERITIES.index(c.rule.severity), c.incident.since, key_of(c.incident)))
    return iter(cases)


def _leader(policies: Sequence[PolicyView], incident: SymptomStatus) -> PolicyView:
    """Whose ladder is climbed: that of the strictest, of equals the first by name."""

    def strict(policy: PolicyView) -> tuple[int, str]:
        rule = rule_of(policy, incident.symptom)
        return (strictness(policy.spec, rule) if rule is not None else len(Mode), policy.name)

    return min(policies, key=strict)


def _answer(case: _Case, scene: Scene, lines: Sequence[IncidentLine]) -> _Answer:
    """The first question that has an answer: see docs/design/recovery.md."""
    incident, now = case.incident, scene.now
    target = (incident.kind, incident.name)
    if incident.gone_since is not None:
        until = incident.gone_since + timedelta(seconds=case.rule.clear_seconds)
        words = f"not seen since {clock(incident.gone_since, now)}; over at {clock(until, now)} if it stays so"
        return _Answer(Verdict.OVER, Reason.SYMPTOM_IS_GONE.value, words, until)
    left = steps_left(case.rule, incident, case.climb.tried, lines)
    if all(_mode(case, step.action) is Mode.OFF for step in case.rule.escalation):
        return _Answer(Verdict.WAIT, Reason.MODE_OFF.value, "the mode is Off: nothing is done about it")
    watched = _watched(case)
    if watched is not None:
        return watched
    last = case.climb.last
    if last is not None and last.status.phase is ActionPhase.UNKNOWN:
        words = f"{last.name} may have been done when the operator ended: a person has to look; nothing more is done"
        return _Answer(Verdict.GAVE_UP, Reason.OUTCOME_UNKNOWN.value, words)
    if not left or case.climb.made >= _MOST_ACTS:
        tried = ", ".join(a.value for a in case.climb.tried) or count(case.climb.made, "act")
        words = f"{tried} did not help, and there is no further step: hands off until the symptom is gone"
        return _Answer(Verdict.GAVE_UP, Reason.GAVE_UP.value, words)
    first = guards.held(Wish(target, left[0].action, incident.since), scene)
    if first is not None:
        return _wait(first)
    ripe = incident.since + timedelta(seconds=case.rule.for_seconds)
    if now < ripe:
        words = f"seen since {clock(incident.since, now)}; answered from {clock(ripe, now)} on"
        return _Answer(Verdict.WAIT, Reason.SYMPTOM_IS_NEW.value, words, ripe)
    return _act(case, scene, left)


def _watched(case: _Case) -> _Answer | None:
    """The act of the incident that is under way, or waits."""
    last = case.climb.last
    if last is None or last.status.phase.is_over:
        return None
    phase = last.status.phase
    reason = Reason.AWAITING_APPROVAL if phase is ActionPhase.AWAITING_APPROVAL else Reason.ACT_UNDER_WAY
    return _Answer(Verdict.WATCH, reason.value, f"{last.name} ({last.spec.action.value}) is {phase.value}")


def _act(case: _Case, scene: Scene, left: Sequence[Step]) -> _Answer:
    """The first step that the guard rails allow; one whose breaker is open passes on to the next."""
    first: Obstacle | None = None
    for step in left:
        mode = _mode(case, step.action)
        if mode is Mode.OFF:
            continue
        if mode is Mode.DRY_RUN and any(a.spec.dry_run and a.spec.action is step.action for a in case.climb.acts):
            words = f"a dry run: RecoveryAction {case.climb.acts[-1].name} says what would be done"
            return _Answer(Verdict.WAIT, Reason.WOULD_ACT.value, words)
        wish = Wish(
            (case.incident.kind, case.incident.name), step.action, case.incident.since, goes_on=case.climb.goes_on
        )
        found = guards.obstacle(wish, scene)
        if found is None:
            return _make(case, step, mode, scene.now)
        first = first or found
        if found.reason is not Reason.BREAKER_OPEN:
            return _wait(found)
    if first is None:
        return _Answer(Verdict.WAIT, Reason.MODE_OFF.value, "the mode of what is left is Off: nothing more is done")
    return _wait(first)


def _make(case: _Case, step: Step, mode: Mode, now: datetime) -> _Answer:
    incident, number = case.incident, case.climb.made + 1
    lasted = f"{incident.symptom.value} for {span(now - incident.since)}"
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
    words = {
        Mode.APPROVE: f"RecoveryAction {name} ({step.action.value}) waits for a person",
        Mode.DRY_RUN: f"a dry run: RecoveryAction {name} says what {step.action.value} would do",
    }
    reason = {Mode.APPROVE: Reason.AWAITING_APPROVAL, Mode.DRY_RUN: Reason.WOULD_ACT}.get(mode, Reason.ACTING)
    why = words.get(mode, f"RecoveryAction {name} ({step.action.value}) is made")
    return _Answer(Verdict.ACT, reason.value, why, None, NewAction(case.policy.name, name, spec))


def _mode(case: _Case, action: Action) -> Mode:
    """The strictest mode of that action among all policies that answer the symptom."""
    modes = [mode_of(case.policy.spec, case.rule, action)]
    for other in case.others:
        rule = rule_of(other, case.incident.symptom)
        if rule is not None:
            modes.append(mode_of(other.spec, rule, action))
    return strictest(modes)


def _wait(found: Obstacle) -> _Answer:
    return _Answer(Verdict.WAIT, found.reason.value, found.message, found.until)


def _with_answers(
    policy: PolicyView,
    symptoms: Symptoms,
    tracked: Sequence[SymptomStatus],
    answers: Mapping[tuple[str, IncidentKey], _Answer],
    history: History,
) -> tuple[SymptomStatus, ...]:
    """The incidents with what was decided; figures of a symptom are written down when that changes."""
    seen = signs(policy, symptoms)
    out = []
    for incident in tracked:
        key = key_of(incident)
        answer = answers.get((policy.name, key))
        if answer is None:
            leader = next((name for name, other in answers if other == key), "another one")
            answer = _Answer(
                Verdict.WAIT, Reason.ACT_UNDER_WAY.value, f"RecoveryPolicy {leader} is stricter, and decides"
            )
        way = climb(policy.name, incident, history.actions)
        made = answer.create.name if answer.create is not None else (way.last.name if way.last else incident.action)
        changes = {
            "verdict": answer.verdict,
            "reason": answer.reason,
            "why": answer.why[:4096],
            "step": way.made,
            "tried": list(way.tried),
            "action": made,
        }
        sign = seen.get(key)
        decided = (incident.verdict, incident.reason, incident.action) != (answer.verdict, answer.reason, made)
        if decided and sign is not None and sign.present:
            changes |= {"value": value_of(sign), "message": sign.message[:4096]}
        out.append(incident.model_copy(update=changes))
    return tuple(out[:MAX_SYMPTOMS])


def _next(
    policies: Sequence[PolicyView],
    tracked: Mapping[str, Sequence[SymptomStatus]],
    storms: Mapping[str, StormStatus | None],
    answers: Iterable[_Answer],
    now: datetime,
) -> Next:
    """The next moment at which time alone changes something."""
    moments: list[datetime | None] = [answer.until for answer in answers]
    for policy in policies:
        storm, spec = storms[policy.name], policy.spec
        if storm is not None and storm.quiet_since is not None:
            moments.append(storm.quiet_since + timedelta(seconds=spec.storm.cooldown_seconds))
        for incident in tracked[policy.name]:
            rule = rule_of(policy, incident.symptom)
            if incident.gone_since is not None and rule is not None:
                moments.append(incident.gone_since + timedelta(seconds=rule.clear_seconds))
        moments += [request.until for request in spec.pause_requests]
        moments.append(quiet_until(spec.quiet_windows, now))
    ahead = [(moment - now).total_seconds() for moment in moments if moment is not None and moment > now]
    if any(answer.create is not None for answer in answers):
        ahead.append(0.0)
    return RequeueAfter(min(ahead)) if ahead else Done()
