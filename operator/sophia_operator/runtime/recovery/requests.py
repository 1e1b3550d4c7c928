"""RecoveryActions as their target sees them. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action, Symptom
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.runtime.recovery import marks
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import ACTED, Dependency

#: Carried out by the loop of the RecoveryAction itself: the target has no part in it.
NOT_THE_TARGETS: Final = frozenset({Action.RESTART_POD, Action.NOTIFY})


def requests_for(
    store: ObjectStore, kind: str, namespace: str, name: str, depends: set[Dependency]
) -> tuple[ActRequest, ...]:
    """What the target is asked for, and was: RecoveryActions about it that were claimed and are not being deleted, by
    name. Adds what the target depends on for it. One that cannot be read is left out: nothing is done for it."""
    depends.add((ACTED, "", marks.target_mark(namespace, kind, name)))
    found = (_request(obj) for obj in store.acts_on(kind, namespace, name))
    return tuple(request for request in found if request is not None)


def _request(obj: Mapping[str, Any]) -> ActRequest | None:
    meta, phase = obj["metadata"], marks.phase_of(obj)
    if phase not in marks.ACTED or meta.get("deletionTimestamp"):
        return None
    spec, status = obj["spec"], obj["status"]
    try:
        action, parameters = Action(spec.get("action")), Parameters.model_validate(spec.get("parameters") or {})
        told = (spec.get("trigger") or {}).get("symptom")
        symptom = Symptom(told) if told is not None else None
    except ValueError:  # pydantic's among them
        return None
    if action in NOT_THE_TARGETS:
        return None
    return ActRequest(
        name=meta["name"],
        uid=meta["uid"],
        action=action,
        parameters=parameters,
        claimed_at=marks.time_of(status.get("claimedAt")),
        may_begin=phase == ActionPhase.CLAIMED.value and not spec.get("dryRun"),
        symptom=symptom,
        since=marks.time_of((spec.get("trigger") or {}).get("since")),
    )
