"""How long no failback begins: longer with each one in a row that failed, so that a model that comes and goes is left
alone."""

from __future__ import annotations

from datetime import datetime

from sophia_operator.api.model_route import Failback
from sophia_operator.api.model_route_status import BY_STAGES, PastSwitch, SwitchResult
from sophia_operator.core.model.switches.scene import Scene, later

#: So many are written down at most.
MOST_FAILED = 64


def hold_seconds(failback: Failback, failed: int) -> float:
    """After a switch, when so many failbacks in a row have failed."""
    return float(min(failback.max_hold_seconds, failback.hold_seconds * 2 ** min(failed, MOST_FAILED)))


def hold_from(scene: Scene, failed: int) -> datetime:
    """When the hold ends that begins now."""
    return later(scene.now, hold_seconds(scene.spec.failback, failed))


def hold_until(scene: Scene) -> datetime | None:
    """When the hold ends that goes on, by the spec as it is now: a shorter one counts at once."""
    known = scene.status.hold_until
    return None if known is None else min(known, hold_from(scene, scene.status.failed_failbacks))


def is_held(scene: Scene) -> bool:
    """Whether no failback may begin."""
    until = hold_until(scene)
    return until is not None and until > scene.now


def last_failback(scene: Scene, active: str | None) -> PastSwitch | None:
    """The failback by which the active model came to serve, if nothing else moved since."""
    past = scene.status.switches[-1] if scene.status.switches else None
    if past is None or past.kind not in BY_STAGES or past.result is not SwitchResult.SWITCHED or past.to != active:
        return None
    return past


def stays_at(scene: Scene, past: PastSwitch) -> datetime:
    """From when on a failback has succeeded."""
    return later(past.ended_at, scene.spec.failback.healthy_seconds)


def failed_failbacks(scene: Scene, active: str | None) -> int:
    """Failbacks that failed in a row. One whose model has stayed for long enough ends the row."""
    failed, past = scene.status.failed_failbacks, last_failback(scene, active)
    return 0 if past is not None and scene.now >= stays_at(scene, past) else failed


def one_more(failed: int) -> int:
    """Another one failed."""
    return min(MOST_FAILED, failed + 1)
