"""What a pass over a ModelRoute decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.core.decision import Done, Next, Notice


@dataclass(frozen=True, slots=True)
class ModelRouteDecision:
    """The status is persisted before anything is rendered from it: what the gateway is told is in the status."""

    status: ModelRouteStatus
    notices: tuple[Notice, ...] = ()
    next: Next = field(default_factory=Done)
