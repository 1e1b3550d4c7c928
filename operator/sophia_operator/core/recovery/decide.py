"""The engine: what is done about what is seen in a namespace, and why not more.

Pure: the same arguments give the same decision. Statuses are persisted before actions are created; an action that was
decided on and not created, since the operator ended in between, is decided on again, under the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_policy_status import StormStatus, SymptomStatus
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.decision import Done, Next, RequeueAfter
from sophia_operator.core.recovery import guards
from sophia_operator.core.recovery.answers import Answer, answer
from sophia_operator.core.recovery.cases import Case, cases
from sophia_operator.core.recovery.decision import Decisions, NewAction
from sophia_operator.core.recovery.memory import incidents
from sophia_operator.core.recovery.policy_status import Found, finish
from sophia_operator.core.recovery.quiet import next_change
from sophia_operator.core.recovery.scene import Scene, scene_of
from sophia_operator.core.recovery.storm import storm_of, symptomatic
from sophia_operator.core.recovery.track import kept, key_of, rule_of, signs, track, value_of
from sophia_operator.core.recovery.views import ActionView, History, PolicyView, Sign, Symptoms, TargetKey

#: An action that is to be created is looked for again after so many seconds, should nothing tell of it.
_CREATED_SECONDS: Final = 1.0


def decide(symptoms: Symptoms, policies: tuple[PolicyView, ...], history: History, now: datetime) -> Decisions:
    """What is done in one namespace. At most one act is begun on each object."""
    all_ = {p.name: track(p, symptoms, now) for p in policies}
    sick = {name: len(symptomatic(found)) for name, found in all_.items()}
    storms = {p.name: storm_of(p, sick[p.name], len(symptoms.selected.get(p.name, ())), now) for p in policies}
    tracked = {p.name: kept(p, all_[p.name]) for p in policies}
    scene = scene_of(policies, symptoms, history, now, storms)
    scene = scene.promising(_promised(scene))
    lines = incidents(history.actions)
    answers: list[tuple[Case, Answer]] = []
    for case in cases(tracked, scene):
        found = answer(case, scene, lines)
        answers.append((case, found))
        if found.create is not None and _is_act(found.create):
            scene = scene.promising([case.target])
    done = _statuses(policies, symptoms, answers)
    finished = {
        p.name: finish(p, Found(tuple(done[p.name]), sick[p.name], storms[p.name]), scene) for p in scene.policies
    }
    return Decisions(
        statuses={name: status for name, (status, _) in finished.items()},
        create=tuple(found.create for _, found in answers if found.create is not None),
        notices={name: notices for name, (_, notices) in finished.items() if notices},
        next=_next(scene, all_, [found for _, found in answers]),
    )


def _promised(scene: Scene) -> Iterator[TargetKey]:
    """Objects of automatic acts that were made and are about to be claimed: nothing was seen to hold them."""
    untold = {(s.policy, s.target, s.symptom) for s in scene.symptoms.seen if s.sign.present is None}
    for action in filter(_may_be_claimed, scene.history.actions):
        trigger = action.spec.trigger
        told = trigger is not None and (trigger.policy, action.target, trigger.symptom) not in untold
        if told and not _is_held(action, scene):
            yield action.target


def _may_be_claimed(action: ActionView) -> bool:
    spec = action.spec
    return (
        action.status.phase in (ActionPhase.PENDING, ActionPhase.WAITING)
        and spec.action is not Action.NOTIFY
        and not spec.dry_run
        and not (spec.approval_required and spec.approved is not True)
    )


def _is_held(action: ActionView, scene: Scene) -> bool:
    """Whether it waits for something: meanwhile another act may be what the object needs."""
    if action.status.phase is not ActionPhase.WAITING:
        return False
    return guards.obstacle(guards.wish_of(action, scene.on(action.target)), scene) is not None


def _is_act(new: NewAction) -> bool:
    return not (new.spec.dry_run or new.spec.approval_required or new.spec.action is Action.NOTIFY)


def _statuses(
    policies: Iterable[PolicyView], symptoms: Symptoms, answers: Iterable[tuple[Case, Answer]]
) -> Mapping[str, list[SymptomStatus]]:
    """By the policy's name: its incidents with what was decided, in order."""
    seen = {p.name: signs(p, symptoms) for p in policies}
    out: dict[str, list[SymptomStatus]] = {name: [] for name in seen}
    for case, found in answers:
        name = case.policy.name
        out[name].append(_with_answer(case, found, seen[name].get(key_of(case.incident))))
    return {name: sorted(done, key=key_of) for name, done in out.items()}


def _with_answer(case: Case, found: Answer, sign: Sign | None) -> SymptomStatus:
    """The incident with what was decided; figures of a symptom are written down when that changes."""
    incident, last = case.incident, case.climb.last
    made = found.create.name if found.create is not None else last.name if last is not None else incident.action
    changes = {
        "verdict": found.verdict,
        "reason": found.reason.value,
        "why": found.why[:4096],
        "step": case.climb.made,
        "tried": list(case.climb.tried),
        "action": made,
    }
    before = (incident.verdict, incident.reason, incident.action)
    if before != (found.verdict, found.reason.value, made) and sign is not None and sign.present:
        changes |= {"value": value_of(sign), "message": sign.message[:4096]}
    return incident.model_copy(update=changes)


def _next(scene: Scene, tracked: Mapping[str, Sequence[SymptomStatus]], answers: Iterable[Answer]) -> Next:
    """The next moment at which time alone changes something."""
    now, known = scene.now, list(answers)
    moments: list[datetime | None] = [found.until for found in known]
    for policy in scene.policies:
        moments += _of_policy(policy, tracked[policy.name], scene.storms[policy.name], now)
    ahead = [(moment - now).total_seconds() for moment in moments if moment is not None and moment > now]
    if any(found.create is not None for found in known):
        ahead.append(_CREATED_SECONDS)
    return RequeueAfter(min(ahead)) if ahead else Done()


def _of_policy(
    policy: PolicyView, incidents_: Iterable[SymptomStatus], storm: StormStatus | None, now: datetime
) -> Iterator[datetime | None]:
    spec = policy.spec
    if storm is not None and storm.quiet_since is not None:
        yield storm.quiet_since + timedelta(seconds=spec.storm.cooldown_seconds)
    for incident in incidents_:
        rule = rule_of(policy, incident.symptom)
        if incident.gone_since is not None and rule is not None:
            yield incident.gone_since + timedelta(seconds=rule.clear_seconds)
    yield from (request.until for request in spec.pause_requests)
    yield next_change(spec.quiet_windows, now)
