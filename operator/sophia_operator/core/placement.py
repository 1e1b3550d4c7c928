"""Where releases run, how large, and how the traffic is spread: what `render` puts into objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sophia_operator.api.release import Color


@dataclass(frozen=True, slots=True)
class Placement:
    """The shape that the cluster should have."""

    #: Release that each colour's Services select; a colour without one has no Services' pods (selects nothing).
    releases: Mapping[Color, str | None]
    #: Share of the traffic of each colour, in percent; they add up to 100 (or to 0 before there is any release).
    weights: Mapping[Color, int]
    #: Size of each release's Deployment; a release that is not named has no Deployment.
    replicas: Mapping[str, int] = field(default_factory=dict)
    #: The colour whose check Service gets marked requests of the kind "candidate"; None without a rollout.
    candidate: Color | None = None
