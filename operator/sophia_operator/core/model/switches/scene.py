"""All that a switch is decided by, and small questions about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from sophia_operator.api.model_endpoint import Model
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import ModelRouteStatus, ModelState
from sophia_operator.core.model.plan_values import ModelHealth, Ranking
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView

_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Scene:
    """A route, what is seen of it, how its models were judged, and the time."""

    route: ModelRouteView
    observed: ModelRouteObserved
    ranking: Ranking
    now: datetime

    @property
    def spec(self) -> ModelRouteSpec:
        """What is wanted."""
        return self.route.spec

    @property
    def status(self) -> ModelRouteStatus:
        """What was written down last."""
        return self.route.status

    @property
    def names(self) -> tuple[str, ...]:
        """Models, in the order of the spec."""
        return tuple(m.name for m in self.spec.models)

    @property
    def pin(self) -> str | None:
        """The model that a person chose."""
        return self.spec.pin if self.spec.pin in self.names else None

    @property
    def order(self) -> tuple[str, ...]:
        """Models that may be chosen, the best first."""
        known = set(self.names)
        return tuple(name for name in self.ranking.order if name in known)

    def model(self, name: str | None) -> Model | None:
        """The model of that name in the spec."""
        return next((m for m in self.spec.models if m.name == name), None)

    def health(self, name: str) -> ModelHealth | None:
        """How it is; None when nobody judged it."""
        return self.ranking.health.get(name)

    def eligible(self, name: str | None) -> bool:
        """Whether it may be chosen."""
        return name in self.order

    def is_left(self, name: str) -> bool:
        """Whether traffic must leave it. That nothing is known of it is no reason."""
        health = self.health(name)
        return health is not None and not self.eligible(name) and health.state is not ModelState.UNKNOWN

    def is_healthy(self, name: str) -> bool:
        """Whether it breaks no limit."""
        health = self.health(name)
        return health is not None and health.state is ModelState.HEALTHY

    def score(self, name: str) -> Decimal:
        """From 0 to 1."""
        found = self.ranking.scores.get(name)
        return found.score if found is not None else _NOTHING

    def since(self, moment: datetime) -> float:
        """Seconds that have passed since then; never negative."""
        return max(0.0, (self.now - moment).total_seconds())

    def until(self, moment: datetime) -> float:
        """Seconds until then; never negative."""
        return max(0.0, (moment - self.now).total_seconds())

    @property
    def all_down(self) -> bool:
        """Whether no model may be chosen, and that is known of one that was asked."""
        states = {health.state for health in self.ranking.health.values()}
        return not self.order and bool(states - {ModelState.UNKNOWN, ModelState.INELIGIBLE})

    @property
    def was_all_down(self) -> bool:
        """Whether that was so already when the status was written down."""
        rows = self.status.models
        states = {row.state for row in rows}
        down = not any(row.eligible for row in rows)
        return down and bool(states - {ModelState.UNKNOWN, ModelState.INELIGIBLE})


def later(moment: datetime, seconds: float) -> datetime:
    """So many seconds after that."""
    return moment + timedelta(seconds=seconds)
