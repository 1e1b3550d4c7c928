"""What a service says whose spec cannot be read: admission did not check a rule, or an older operator reads it."""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from sophia_operator.api.conditions import Author, ConditionStatus, ConditionType, Reason, drop
from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.ports import Object
from sophia_operator.runtime.observe import service_status


def status_of(obj: Object, error: ValidationError, now: datetime) -> ManagedServiceStatus:
    """The status as it was, stalled: what serves keeps serving."""
    generation = int(obj["metadata"].get("generation", 0))
    problems = error.errors(include_url=False, include_input=False)
    words = "; ".join(f"spec.{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in problems[:5])
    message = f"the spec cannot be carried out; what serves keeps serving. Mend it: {words}"
    status = service_status(obj)
    author = Author(status.conditions, generation, now)
    conditions = drop(status.conditions, ConditionType.RECONCILING)
    conditions = author.put(conditions, ConditionType.STALLED, (Reason.INVALID_SPEC, message))
    conditions = author.put(conditions, ConditionType.READY, (Reason.INVALID_SPEC, message), ConditionStatus.FALSE)
    return status.model_copy(update={"conditions": conditions, "observed_generation": generation})
