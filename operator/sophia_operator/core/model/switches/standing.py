"""Where traffic goes now, by a status that may be in any state: it may be old, edited, or speak of models that left.

While a switch is under way, shares follow from it alone, and else from the active model: so there is nothing that could
contradict itself for longer than one pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sophia_operator.api.model_route_status import BY_STAGES, SwitchStatus
from sophia_operator.core.model.switches.scene import Scene

ALL: Final = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """Where traffic goes, and which switch goes on."""

    #: Serves, or has all but the share of a failback; always one of the spec. None: nothing serves.
    active: str | None
    #: One that can go on.
    switch: SwitchStatus | None = None
    #: Served, and is not in the spec any more.
    lost: str | None = None
    #: Cannot go on, since a model that it needs is not in the spec any more.
    broken: SwitchStatus | None = None

    @property
    def shares(self) -> Mapping[str, int]:
        """Percent by model, without those that have none; together 100, or empty."""
        return shares(self.active, self.switch)

    @property
    def by_stages(self) -> bool:
        """Whether a failback is under way."""
        return self.switch is not None and self.switch.kind in BY_STAGES

    @property
    def is_shared(self) -> bool:
        """Whether two models serve."""
        return self.switch is not None and self.switch.percent < ALL


def shares(active: str | None, switch: SwitchStatus | None) -> Mapping[str, int]:
    """Percent by model."""
    if switch is not None and switch.from_model is not None and switch.percent < ALL:
        return {switch.from_model: ALL - switch.percent, switch.to: switch.percent}
    return {active: ALL} if active is not None else {}


def standing(scene: Scene) -> Standing:
    """Where traffic goes by the status."""
    status, names = scene.status, scene.names
    switch = _in_time(status.switch, scene.now)
    if switch is None:
        return _at_rest(scene)
    if switch.percent >= ALL or switch.from_model == switch.to or switch.from_model is None:
        switch = switch.model_copy(update={"percent": ALL})
        if switch.to in names:
            return Standing(switch.to, switch)
        return Standing(None, lost=switch.to, broken=switch)
    if switch.from_model not in names:
        return Standing(None, lost=switch.from_model, broken=switch)
    return Standing(switch.from_model, switch) if switch.to in names else Standing(switch.from_model, broken=switch)


def _at_rest(scene: Scene) -> Standing:
    status, names = scene.status, scene.names
    if status.active in names:
        return Standing(status.active)
    told = [share for share in status.shares if share.name in names and share.percent > 0]
    if status.active is None and told:
        return Standing(max(told, key=lambda share: share.percent).name)
    return Standing(None, lost=status.active)


def _in_time(switch: SwitchStatus | None, now: datetime) -> SwitchStatus | None:
    """A clock that was set back must not hold up a switch until it has caught up."""
    if switch is None or switch.phase_since <= now:
        return switch
    return switch.model_copy(update={"phase_since": now, "started_at": min(now, switch.started_at)})


def told_shares(scene: Scene) -> Mapping[str, int]:
    """Percent by model as written down."""
    return {share.name: share.percent for share in scene.status.shares if share.percent > 0}
