"""After an action was claimed: what the target does with it, and whether it helped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_action_status import ActionPhase, ActPhase, ActStatus, Verified
from sophia_operator.api.recovery_values import ACTIONS, Action
from sophia_operator.core.recovery.action.evidence import evidence
from sophia_operator.core.recovery.action.steps import Look, Step
from sophia_operator.core.recovery.rails import rails_of
from sophia_operator.core.recovery.role_health import healthy_by_role
from sophia_operator.core.recovery.views import CrashingPod, Sign
from sophia_operator.core.words import clock, span

#: A symptom whose value rose by so much became worse.
_WORSE: Final = 1.1
_BEGUN: Final = (ActionPhase.RUNNING, ActionPhase.VERIFYING)


def after_claim(look: Look) -> Step:
    """One look further."""
    action = look.action
    if look.seen.target is None:
        words = f"{action.spec.target.kind.value} {action.spec.target.name} was deleted meanwhile"
        return _end(look, ActionPhase.FAILED, Reason.TARGET_NOT_FOUND, words)
    if action.status.phase is ActionPhase.VERIFYING:
        return _verify(look, {})
    if action.spec.action is Action.NOTIFY:
        did = ["told people; nothing else"]
        return _end(look, ActionPhase.SUCCEEDED, Reason.ACT_DONE, "people were told", did=did, done_at=look.now)
    if action.spec.action is Action.RESTART_POD:
        return _restart(look)
    return _follow(look)


def deadline(look: Look) -> datetime:
    """By when the symptom must be gone."""
    status, spec = look.action.status, look.action.spec
    return (status.claimed_at or look.now) + timedelta(seconds=spec.verify_seconds)


def _follow(look: Look) -> Step:
    """By what the target says."""
    act = look.seen.act
    if act is None:
        return _untold(look)
    changes = _mirrored(look, act)
    if act.phase is ActPhase.RUNNING:
        if look.now >= deadline(look):
            words = f"not done {look.action.spec.verify_seconds} s after it was claimed; the target goes on with it"
            return _judge(look, {**changes}, words)
        words = act.message or f"{act.action.value} is being done"
        return Step(ActionPhase.RUNNING, Reason.ACTING, words, changes, until=deadline(look))
    if act.phase is ActPhase.UNKNOWN:
        words = f"{act.message}; a person has to look whether it was done, for it is not done again"
        return _end(look, ActionPhase.UNKNOWN, Reason.OUTCOME_UNKNOWN, words, **changes)
    if act.phase is not ActPhase.DONE:
        return _end(look, ActionPhase.FAILED, Reason.ACT_FAILED, act.message or "it could not be done", **changes)
    return _done(look, {**changes, "done_at": act.ended_at or look.now}, act.message)


def _untold(look: Look) -> Step:
    """The target says nothing of it: it has not begun, or it began and its status was lost since."""
    status, action = look.action.status, look.action.spec.action
    late = look.now >= deadline(look)
    if status.started_at is None:
        if late:
            return _end(look, ActionPhase.FAILED, Reason.ACT_FAILED, "the target did not begin with it in time")
        return Step(status.phase, Reason.CLAIMED, "the target begins with it", until=deadline(look))
    words = "the target began with it, and says nothing of it any more"
    if not late:
        return Step(status.phase, Reason.ACTING, words, until=deadline(look))
    if ACTIONS[action].idempotent:
        return _end(look, ActionPhase.FAILED, Reason.ACT_FAILED, words)
    return _end(look, ActionPhase.UNKNOWN, Reason.OUTCOME_UNKNOWN, f"{words}: a person has to look")


def _mirrored(look: Look, act: ActStatus) -> dict[str, Any]:
    status = look.action.status
    changes: dict[str, Any] = {"did": list(act.did), "subject": act.subject, "started_at": act.started_at}
    if status.started_at is None:
        changes["false_fire"] = _is_gone(look)
    return changes


def _restart(look: Look) -> Step:
    """The pod is deleted by its uid, as often as it takes: that can come to pass only once."""
    status, target = look.action.status, look.seen.target
    assert target is not None
    pod = next((p for p in target.crashing if status.subject == subject_of(p)), None)
    if pod is not None:
        changes = {} if status.started_at is not None else {"started_at": look.now, "false_fire": _is_gone(look)}
        if look.now >= deadline(look):
            return _judge(look, changes, f"pod {pod.name} is still there")
        words = f"pod {pod.name} is being deleted"
        return Step(ActionPhase.RUNNING, Reason.ACTING, words, changes, until=deadline(look), restart=pod)
    if status.started_at is None or look.seen.pod_there:
        words = f"{status.subject} was gone, or crashed no more, before it was deleted"
        return _end(look, ActionPhase.FAILED, Reason.ACT_FAILED, words)
    done = {"did": [f"deleted {status.subject}"], "done_at": look.now}
    return _done(look, done, "the pod is made anew")


def subject_of(pod: CrashingPod) -> str:
    """How a pod is named in the status of its action."""
    return pod_subject(pod.name, pod.uid)


def pod_subject(name: str, uid: str) -> str:
    """The same of any pod."""
    return f"pod {name}, uid {uid}"


def _done(look: Look, changes: dict[str, Any], message: str) -> Step:
    if look.action.spec.trigger is None:
        words = message or "it was done as asked for"
        return _end(look, ActionPhase.SUCCEEDED, Reason.ACT_DONE, words, **changes)
    return _verify(look, changes)


def _verify(look: Look, changes: dict[str, Any]) -> Step:
    """Helped, once the symptom is gone and the target healthy by its role for `stableSeconds`."""
    status, target, now = look.action.status, look.seen.target, look.now
    assert target is not None
    stable = timedelta(seconds=_stable_seconds(look))
    if _is_gone(look) and healthy_by_role(target) is True:
        gone = status.gone_since or now
        if now - gone >= stable:
            took = span(now - (status.claimed_at or now))
            words = f"the symptom is gone, and the target is healthy by its role, {took} after it was claimed"
            done = {**changes, "verified": Verified.HELPED, "gone_since": gone}
            return _end(look, ActionPhase.SUCCEEDED, Reason.HELPED, words, **done)
        until = clock(gone + stable, now)
        words = f"the symptom is gone since {clock(gone, now)}; it helped if that stays so until {until}"
        return Step(
            ActionPhase.VERIFYING, Reason.VERIFYING, words, {**changes, "gone_since": gone}, until=gone + stable
        )
    if now >= deadline(look):
        words = f"not well {look.action.spec.verify_seconds} s after it was claimed"
        return _judge(look, changes, words)
    words = f"done; whether it helped is seen by {clock(deadline(look), now)} at the latest"
    return Step(ActionPhase.VERIFYING, Reason.VERIFYING, words, {**changes, "gone_since": None}, until=deadline(look))


def _judge(look: Look, changes: dict[str, Any], words: str) -> Step:
    """It did not help: whether it made things worse."""
    sign, before = look.seen.sign, look.action.status.before
    worse = (
        sign is not None
        and sign.present is True
        and sign.value is not None
        and before is not None
        and before.value is not None
        and sign.value > _expected(float(before.value), sign, look.now - before.at) * _WORSE
    )
    verified = Verified.WORSE if worse else Verified.NO_CHANGE
    reason = Reason.WORSE if worse else Reason.NO_CHANGE
    said = f"{words}: {sign.message}" if sign is not None and sign.message else words
    return _end(look, ActionPhase.FAILED, reason, said, **{**changes, "verified": verified, "gone_since": None})


def _expected(before: float, sign: Sign, passed: timedelta) -> float:
    """What the value is now when the act changed nothing."""
    return before + passed.total_seconds() if sign.ages else before


def _end(look: Look, phase: ActionPhase, reason: Reason, message: str, **changes: Any) -> Step:
    target = look.seen.target
    after = evidence(target, look.seen.sign, look.now) if target is not None else None
    return Step(phase, reason, message, {**changes, "ended_at": look.now, "after": after})


def _is_gone(look: Look) -> bool:
    return look.seen.sign is not None and look.seen.sign.present is False


def _stable_seconds(look: Look) -> int:
    selected = look.seen.symptoms.selected
    chosen = [p for p in look.seen.policies if look.action.target in selected.get(p.name, ())]
    return rails_of(chosen, {}).stable_seconds
