"""SwitchModel: a RecoveryAction has another model serve, all at once, although the one that serves may only be Failing.

It is a switch like any other, of the kind `Recovery`: written down together with what the act is about, proved at every
replica, and followed by a hold. A switch that leaves the model already, or left it since the incident began, is what
the act follows: nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from sophia_operator.api.model_route_status import (
    BY_STAGES,
    ModelState,
    PastSwitch,
    SwitchKind,
    SwitchResult,
    SwitchStatus,
)
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.model.plan_values import SwitchPlan
from sophia_operator.core.model.switches import holds
from sophia_operator.core.model.switches.choose import successors
from sophia_operator.core.model.switches.moves import Move, seen, state_of
from sophia_operator.core.model.switches.proof import Proof
from sophia_operator.core.model.switches.scene import Scene
from sophia_operator.core.model.switches.standing import Standing
from sophia_operator.core.recovery.acts import begun, ended, replaced, tidied, to_begin
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.words import clock, count

#: Ways to leave a model that fails.
_LEAVES: Final = frozenset({SwitchKind.FAILOVER, SwitchKind.RECOVERY, SwitchKind.REVERT})
_BREAKS_A_LIMIT: Final = frozenset({ModelState.FAILING, ModelState.UNHEALTHY})


@dataclass(frozen=True, slots=True)
class Asked:
    """What becomes of an act that is begun with in this pass."""

    act: ActStatus
    #: What it moves; None when it follows what goes on, or is over already.
    move: Move | None = None


def asked(scene: Scene, here: Standing) -> Asked | None:
    """The act to begin with, if there is one and traffic can be spoken of: while the model that serves is being
    replaced because it left the spec, it waits for a pass."""
    request = _next(scene, scene.status.acts)
    if request is None or here.broken is not None or here.lost is not None:
        return None
    why_not = _refusal(scene, here, request)
    if why_not is not None:
        return Asked(ended(begun(request, scene.now), ActPhase.REFUSED, why_not, scene.now))
    assert here.active is not None
    return _joined(scene, here, request) or _done_before(scene, here, request) or _move(scene, here, request)


def _next(scene: Scene, acts: list[ActStatus]) -> ActRequest | None:
    return to_begin(acts, (r for r in scene.observed.acts if r.action is Action.SWITCH_MODEL))


def _refusal(scene: Scene, here: Standing, request: ActRequest) -> str | None:
    """Why another model may not serve, whatever is going on."""
    named = request.parameters.model
    if scene.pin is not None:
        return f"a person chose {scene.pin} (spec.pin), and a pin always wins: remove it, or name another model there"
    if scene.spec.dry_run:
        return "spec.dryRun is true, and nothing moves in a dry run: set it to false first"
    if named is not None and named not in scene.names:
        return f"the route has no model {named} (parameters.model): it has {', '.join(scene.names)}"
    if here.active is None:
        return "no model serves yet: the first one is chosen by itself"
    return None


def _joined(scene: Scene, here: Standing, request: ActRequest) -> Asked | None:
    """A switch that goes on and moves everything at once is what the act follows."""
    switch, named = here.switch, request.parameters.model
    if switch is None or here.by_stages:
        return None
    if named != switch.to and (named is not None or _is_wrong(scene, switch.to)):
        return None
    message = f"follows {_words(switch)}, which began at {clock(switch.started_at, scene.now)}"
    return Asked(begun(request, scene.now, subject=switch.to, message=message))


def _done_before(scene: Scene, here: Standing, request: ActRequest) -> Asked | None:
    """The model was left since the incident began, and the one that serves now breaks no limit."""
    past = scene.status.switches[-1] if scene.status.switches else None
    since, named = request.since or request.claimed_at, request.parameters.model
    if past is None or since is None or here.switch is not None:
        return None
    if past.to != here.active or named not in (None, past.to):
        return None
    left = past.kind in _LEAVES and past.result is SwitchResult.SWITCHED and past.ended_at >= since
    if not left or _is_wrong(scene, past.to):
        return None
    message = f"{past.to} serves: {_words(past)} ended at {clock(past.ended_at, scene.now)}, after the incident began"
    act = begun(request, scene.now, subject=past.to)
    return Asked(ended(act, ActPhase.DONE, message, scene.now, [f"nothing more than {_words(past)} before"]))


def _move(scene: Scene, here: Standing, request: ActRequest) -> Asked:
    """Traffic moves now, unless there is no model for it."""
    active, named = here.active, request.parameters.model
    assert active is not None
    to = named or next(_candidates(scene, here, active), None)
    why_not = _unfit(scene, here, active, to)
    if why_not is not None or to is None:
        return Asked(ended(begun(request, scene.now), ActPhase.REFUSED, why_not or "", scene.now))
    source = here.switch.to if here.switch is not None and to == active else active
    why = f"RecoveryAction {request.name} asks for it; {state_of(scene, source)}"
    failed = _failed_back(scene, here, source, to)
    move = Move(SwitchKind.RECOVERY, to, why, source, seen(scene, source, to), failed=failed)
    message = f"all requests go {move.direction}; every replica of the gateway must be seen to serve so"
    return Asked(begun(request, scene.now, subject=to, message=message), move)


def _candidates(scene: Scene, here: Standing, active: str) -> Iterator[str]:
    """Models that may be chosen: the other one of a failback first, those that break no limit before all others."""
    switch = here.switch
    other = (switch.from_model if switch.to == active else switch.to) if switch is not None and here.by_stages else None
    first = [other] if other is not None and scene.eligible(other) else []
    names = dict.fromkeys([*first, *successors(scene, active)])
    yield from sorted(names, key=lambda name: not scene.is_healthy(name))


def _unfit(scene: Scene, here: Standing, active: str, to: str | None) -> str | None:
    """Why the model cannot serve in the place of the one that does."""
    if to is None:
        states = "; ".join(state_of(scene, name) for name in scene.names if name != active)
        return f"no other model may be chosen: {states or f'{active} is the only one'}"
    if to == active and not here.is_shared:
        return f"{to} serves already: there is nothing to move"
    return None if scene.eligible(to) else f"{to} may not be chosen: {state_of(scene, to)}"


def _failed_back(scene: Scene, here: Standing, source: str, to: str) -> bool:
    """Whether a failback to a model that fails ends with this: one that goes on, or one that did not last."""
    if here.by_stages and here.switch is not None:
        return to != here.switch.to and _is_wrong(scene, here.switch.to)
    past = holds.last_failback(scene, source)
    soon = here.switch is None and past is not None and scene.now < holds.stays_at(scene, past)
    return soon and _is_wrong(scene, source)


def _is_wrong(scene: Scene, name: str) -> bool:
    health = scene.health(name)
    return health is not None and health.state in _BREAKS_A_LIMIT


def with_acts(scene: Scene, new: Asked | None, plan: SwitchPlan, proof: Proof) -> SwitchPlan:
    """The plan, with what is said of acts after it. Another pass follows at once when another act waits. How an act
    ended is said once at least, also when its RecoveryAction is gone by then."""
    known = tidied(scene.status.acts, scene.observed.acts)
    known = replaced(known, new.act) if new is not None else known
    acts = [_after(scene, act, plan, proof) for act in known]
    return replace(plan, acts=tuple(acts), wait=0.0 if _next(scene, acts) is not None else plan.wait)


def _after(scene: Scene, act: ActStatus, plan: SwitchPlan, proof: Proof) -> ActStatus:
    """The act, by where its switch is after this pass: that is written down with it, so that neither is lost alone."""
    if act.phase is not ActPhase.RUNNING or (plan.switch is not None and _is_of(act, plan.switch)):
        return act
    past, revision = plan.past, scene.status.revision
    if past is None or past.to != act.subject:
        why = "its switch is not in the status any more, which was edited or lost"
        return ended(act, ActPhase.FAILED, why, scene.now)
    told = f"{_words(past)}: all requests to {past.to} by revision {revision}"
    if past.result is not SwitchResult.SWITCHED:
        return ended(act, ActPhase.FAILED, f"overtaken: {past.message}", scene.now, [told])
    replicas = count(proof.replicas, "replica")
    message = f"{past.to} serves, proved at every replica of the gateway ({replicas})"
    asked_all = f"asked {replicas}: each serves by revision {revision}"
    return ended(act, ActPhase.DONE, message, scene.now, [told, asked_all])


def _is_of(act: ActStatus, switch: SwitchStatus) -> bool:
    return switch.to == act.subject and switch.kind not in BY_STAGES


def _words(switch: SwitchStatus | PastSwitch) -> str:
    source = f" from {switch.from_model}" if switch.from_model is not None else ""
    return f"{switch.kind.value}{source} to {switch.to}"
