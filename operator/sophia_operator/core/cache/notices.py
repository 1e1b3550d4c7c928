"""Events: one for each transition of a condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sophia_operator.api.conditions import Condition, ConditionType, Reason
from sophia_operator.core import condition_notices
from sophia_operator.core.condition_notices import Telling
from sophia_operator.core.decision import Notice

_TELLING: Final = Telling(
    bad_when_false=(ConditionType.HEALTHY, ConditionType.WITHIN_QUOTA, ConditionType.HIT_RATIO_ON_TARGET),
    told_when_kept=(ConditionType.WITHIN_QUOTA, ConditionType.HIT_RATIO_ON_TARGET),
    # The planner of the topology tells that the primary is lost, and who took over.
    planners=frozenset({Reason.FAILING_OVER, Reason.FENCING}),
    good_news=frozenset({Reason.FAILED_OVER}),
)


def notices_of(
    planned: Iterable[Notice], before: Sequence[Condition], after: Sequence[Condition]
) -> tuple[Notice, ...]:
    """The planners' notices, and those of the conditions."""
    return condition_notices.notices_of(_TELLING, planned, before, after)
