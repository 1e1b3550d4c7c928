"""Events: one for each transition of a condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sophia_operator.api.conditions import Condition, ConditionType, Reason
from sophia_operator.core import condition_notices
from sophia_operator.core.condition_notices import Telling
from sophia_operator.core.decision import Notice

_SWITCHES: Final = frozenset({Reason.SWITCHING, Reason.FAILING_BACK, Reason.FAILBACK_FAILED, Reason.PINNED})
_TELLING: Final = Telling(
    # That no model is available is told by the model that serves, or by the planner.
    bad_when_false=(
        ConditionType.HEALTHY,
        ConditionType.TRAFFIC_VERIFIED,
        ConditionType.CREDENTIALS_VALID,
        ConditionType.METRICS_AVAILABLE,
    ),
    told_when_kept=(ConditionType.TRAFFIC_VERIFIED, ConditionType.CREDENTIALS_VALID),
    # The planner of switches tells what moves traffic.
    planners=_SWITCHES,
    # A switch that begins makes another model the one that serves: that this one is healthy is no news then.
    good_news=_SWITCHES | {Reason.SWITCHED, Reason.FAILED_BACK},
)


def notices_of(
    planned: Iterable[Notice], before: Sequence[Condition], after: Sequence[Condition]
) -> tuple[Notice, ...]:
    """The planners' notices, and those of the conditions."""
    return condition_notices.notices_of(_TELLING, planned, before, after)
