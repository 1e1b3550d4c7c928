"""Events: one for each transition of a condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sophia_operator.api.conditions import Condition, ConditionType, Reason
from sophia_operator.core import condition_notices
from sophia_operator.core.condition_notices import Telling
from sophia_operator.core.decision import Notice

_TELLING: Final = Telling(
    # A role that is not correct makes a pool unhealthy, and is told as that.
    bad_when_false=(ConditionType.HEALTHY, ConditionType.WITHIN_BUDGET),
    told_when_kept=(ConditionType.WITHIN_BUDGET,),
    # The planner of reconnects tells when one begins and when it is over.
    planners=frozenset({Reason.RECONNECTING, Reason.AWAITING_SERVER}),
    good_news=frozenset({Reason.RECONNECTED}),
)


def notices_of(
    planned: Iterable[Notice], before: Sequence[Condition], after: Sequence[Condition]
) -> tuple[Notice, ...]:
    """The planners' notices, and those of the conditions."""
    return condition_notices.notices_of(_TELLING, planned, before, after)
