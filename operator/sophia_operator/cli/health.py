"""Whether what people look at is well: what the exit codes of `status` say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sophia_operator.api.conditions import Condition, ConditionStatus, ConditionType, find, is_true


def is_well(conditions: Sequence[Condition], needed: Iterable[ConditionType]) -> bool:
    """Whether clients are served, nothing waits for a person, and nothing of what is needed is known to be wrong. Pods
    that are being replaced are no illness."""
    if is_true(conditions, ConditionType.STALLED):
        return False
    ready = find(conditions, ConditionType.READY)
    going = is_true(conditions, ConditionType.RECONCILING)
    if ready is not None and ready.status is ConditionStatus.FALSE and not going:
        return False
    found = (find(conditions, kind) for kind in needed)
    return not any(c is not None and c.status is ConditionStatus.FALSE for c in found)
