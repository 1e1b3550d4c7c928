"""What is written down of switches that ended, and told of all of them."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.api.model_route_status import BY_STAGES, PastSwitch, SwitchKind, SwitchResult, SwitchStatus
from sophia_operator.core.decision import EventType, Notice
from sophia_operator.core.model.switches.moves import MESSAGE, Move, cut, state_of
from sophia_operator.core.model.switches.proof import Proof
from sophia_operator.core.model.switches.scene import Scene
from sophia_operator.core.words import count, several, span

#: An Event takes 1,024 characters.
_EVENT: Final = 1000
_FROM: Final = frozenset({SwitchKind.FAILOVER, SwitchKind.REVERT, SwitchKind.RECOVERY})
_BEGINS: Final = {
    SwitchKind.PIN: (EventType.NORMAL, Reason.PINNED),
    SwitchKind.FAILOVER: (EventType.WARNING, Reason.SWITCHING),
    SwitchKind.FAILBACK: (EventType.NORMAL, Reason.FAILING_BACK),
    SwitchKind.BETTER: (EventType.NORMAL, Reason.FAILING_BACK),
    SwitchKind.REVERT: (EventType.WARNING, Reason.FAILBACK_FAILED),
    SwitchKind.RECOVERY: (EventType.WARNING, Reason.SWITCHING),
}


def ended(scene: Scene, switch: SwitchStatus, result: SwitchResult, message: str = "") -> PastSwitch:
    """The switch, as it is remembered."""
    return PastSwitch(
        kind=switch.kind,
        from_model=switch.from_model,
        to=switch.to,
        trigger=switch.trigger,
        evidence=switch.evidence,
        started_at=switch.started_at,
        proved_at=switch.proved_at,
        ended_at=scene.now,
        result=result,
        message=cut(message, MESSAGE),
    )


def begins(move: Move) -> list[Notice]:
    """That traffic moves. The first model is told of once it serves."""
    if move.kind not in _BEGINS:
        return []
    kind, reason = _BEGINS[move.kind]
    what = f"traffic goes back {move.direction}" if move.kind is SwitchKind.REVERT else f"traffic goes {move.direction}"
    seen = f" ({move.evidence})" if move.evidence else ""
    return [_notice(kind, reason, f"{what}: {move.trigger}{seen}")]


def succeeded(scene: Scene, switch: SwitchStatus, proof: Proof) -> Notice:
    """That the model serves, with why, what was seen, and how long it took."""
    reason = Reason.FAILED_BACK if switch.kind is SwitchKind.FAILBACK else Reason.SWITCHED
    source = f" instead of {switch.from_model}" if switch.from_model is not None else ""
    seen = f"; {switch.evidence}" if switch.evidence else ""
    proved_at = switch.proved_at or scene.now
    seconds = max(0.0, (proved_at - switch.started_at).total_seconds())
    took = f"proved at {count(proof.replicas, 'replica')} {seconds:.1f} s after that"
    others = f" (answered by fallbacks: {', '.join(proof.by_fallback)})" if proof.by_fallback else ""
    lasted = f"; its stages took {span(scene.since(switch.started_at))}" if switch.kind in BY_STAGES else ""
    text = f"{switch.to} serves{source} ({switch.kind.value}): {switch.trigger}{seen}"
    return _notice(EventType.NORMAL, reason, f"{cut(text, _EVENT - 300)}; {took}{others}{lasted}")


def would(move: Move) -> Notice:
    """That a dry run, or a person who wants to do it, keeps traffic from moving."""
    if move.manual:
        message = f"traffic should go {move.direction}: {move.trigger}; set spec.pin to {move.to}, and remove it then"
        return _notice(EventType.NORMAL, Reason.FAILBACK_DUE, message)
    message = f"without dryRun, traffic would go {move.direction} ({move.kind.value}): {move.trigger}"
    return _notice(EventType.NORMAL, Reason.WOULD_SWITCH, message)


def told_key(move: Move) -> str:
    """What is remembered of having told that; at most 128 characters. Which model should take over from one that fails
    may be another one with each probe: that is told once."""
    what = move.source if move.kind in _FROM else move.to
    return told_of(move.kind, what or move.to, manual=move.manual)


def told_of(kind: SwitchKind, name: str, *, manual: bool) -> str:
    """The same of a kind of switch, and a model."""
    reason = Reason.FAILBACK_DUE if manual else Reason.WOULD_SWITCH
    return f"{reason.value} {kind.value} {name}"


def all_down(scene: Scene, active: str | None) -> list[Notice]:
    """That no model may be chosen any more."""
    if not scene.all_down or scene.was_all_down:
        return []
    stays = f"traffic stays at {active}" if active is not None else "no model serves"
    states = "; ".join(state_of(scene, name) for name in scene.names)
    return [_notice(EventType.WARNING, Reason.ALL_MODELS_DOWN, f"no model may be chosen, {stays}: {states}")]


def lags(revision: int, late: tuple[str, ...]) -> Notice:
    """That replicas take longer than they may."""
    if not late:
        message = f"no replica of the gateway was seen to serve by revision {revision} yet: see that its pods run"
        return _notice(EventType.WARNING, Reason.REPLICA_LAGS, message)
    message = (
        f"does not serve by revision {revision}: {several(late)}; see its logs, and whether it reads what it is told"
    )
    return _notice(EventType.WARNING, Reason.REPLICA_LAGS, message)


def was_lagging(scene: Scene) -> bool:
    """Whether it was told already that replicas lag."""
    said = find(scene.status.conditions, ConditionType.TRAFFIC_VERIFIED)
    return said is not None and said.status is ConditionStatus.FALSE and said.reason == Reason.REPLICA_LAGS.value


def _notice(kind: EventType, reason: Reason, message: str) -> Notice:
    return Notice(kind, reason.value, cut(message, _EVENT))
