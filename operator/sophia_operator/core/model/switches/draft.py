"""A plan that is being made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sophia_operator.api.model_route_status import PastSwitch, SwitchPhase, SwitchStatus
from sophia_operator.core.decision import Notice
from sophia_operator.core.model.switches import better
from sophia_operator.core.model.switches.scene import Scene


@dataclass(frozen=True, slots=True)
class Draft:
    """What a transition makes of the status. What the gateway is told follows from it."""

    active: str | None
    switch: SwitchStatus | None
    preferred: str | None
    failed_failbacks: int
    hold_until: datetime | None
    switched_at: datetime | None
    #: What the gateway is told is chosen anew.
    moved: bool = False
    past: PastSwitch | None = None
    candidate: better.Candidate | None = None
    told: str | None = None
    notices: tuple[Notice, ...] = ()


def in_phase(scene: Scene, switch: SwitchStatus, phase: SwitchPhase, **changes: int) -> SwitchStatus:
    """The switch, in that phase from now on."""
    return switch.model_copy(update={"phase": phase, "phase_since": scene.now, "overdue": False, **changes})
