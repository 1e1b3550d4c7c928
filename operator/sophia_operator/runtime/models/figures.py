"""Asks Prometheus what it counted of users' requests to models, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping

from sophia_operator.core.model import queries
from sophia_operator.core.model.findings import PassiveTally
from sophia_operator.core.model.views import ModelRouteView
from sophia_operator.ports import Metrics


class RouteFigures:
    """Implements what a prober asks for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def passive(self, route: ModelRouteView) -> Mapping[str, PassiveTally] | str:
        """Tallies by the name of the model, or why there are none."""
        request = queries.passive_request(route)
        if request is None:
            return "the route asks for no counts"
        return queries.passive_tallies(route, await self._metrics.query(route.namespace, request))

    async def quality(self, route: ModelRouteView, model: str) -> float | str:
        """How good a model is, from 0 to 1, or why that is not known."""
        request = queries.quality_request(route, model)
        if request is None:
            return "the model has no qualityQuery"
        return queries.quality(await self._metrics.query(route.namespace, request))
