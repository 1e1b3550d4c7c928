"""One pass over a ModelRoute: how its models are, which of them serve, and what the gateway is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.model.decision import ModelRouteDecision
from sophia_operator.core.model.needs import next_look
from sophia_operator.core.model.notices import notices_of
from sophia_operator.core.model.plan import plan_switch
from sophia_operator.core.model.plan_values import Ranking, SwitchPlan
from sophia_operator.core.model.rank import judge
from sophia_operator.core.model.render.binding import endpoint
from sophia_operator.core.model.status import Endpoint, project
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView

#: A pass now and then even when nothing is due, in case an event got lost; routes that began together drift apart.
_LONGEST_SECONDS: Final = 600.0
_SPREAD_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """The pure functions that decide, which tests may replace."""

    judge: Callable[[ModelRouteView, ModelRouteObserved, datetime], Ranking] = judge
    plan_switch: Callable[[ModelRouteView, ModelRouteObserved, Ranking, datetime], SwitchPlan] = plan_switch
    endpoint: Endpoint = endpoint


_JUDGEMENT: Final = Judgement()


def advance(
    route: ModelRouteView,
    observed: ModelRouteObserved,
    now: datetime,
    jitter: float,
    by: Judgement = _JUDGEMENT,
) -> ModelRouteDecision:
    """What follows from what is seen. `jitter` is from 0 to 1. The status is persisted before anything is rendered."""
    ranking = by.judge(route, observed, now)
    planned = by.plan_switch(route, observed, ranking, now)
    status = project(route, observed, ranking, planned, now, endpoint=by.endpoint)
    after = replace(route, status=status)
    waits = [] if planned.wait is None else [planned.wait]
    longest = _LONGEST_SECONDS - _SPREAD_SECONDS * jitter
    return ModelRouteDecision(
        status=status,
        notices=notices_of(planned.notices, route.status.conditions, status.conditions),
        next=RequeueAfter(max(0.0, min([longest, next_look(after, observed, now), *waits]))),
    )
