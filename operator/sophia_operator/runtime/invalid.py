"""Services whose spec cannot be read: admission did not check a rule, or an older operator reads it.

What serves keeps serving, and a rollout under way goes on by its own snapshot, but nothing new is begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from sophia_operator.api.conditions import Author, Condition, ConditionStatus, ConditionType, Reason, drop
from sophia_operator.api.managed_service import ManagedServiceSpec, ManagedServiceStatus
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Object
from sophia_operator.runtime.observe import service_status


def readable(obj: Object, releases: Iterable[Object]) -> dict[str, Any] | None:
    """The service with the plan of its newest Release in place of its own, if it can be read then; else None."""
    newest = max(releases, key=lambda r: int(r["spec"].get("revision", 0)), default=None)
    if newest is None:
        return None
    mended = dict(obj) | {"spec": dict(obj["spec"]) | {"rollout": newest["spec"]["snapshot"].get("plan", {})}}
    try:
        ManagedServiceSpec.model_validate(mended["spec"])
    except ValidationError:
        return None
    return mended


def blocker(error: ValidationError) -> Blocker:
    """What is wrong with the spec, and what to do."""
    problems = error.errors(include_url=False, include_input=False)
    words = "; ".join(f"{'.'.join(('spec', *map(str, e['loc'])))}: {e['msg']}" for e in problems[:5])
    return Blocker(Reason.INVALID_SPEC, f"the spec cannot be carried out, mend it: {words}"[:4000])


def status_of(obj: Object, wrong: Blocker, now: datetime) -> ManagedServiceStatus:
    """The status as it was, stalled."""
    status, generation = service_status(obj), int(obj["metadata"].get("generation", 0))
    conditions = stalled(status.conditions, wrong, generation, now)
    return status.model_copy(update={"conditions": conditions, "observed_generation": generation})


def stalled(before: Sequence[Condition], wrong: Blocker, generation: int, now: datetime) -> list[Condition]:
    """The conditions of an object that is not carried out, and why."""
    why = (wrong.reason, wrong.message)
    author = Author(before, generation, now)
    conditions = drop(before, ConditionType.RECONCILING)
    conditions = author.put(conditions, ConditionType.STALLED, why)
    return author.put(conditions, ConditionType.READY, why, ConditionStatus.FALSE)
