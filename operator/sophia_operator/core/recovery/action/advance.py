"""One look at a RecoveryAction: where it goes from here, and what its status says.

`Pending -> (Waiting | AwaitingApproval) -> Claimed -> Running -> Verifying -> Succeeded | Failed`, with `Skipped`,
`Refused` and `Unknown` as other ends. See docs/design/recovery.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sophia_operator.api.conditions import Author, Condition, ConditionStatus, ConditionType, Reason, drop, find
from sophia_operator.api.recovery_action_status import MAX_CHANGES, ActionPhase, RecoveryActionStatus, Verified
from sophia_operator.core.decision import Done, EventType, Next, Notice, RequeueAfter
from sophia_operator.core.recovery.action.after import after_claim
from sophia_operator.core.recovery.action.before import before_claim
from sophia_operator.core.recovery.action.steps import Look, Step
from sophia_operator.core.recovery.action.values import ActionDecision, ActionObserved
from sophia_operator.core.recovery.views import ActionView

_STALLED: Final = frozenset({ActionPhase.FAILED, ActionPhase.REFUSED, ActionPhase.UNKNOWN})
#: What only a person mends, while the action waits for it.
_FOR_PEOPLE: Final = frozenset({Reason.INVALID_SPEC})
#: Phases that are reached without news for people.
_SILENT: Final = frozenset({ActionPhase.PENDING, ActionPhase.WAITING, ActionPhase.RUNNING, ActionPhase.VERIFYING})


def advance_action(action: ActionView, observed: ActionObserved, now: datetime) -> ActionDecision:
    """Pure: the same arguments give the same decision. An action that is over stays as it is."""
    if action.status.phase.is_over:
        return ActionDecision(action.status)
    look = Look(action, observed, now)
    claimed = action.status.claimed_at is not None
    step = after_claim(look) if claimed else before_claim(look)
    status = _status(look, step)
    return ActionDecision(status, _notices(look, step), step.restart, _next(status, step, now))


def _status(look: Look, step: Step) -> RecoveryActionStatus:
    before = look.action.status
    moved = step.phase is not before.phase or before.changes == 0
    changed = before.model_copy(
        update={
            **step.changes,
            "phase": step.phase,
            "message": step.message[:4096],
            "observed_generation": look.action.generation,
            "changes": min(MAX_CHANGES, before.changes + (1 if moved else 0)),
        }
    )
    return changed.model_copy(update={"conditions": _conditions(look, step, changed)})


def _conditions(look: Look, step: Step, status: RecoveryActionStatus) -> list[Condition]:
    author = Author(look.action.status.conditions, look.action.generation, look.now)
    why = (step.reason, step.message)
    out = list(look.action.status.conditions)
    for kind in (ConditionType.RECONCILING, ConditionType.STALLED):
        out = drop(out, kind)
    well = step.phase in (ActionPhase.SUCCEEDED, ActionPhase.SKIPPED)
    out = author.put(out, ConditionType.READY, why, ConditionStatus.TRUE if well else ConditionStatus.FALSE)
    if step.phase in _STALLED or step.reason in _FOR_PEOPLE:
        out = author.put(out, ConditionType.STALLED, why)
    elif not well:
        out = author.put(out, ConditionType.RECONCILING, why)
    return _verified(author, _approved(look, author, out), status, step)


def _approved(look: Look, author: Author, conditions: list[Condition]) -> list[Condition]:
    spec = look.action.spec
    if not spec.approval_required:
        return conditions
    if spec.approved is None:
        why = (Reason.AWAITING_APPROVAL, "nobody has answered yet")
        return author.put(conditions, ConditionType.APPROVED, why, ConditionStatus.UNKNOWN)
    who = spec.approved_by or "somebody"
    if spec.approved:
        return author.put(conditions, ConditionType.APPROVED, (Reason.APPROVED, f"{who} said yes"))
    return author.put(conditions, ConditionType.APPROVED, (Reason.REJECTED, f"{who} said no"), ConditionStatus.FALSE)


def _verified(author: Author, conditions: list[Condition], status: RecoveryActionStatus, step: Step) -> list[Condition]:
    if status.verified is None:
        begun = find(conditions, ConditionType.VERIFIED) is not None
        if step.phase is not ActionPhase.VERIFYING and not begun:
            return conditions
        return author.put(conditions, ConditionType.VERIFIED, (step.reason, step.message), ConditionStatus.UNKNOWN)
    helped = status.verified is Verified.HELPED
    truth = ConditionStatus.TRUE if helped else ConditionStatus.FALSE
    return author.put(conditions, ConditionType.VERIFIED, (step.reason, step.message), truth)


def _notices(look: Look, step: Step) -> tuple[Notice, ...]:
    if step.phase is look.action.status.phase or step.phase in _SILENT:
        return ()
    spec = look.action.spec
    bad = step.phase in _STALLED
    words = f"{spec.action.value} of {spec.target.kind.value} {spec.target.name}: {step.message}"
    return (Notice(EventType.WARNING if bad else EventType.NORMAL, step.reason.value, words[:1024]),)


def _next(status: RecoveryActionStatus, step: Step, now: datetime) -> Next:
    if status.phase.is_over or step.until is None:
        return Done()
    return RequeueAfter(max(0.0, (step.until - now).total_seconds()))
