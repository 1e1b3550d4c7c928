"""Whether traffic should move, where to and why: from what is most urgent to what is only better."""

from __future__ import annotations

from collections.abc import Iterable

from sophia_operator.api.model_route_status import BY_STAGES, SwitchKind, SwitchPhase, SwitchStatus
from sophia_operator.core.model.switches import better, first, holds
from sophia_operator.core.model.switches.least_bad import answered, any_of, least_bad
from sophia_operator.core.model.switches.moves import Move, failing_for, seen, state_of
from sophia_operator.core.model.switches.proof import Proof
from sophia_operator.core.model.switches.scene import Scene
from sophia_operator.core.model.switches.standing import ALL, Standing
from sophia_operator.core.words import several, span


def choose(scene: Scene, standing: Standing, proof: Proof) -> Move | None:
    """The move that should be made now, if any."""
    if scene.pin is not None:
        # Nothing moves traffic away from what a person chose.
        return _pin(scene, standing, scene.pin)
    if standing.active is None:
        return _replace(scene, standing, standing.lost) if standing.lost is not None else first.first(scene)
    if standing.broken is not None:
        left = standing.broken.to
        why = f"{left} was removed from the spec"
        return Move(SwitchKind.REVERT, standing.active, why, left, seen(scene, standing.active), forced=True)
    if scene.is_left(standing.active):
        return _failover(scene, standing, standing.active)
    if standing.switch is not None:
        return _revert(scene, standing, proof)
    return better.due(scene, standing.active) if _is_calm(scene, proof) else None


def _pin(scene: Scene, standing: Standing, pin: str) -> Move | None:
    why = "spec.pin names it"
    if standing.active is None and standing.lost is None:
        return Move(SwitchKind.FIRST, pin, f"nothing serves yet, and {why}", evidence=seen(scene, pin), forced=True)
    if standing.shares == {pin: ALL}:
        return None
    source = standing.active or standing.lost
    if source == pin and standing.switch is not None:
        source = standing.switch.to  # a failback from what is pinned now
    return Move(SwitchKind.PIN, pin, why, source, seen(scene, source, pin), forced=standing.active is None)


def _replace(scene: Scene, standing: Standing, lost: str) -> Move:
    """The model that served is not in the spec any more: another one has to serve, whatever it is like."""
    going = standing.broken.to if standing.broken is not None else None
    candidates = [going] if going is not None and scene.eligible(going) else []
    to = next(iter([*candidates, *successors(scene, lost)]), None) or any_of(scene)
    why = f"{lost} was removed from the spec"
    return Move(SwitchKind.FAILOVER, to, why, lost, seen(scene, to), forced=True)


def _failover(scene: Scene, standing: Standing, active: str) -> Move | None:
    switch = standing.switch
    if switch is not None and standing.by_stages:
        came_from = switch.from_model
        if standing.is_shared and scene.eligible(switch.to):
            return Move(SwitchKind.FAILOVER, switch.to, state_of(scene, active), active, _why(scene, active, switch.to))
        if not standing.is_shared and came_from in scene.names and scene.eligible(came_from):
            assert came_from is not None
            why = state_of(scene, active)
            return Move(SwitchKind.REVERT, came_from, why, active, _why(scene, active, came_from), failed=True)
    failed = _ends_a_failback(scene, standing, active)
    to = next(iter(successors(scene, active)), None)
    if to is not None:
        why = state_of(scene, active)
        return Move(SwitchKind.FAILOVER, to, why, active, _why(scene, active, to), failed=failed)
    to = least_bad(scene, active) if not holds.is_held(scene) else None
    if to is None:
        # A failback to a model that fails as well is over, whatever the one is like that has most of the traffic.
        return _back(scene, switch, switch.to) if switch is not None and standing.is_shared else None
    why = f"no model may be chosen; {active} {answered(scene, active)}, and {to} {answered(scene, to)}"
    return Move(SwitchKind.FAILOVER, to, why, active, _why(scene, active, to), failed=failed)


def _why(scene: Scene, active: str, to: str) -> str:
    return f"{failing_for(scene, active)}{seen(scene, active, to)}"


def successors(scene: Scene, active: str) -> Iterable[str]:
    """Models that may be chosen. Those that break no limit come first: one that does would soon be left again."""
    model = scene.model(active)
    named = [n for n in (model.fallback_order if model is not None else ()) if scene.eligible(n)]
    all_of_them = [n for n in dict.fromkeys([*named, *scene.order]) if n != active]
    return sorted(all_of_them, key=lambda n: not scene.is_healthy(n))


def _ends_a_failback(scene: Scene, standing: Standing, active: str) -> bool:
    """Whether a failback failed with the model: one that goes on, or one that ended so lately that it did not last."""
    if standing.by_stages and standing.switch is not None:
        return scene.is_left(standing.switch.to)
    past = holds.last_failback(scene, active)
    return standing.switch is None and past is not None and scene.now < holds.stays_at(scene, past)


def _revert(scene: Scene, standing: Standing, proof: Proof) -> Move | None:
    """A failback that cannot go on. The model that serves may be chosen, or nothing is known of it."""
    switch = standing.switch
    if switch is None or switch.kind not in BY_STAGES or switch.from_model not in scene.names:
        return None
    assert switch.from_model is not None
    back, to = switch.from_model, switch.to
    if standing.is_shared and scene.is_left(to):
        return _back(scene, switch, to)
    overdue = switch.phase is SwitchPhase.PROVING and scene.since(switch.phase_since) >= scene.spec.switch.prove_seconds
    if not overdue or proof.proved or not scene.eligible(back):
        return None
    late = several(proof.late) or "no replica of the gateway is known"
    why = f"not every replica served by revision {switch.revision} in {span(scene.spec.switch.prove_seconds)}: {late}"
    return Move(SwitchKind.REVERT, back, why, to, seen(scene, to, back), failed=True)


def _back(scene: Scene, switch: SwitchStatus, failed: str) -> Move | None:
    """All traffic goes back to where it came from, since the new model failed."""
    if not scene.is_left(failed) or switch.from_model is None:
        return None
    why = _why(scene, failed, switch.from_model)
    return Move(SwitchKind.REVERT, switch.from_model, state_of(scene, failed), failed, why, failed=True)


def _is_calm(scene: Scene, proof: Proof) -> bool:
    """Whether all that the gateway is told was taken over, and can be: else a failback would only fail."""
    proved = scene.status.proved_revision >= scene.status.revision and not proof.behind
    route = scene.observed.http_route
    return proved and not scene.observed.blockers and not (route is not None and route.accepted is False)
