"""Whether the API server accepts the HTTPRoute that the spec asks for: asked by a dry run before the live one changes.

Weights are written into the same list as everything else in a route, so one that is refused could not be turned back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import Color
from sophia_operator.api.traffic import GatewayTraffic
from sophia_operator.core import drift, kept_traffic
from sophia_operator.core.placement import Placement
from sophia_operator.core.render.route import http_route
from sophia_operator.core.render.scene import Scene
from sophia_operator.core.views import Blocker, ServiceView
from sophia_operator.ports import Cluster, Object
from sophia_operator.runtime.dry_run import DryRun


class RouteCheck(DryRun):
    """Asks once for each generation, and only about a route of another shape than the live one has."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        #: Generations of the service and of the live route that were found to have the same shape.
        self._same: tuple[int, int] | None = None

    async def blocker(self, service: ServiceView, live: Object | None, now: datetime) -> Blocker | None:
        """Why the live route cannot become what the spec asks for; None when it can, or is that already.

        A route that is not known to be accepted does not replace the live one. Raises ClusterError at the first error
        for an answer.
        """
        wanted = service.spec.traffic.gateway
        if live is None or wanted is None:
            self.forget()
            return None
        generations = (service.generation, int(live["metadata"].get("generation", 0)))
        if generations == self._same:
            return None
        kept = kept_traffic.traffic_of(live, wanted)
        if kept is None or drift.matches(_shape(service, wanted), _shape(service, kept)):
            self._same = generations
            self.forget()
            return None
        objection = await self.objection(service.generation, lambda: _shape(service, wanted), now)
        if objection is None:
            return None
        told = "refuses" if objection.answered else "did not answer when asked about"
        words = f"the API server {told} the HTTPRoute that spec.traffic.gateway asks for: {objection.words}"
        return Blocker(Reason.INVALID_ROUTE, words[:4096])


def _shape(service: ServiceView, traffic: GatewayTraffic) -> dict[str, Any]:
    """The route without regard to what it should weigh."""
    weights = {Color.BLUE: 100, Color.GREEN: 0}
    return http_route(Scene(service, {}, Placement(releases={}, weights=weights)), traffic)
