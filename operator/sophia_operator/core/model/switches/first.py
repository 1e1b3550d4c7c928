"""The first model: chosen once each of them was asked, so that it is not just the one that answers first."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sophia_operator.api.conditions import ConditionType, find
from sophia_operator.api.model_route_status import ModelState, SwitchKind
from sophia_operator.core.model.switches.moves import Move, points, seen
from sophia_operator.core.model.switches.scene import Scene, later

#: A model that takes longer is not waited for.
_LONGEST_SECONDS: Final = 10.0


def first(scene: Scene) -> Move | None:
    """The best of the models that something is known of."""
    known = [name for name in scene.order if _is_known(scene, name)]
    if not known or (_waits(scene) and not _is_over(scene)):
        return None
    best = next((name for name in known if scene.is_healthy(name)), known[0])
    why = f"nothing serves yet, and it ranks first ({points(scene.score(best))})"
    return Move(SwitchKind.FIRST, best, why, evidence=seen(scene, *known), forced=True)


def deadline(scene: Scene) -> datetime | None:
    """Until when models are waited for that did not answer yet; None before anything was written down."""
    began = find(scene.status.conditions, ConditionType.READY)
    if began is None:
        return None
    return later(began.last_transition_time, 1 + min(_LONGEST_SECONDS, scene.spec.probe.timeout_seconds))


def _is_over(scene: Scene) -> bool:
    until = deadline(scene)
    return until is not None and until <= scene.now


def _waits(scene: Scene) -> bool:
    return not all(_is_known(scene, name) or scene.observed.kept.probes.get(name) for name in scene.names)


def _is_known(scene: Scene, name: str) -> bool:
    health = scene.health(name)
    return health is not None and health.state is not ModelState.UNKNOWN
