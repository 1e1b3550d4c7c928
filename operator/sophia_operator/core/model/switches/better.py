"""Whether another model is better than the one that works, and has been so for long enough to move there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sophia_operator.api.model_route_status import SwitchKind
from sophia_operator.core.model.switches.holds import hold_until
from sophia_operator.core.model.switches.moves import Move, points, seen
from sophia_operator.core.model.switches.scene import Scene, later
from sophia_operator.core.words import span


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that traffic should go to."""

    name: str
    kind: SwitchKind
    #: Since when there has been one.
    since: datetime


def candidate(scene: Scene, active: str) -> Candidate | None:
    """The better model, if there is one."""
    best, began, preferred = next(iter(scene.order), None), scene.status.better_since, scene.status.preferred
    since = min(began, scene.now) if began is not None else scene.now
    if best is None or best == active:
        return None
    if preferred is not None and (best == preferred or _still_best(scene, preferred, active)):
        return Candidate(preferred, SwitchKind.FAILBACK, since)
    if _lead(scene, best, active) >= margin(scene):
        return Candidate(best, SwitchKind.BETTER, since)
    return None


def _still_best(scene: Scene, preferred: str, active: str) -> bool:
    """Whether the model that was left counts as the best although another one is ahead by a little: models that are as
    good as each other change places all the time, and traffic would never go back."""
    if preferred == active or not scene.eligible(preferred) or scene.status.better_since is None:
        return False
    return _lead(scene, scene.order[0], preferred) < margin(scene) and _lead(scene, preferred, active) >= 0


def _lead(scene: Scene, ahead: str, behind: str) -> Decimal:
    return scene.score(ahead) - scene.score(behind)


def margin(scene: Scene) -> Decimal:
    """By so much another model must score more."""
    return Decimal(scene.spec.switch.margin_percent) / 100


def due_at(scene: Scene, found: Candidate) -> datetime | None:
    """When traffic may move there, if nothing changes; None while the model is not healthy."""
    health = scene.health(found.name)
    if health is None or health.healthy_since is None or not scene.is_healthy(found.name):
        return None
    moment = later(max(found.since, health.healthy_since), scene.spec.failback.healthy_seconds)
    held = hold_until(scene)
    return moment if held is None else max(moment, held)


def due(scene: Scene, active: str) -> Move | None:
    """The move to the better model, once it is due."""
    found = candidate(scene, active)
    moment = due_at(scene, found) if found is not None else None
    if found is None or moment is None or moment > scene.now:
        return None
    scores = f"{points(scene.score(found.name))} to {points(scene.score(active))}"
    lasted = span(scene.spec.failback.healthy_seconds)
    if found.kind is SwitchKind.FAILBACK:
        why = f"{found.name} is the best again ({scores}), and has been healthy for {lasted}"
    else:
        lead = round(100 * _lead(scene, found.name, active))
        why = f"{found.name} leads by {lead} points ({scores}), and has done so for {lasted}"
    manual = scene.spec.failback.manual
    return Move(found.kind, found.name, why, active, seen(scene, active, found.name), manual=manual)
