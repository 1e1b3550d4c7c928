"""Whom the gateway asks itself when a model does not answer, until the operator has decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sophia_operator.api.model_route_status import ModelState
from sophia_operator.core.model.switches.scene import Scene

#: Asked last: they may answer, and nothing else would.
_LAST: Final = frozenset({ModelState.UNHEALTHY, ModelState.UNKNOWN})
_FAR: Final = 1_000


def fallbacks(scene: Scene, active: str | None, before: Sequence[str] = ()) -> tuple[str, ...]:
    """Models that may be chosen, those that the active one names first, then by rank; and behind them those that fail.

    Models that were in the list stay in their order: ranks change with each probe, and each new order would have to be
    proved at every replica.
    """
    model = scene.model(active)
    named, ranked = list(model.fallback_order) if model is not None else [], list(scene.order)
    usable = [name for name in scene.names if name != active and (scene.eligible(name) or _fails(scene, name))]

    def place(name: str) -> tuple[int, int, int, int]:
        return (not scene.eligible(name), _index(named, name), _index(before, name), _index(ranked, name))

    return tuple(sorted(usable, key=place))


def kept(scene: Scene, active: str | None) -> tuple[str, ...]:
    """Those of before that are still in the spec."""
    return tuple(name for name in scene.status.fallbacks if name in scene.names and name != active)


def _fails(scene: Scene, name: str) -> bool:
    health = scene.health(name)
    return health is not None and health.state in _LAST


def _index(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else _FAR
