"""Before an action is claimed: whether it can be done, is needed, is allowed, and may be done now."""

from __future__ import annotations

from sophia_operator.api.conditions import ConditionType, Reason, find
from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_values import ACTIONS, Action
from sophia_operator.core.recovery import guards, past
from sophia_operator.core.recovery.action.after import subject_of
from sophia_operator.core.recovery.action.evidence import evidence
from sophia_operator.core.recovery.action.steps import Look, Step
from sophia_operator.core.recovery.action.would import would
from sophia_operator.core.recovery.guards import Obstacle
from sophia_operator.core.recovery.scene import scene_of
from sophia_operator.core.recovery.views import CrashingPod, TargetView
from sophia_operator.core.words import clock

#: Said in the status of an action that waits.
_HOLDS = ActionPhase.WAITING


def before_claim(look: Look) -> Step:
    """The first of these questions that has an answer; at the end the action is claimed."""
    action, target = look.action, look.seen.target
    spec = action.spec
    sign = look.seen.sign if spec.trigger is not None else None
    if spec.approved is False:
        who = spec.approved_by or "somebody"
        return Step(ActionPhase.REFUSED, Reason.REJECTED, f"{who} said no", {"ended_at": look.now})
    if sign is not None and sign.present is False:
        words = "the symptom was gone before anything was done"
        return Step(ActionPhase.SKIPPED, Reason.NOT_NEEDED, words, {"ended_at": look.now})
    impossible = _impossible(look)
    if impossible is not None:
        return impossible
    assert target is not None
    if spec.dry_run:
        return _dry_run(look, target)
    held = obstacle_of(look)
    if held is not None and held.final:
        return Step(ActionPhase.SKIPPED, held.reason, held.message, {"ended_at": look.now})
    if spec.approval_required and spec.approved is None:
        words = f"kubectl sophia recovery approve {action.name} -n {action.namespace} lets it be done"
        return Step(ActionPhase.AWAITING_APPROVAL, Reason.AWAITING_APPROVAL, words)
    if held is not None:
        return Step(_HOLDS, held.reason, held.message, until=held.until)
    if sign is not None and sign.present is None:
        why = f": {sign.message}" if sign.message else ""
        return Step(_HOLDS, Reason.SYMPTOM_UNKNOWN, f"whether the symptom is there cannot be told{why}")
    return _claim(look, target)


def obstacle_of(look: Look) -> Obstacle | None:
    """The guard rail that keeps the action from being done now."""
    action, seen = look.action, look.seen
    scene = scene_of(seen.policies, seen.symptoms, seen.history, look.now)
    return guards.obstacle(guards.wish_of(action, scene.on(action.target)), scene)


def _impossible(look: Look) -> Step | None:
    """Why it can never be done."""
    action, target = look.action, look.seen.target
    spec, ended = action.spec, {"ended_at": look.now}
    elsewhere = spec.target.namespace
    if elsewhere is not None and elsewhere != action.namespace:
        words = (
            f"the target is in namespace {elsewhere}, and an action acts in its own ({action.namespace}): make it there"
        )
        return Step(ActionPhase.REFUSED, Reason.TARGET_ELSEWHERE, words, ended)
    if target is None:
        words = f"{spec.target.kind.value} {action.namespace}/{spec.target.name} does not exist, or is being deleted"
        return Step(ActionPhase.REFUSED, Reason.TARGET_NOT_FOUND, words, ended)
    if target.spec is None:
        stalled = find(target.status.conditions, ConditionType.STALLED)
        why = f": {stalled.message}" if stalled is not None else ""
        words = f"the spec of {spec.target.kind.value} {spec.target.name} cannot be read{why}"
        return Step(_HOLDS, Reason.INVALID_SPEC, words)
    if spec.action is Action.RESTART_POD and pod_of(look, target) is None:
        named = spec.parameters.pod
        words = f"pod {named} does not crash, or is no pod of it" if named else "no pod of it crashes"
        return Step(ActionPhase.REFUSED, Reason.NOT_NEEDED, words, ended)
    return None


def pod_of(look: Look, target: TargetView) -> CrashingPod | None:
    """The pod that RestartPod is about: the one that is named, else the worst."""
    named = look.action.spec.parameters.pod
    return next((pod for pod in target.crashing if named in (None, pod.name)), None)


def _dry_run(look: Look, target: TargetView) -> Step:
    what = would(look.action.spec.action, look.action.spec.parameters, target)
    held = obstacle_of(look)
    later = f"; not now, for {held.message}" if held is not None else ""
    changes = {
        "ended_at": look.now,
        "would": f"{what}{later}"[:4096],
        "before": evidence(target, look.seen.sign, look.now),
    }
    return Step(ActionPhase.SKIPPED, Reason.WOULD_ACT, f"a dry run: {what}", changes)


def _claim(look: Look, target: TargetView) -> Step:
    spec, now = look.action.spec, look.now
    pod = pod_of(look, target) if spec.action is Action.RESTART_POD else None
    changes = {
        "claimed_at": now,
        "before": evidence(target, look.seen.sign, now),
        "undo": ACTIONS[spec.action].undo or "",
        "subject": subject_of(pod) if pod is not None else None,
        "recurrence": _recurs(look),
    }
    words = f"claimed at {clock(now, now)}: it is done once"
    return Step(ActionPhase.CLAIMED, Reason.CLAIMED, words, changes, until=now)


def _recurs(look: Look) -> bool:
    """Whether an act answered the same symptom of the same object in another incident within the hour."""
    trigger = look.action.spec.trigger
    if trigger is None:
        return False
    return any(
        a.spec.trigger is not None
        and a.target == look.action.target
        and a.spec.trigger.symptom is trigger.symptom
        and a.spec.trigger.since < trigger.since
        and past.counts(a)
        and a.status.ended_at is not None
        and look.now - a.status.ended_at <= past.HOUR
        for a in look.seen.history.actions
    )
