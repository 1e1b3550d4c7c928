"""What every file of the package works from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sophia_operator.api.release import Color
from sophia_operator.api.traffic import ServicePort
from sophia_operator.core.placement import Placement
from sophia_operator.core.views import ReleaseView, ServiceView


@dataclass(frozen=True, slots=True)
class Scene:
    """A service, its releases by name, and where they should run."""

    service: ServiceView
    releases: Mapping[str, ReleaseView]
    placement: Placement

    @property
    def has_traffic(self) -> bool:
        """Whether it is known which release serves; without it nothing that may serve is touched."""
        return sum(self.placement.weights.values()) > 0

    def weight(self, color: Color) -> int:
        """Share of the traffic of a colour."""
        return self.placement.weights.get(color, 0)

    def occupant(self, color: Color) -> str | None:
        """Name of the release that the colour selects."""
        return self.placement.releases.get(color)

    def ports(self, color: Color) -> Sequence[ServicePort]:
        """Ports of the release that the colour selects, as in its snapshot; the service's own without one."""
        release = self.releases.get(self.occupant(color) or "")
        return self.service.spec.ports if release is None else release.spec.snapshot.ports

    def color_of(self, release: ReleaseView) -> Color | None:
        """Colour that a release runs as: by its status, else by the place it is given."""
        if release.status.color is not None:
            return release.status.color
        return next((c for c in Color if self.occupant(c) == release.name), None)
