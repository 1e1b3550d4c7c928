"""When no model may be chosen: whether one is so much less bad than the one that serves that traffic should move."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from sophia_operator.api.model_route_status import ModelState
from sophia_operator.core.model.plan_values import ModelHealth
from sophia_operator.core.model.switches.scene import Scene

#: It must answer so much more of its requests.
_LEAD: Final = Fraction(1, 2)
#: These answer nothing, or must not be asked, whatever they did before.
_SILENT: Final = frozenset({ModelState.REFUSED, ModelState.INELIGIBLE, ModelState.PAUSED})


def least_bad(scene: Scene, active: str) -> str | None:
    """The model that still answers at least half of the requests more than the active one; None: there is none."""
    own = _share(scene.health(active))
    if own is None:
        return None
    found = {n: share for n in scene.names if n != active and (share := _of_candidate(scene, n)) is not None}
    best = max(found, key=lambda n: (found[n], scene.score(n)), default=None)
    return best if best is not None and found[best] - own >= _LEAD else None


def any_of(scene: Scene) -> str:
    """The least bad of all models, when one has to serve that may not be chosen."""

    def goodness(name: str) -> tuple[bool, bool, Fraction, object]:
        health = scene.health(name)
        share = _share(health) or Fraction(0)
        lacks = health is not None and health.state is ModelState.INELIGIBLE
        refused = health is not None and health.state is ModelState.REFUSED
        return (not lacks, not refused, share, scene.score(name))

    return max(scene.names, key=goodness)


def answered(scene: Scene, name: str) -> str:
    """What it answers of its requests, in words."""
    share = _share(scene.health(name))
    return "nothing is known of its requests" if share is None else f"answers {round(100 * share)} % of its requests"


def _of_candidate(scene: Scene, name: str) -> Fraction | None:
    health = scene.health(name)
    if health is None or health.state in _SILENT or health.requests < scene.spec.switch.min_requests:
        return None
    return _share(health)


def _share(health: ModelHealth | None) -> Fraction | None:
    """The share of its requests that it answers, from 0 to 1; None while too little is known."""
    if health is None:
        return None
    if health.state in _SILENT:
        return Fraction(0)
    if health.requests < 1:
        return None
    return 1 - Fraction(min(health.failures, health.requests)) / Fraction(health.requests)
