"""Everything a decision rests on, in one value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sophia_operator.core.roles import Roles, select
from sophia_operator.core.views import Observed, ServiceView


@dataclass(frozen=True, slots=True)
class Scene:
    """A service, what is seen of it, who plays which part, and the time."""

    service: ServiceView
    observed: Observed
    roles: Roles
    now: datetime


def scene_of(service: ServiceView, observed: Observed, now: datetime) -> Scene:
    """The scene as it is now."""
    return Scene(service, observed, select(service, observed, now), now)
