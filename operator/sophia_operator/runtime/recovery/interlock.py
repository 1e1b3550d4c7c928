"""What a rollout sees of recovery in its namespace, as the store has it. Pure functions, no I/O.

Read from objects as they are: a service under way looks at it in each pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_policy import RecoveryPolicySpec
from sophia_operator.api.recovery_policy_status import SymptomStatus
from sophia_operator.api.recovery_values import ACTIONS, Action, Mode, TargetKind
from sophia_operator.core.recovery.seen import ActSeen, RecoverySeen, SymptomLeft
from sophia_operator.ports import Object
from sophia_operator.runtime.recovery.marks import target_of
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import RECOVERY, Dependency

_ACTS: Final = (Mode.AUTO, Mode.APPROVE)


def seen_in(store: ObjectStore, namespace: str, depends: set[Dependency]) -> RecoverySeen:
    """What recovery does in the namespace; adds what that depends on."""
    depends.add((RECOVERY, "", namespace))
    policies = [p for p in store.in_namespace("RecoveryPolicy", namespace) if not _is_going(p)]
    storms = ((p["metadata"]["name"], _words(p["status"]["storm"])) for p in policies if _status(p).get("storm"))
    return RecoverySeen(
        storm=next(storms, None),
        acts=tuple(act for obj in store.acting_in(namespace) if (act := _act(obj)) is not None),
        left=tuple(left for policy in policies for left in _left(policy)),
    )


def _act(obj: Object) -> ActSeen | None:
    """An act that may change its target: a message to people changes nothing, and one being deleted is as good as
    over for a rollout only once its target is done with it."""
    target = target_of(obj)
    try:
        action = Action(obj["spec"]["action"])
        key = (TargetKind(target[0]), target[1]) if target is not None else None
    except (KeyError, ValueError):
        return None
    if key is None or action is Action.NOTIFY:
        return None
    return ActSeen(obj["metadata"]["name"], action, key)


def _left(policy: Object) -> Iterator[SymptomLeft]:
    """Symptoms that are left to the release which they began with, where the policy would answer them itself."""
    told = [s for s in _status(policy).get("symptoms") or () if s.get("reason") == Reason.LEFT_TO_RELEASE.value]
    if not told:
        return
    try:
        spec = RecoveryPolicySpec.model_validate(policy["spec"])
        symptoms = [SymptomStatus.model_validate(s) for s in told]
    except ValidationError:
        return
    answered = {
        rule.symptom
        for rule in spec.rules
        if any((rule.mode or spec.mode or ACTIONS[step.action].mode) in _ACTS for step in rule.escalation)
    }
    for one in symptoms:
        if one.gone_since is None and one.symptom in answered:
            name = policy["metadata"]["name"]
            yield SymptomLeft(name, one.symptom, (one.kind, one.name), one.since, one.message)


def _words(storm: Mapping[str, Any]) -> str:
    return f"{storm.get('targets', 0)} of {storm.get('of', 0)} objects showed symptoms at its worst"


def _status(obj: Object) -> Mapping[str, Any]:
    status = obj.get("status")
    return status if isinstance(status, Mapping) else {}


def _is_going(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))
