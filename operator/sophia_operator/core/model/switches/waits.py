"""When something is due by time alone. All else wakes the route when it is found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sophia_operator.api.model_route_status import SwitchPhase
from sophia_operator.core.model.plan_values import SwitchPlan
from sophia_operator.core.model.switches import better, first, holds
from sophia_operator.core.model.switches.scene import Scene, later


def wait(scene: Scene, plan: SwitchPlan) -> float | None:
    """Seconds until the next such moment; 0 right after a switch ended, since another one may be due."""
    if plan.past is not None:
        return 0.0
    coming = [moment for moment in _moments(scene, plan) if moment > scene.now]
    return min((scene.until(moment) for moment in coming), default=None)


def _moments(scene: Scene, plan: SwitchPlan) -> Iterator[datetime]:
    spec, switch = scene.spec, plan.switch
    if plan.active is None:
        deadline = first.deadline(scene)
        if deadline is not None:
            yield deadline
    if switch is not None:
        proving = switch.phase is SwitchPhase.PROVING
        yield later(switch.phase_since, spec.switch.prove_seconds if proving else spec.failback.stage_seconds)
    elif plan.proved_revision < plan.revision and plan.revision_at is not None:
        yield later(plan.revision_at, spec.switch.prove_seconds)
    if plan.hold_until is not None and (scene.all_down or plan.better_since is not None):
        yield plan.hold_until
    if switch is None and plan.active is not None and plan.better_since is not None:
        found = better.candidate(scene, plan.active)
        moment = better.due_at(scene, found) if found is not None else None
        if moment is not None:
            yield moment
    past = holds.last_failback(scene, plan.active)
    if plan.failed_failbacks and past is not None:
        yield holds.stays_at(scene, past)
