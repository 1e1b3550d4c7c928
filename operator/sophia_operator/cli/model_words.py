"""Why a model serves, and what would have to happen for a change, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.api.model_route import ModelRoute
from sophia_operator.api.model_route_status import ModelState, ModelStatus, SwitchKind
from sophia_operator.cli.pins import pinned_because
from sophia_operator.core.words import clock, span

_DOES = {
    SwitchKind.FIRST: "the first model was chosen",
    SwitchKind.FAILOVER: "the model before it failed",
    SwitchKind.FAILBACK: "it became the best again",
    SwitchKind.BETTER: "it scored more than the one before it",
    SwitchKind.PIN: "a person chose it",
    SwitchKind.REVERT: "a failback to another model failed",
    SwitchKind.RECOVERY: "a RecoveryAction asked for it",
}


def explain(route: ModelRoute, now: datetime) -> list[str]:
    """Sentences, one a line."""
    status = route.status
    if status.observed_generation < int(route.metadata.get("generation", 0)) or not status.conditions:
        return ["The operator has not looked at the newest spec yet."]
    stalled = find(status.conditions, ConditionType.STALLED)
    lines = [f"Nothing will change until somebody acts ({stalled.reason}): {stalled.message}."] if stalled else []
    if status.active is None:
        ready = find(status.conditions, ConditionType.READY)
        return [*lines, f"No model serves yet: {ready.message if ready is not None else 'nothing is known'}."]
    lines += [*_why(route, status.active, now), *_under_way(route, now)]
    lines += [f"{m.name} is not chosen: {_trouble(m, now)}." for m in _left_out(route)]
    lines += list(_what_would_change(route, status.active, now))
    return lines + list(_doubts(route))


def _why(route: ModelRoute, active: str, now: datetime) -> Iterator[str]:
    status, row = route.status, _row(route, active)
    how = f"{row.state.value}, rank {row.rank}, score {row.score}" if row is not None and row.rank else None
    yield f"{active} serves ({how or (row.state.value if row is not None else 'Unknown')})."
    if route.spec.pin == active:
        yield f"It is pinned: {pinned_because(route) or 'no reason given'}."
    going = status.switch is not None and status.switch.to == active
    last = next((s for s in reversed(status.switches) if s.to == active), None) if not going else None
    if last is not None:
        yield f"It has since {clock(last.started_at, now)}, when {_DOES[last.kind]}: {last.trigger}."
        if last.evidence:
            yield f"What was seen then: {last.evidence}."
    if row is not None and row.score_parts:
        parts = (f"{p.name} {p.value} of weight {p.weight} ({p.why})" for p in row.score_parts)
        yield f"Its score is made of {', '.join(parts)}."


def _under_way(route: ModelRoute, now: datetime) -> Iterator[str]:
    status, switch = route.status, route.status.switch
    if switch is None:
        return
    share = "all requests" if switch.percent == 100 else f"{switch.percent} % of the requests"
    yield f"A switch is under way ({switch.kind.value}): {share} go to {switch.to}. What started it: {switch.trigger}."
    if switch.evidence:
        yield f"What was seen: {switch.evidence}."
    behind = [r for r in status.replicas if r.revision is None or r.revision < switch.revision]
    late = [f"{r.name} ({r.message or _serves(r.revision)})" for r in behind]
    if late:
        yield f"It waits until these replicas of the gateway serve by revision {switch.revision}: {', '.join(late)}."
    elif switch.percent < 100:
        left = route.spec.failback.stage_seconds - (now - switch.phase_since).total_seconds()
        wait = f"in {span(left)} at the earliest" if left > 0 else "as soon as there is enough evidence"
        yield f"The next stage begins {wait}; when {switch.to} breaks a limit, all goes back to {switch.from_model}."


def _serves(revision: int | None) -> str:
    return "not known" if revision is None else f"serves by {revision}"


def _left_out(route: ModelRoute) -> list[ModelStatus]:
    return [m for m in route.status.models if not m.eligible and m.name != route.status.active]


def _trouble(model: ModelStatus, now: datetime) -> str:
    words = f"{model.state.value}, {model.message or model.reason or 'no reason given'}"
    if model.state is ModelState.PAUSED and model.paused_until is not None and model.paused_until > now:
        return f"{words}; it is asked again in {span(model.paused_until - now)}"
    return words


def _what_would_change(route: ModelRoute, active: str, now: datetime) -> Iterator[str]:
    """What would move traffic away from it."""
    spec, status = route.spec, route.status
    if spec.pin is not None:
        yield f"Nothing moves while spec.pin is set: kubectl sophia model unpin {route.metadata.get('name', 'NAME')}."
        return
    if spec.dry_run:
        yield "Nothing moves while spec.dryRun is true; it is only told what would be done."
        return
    successor = _successor(route, active)
    limits = [f"more than {spec.switch.max_error_percent} % of its requests fail", "two probes in a row fail"]
    limits += [f"its p95 is above {spec.switch.max_p95_ms} ms"] if spec.switch.max_p95_ms is not None else []
    goes = f"all requests go to {successor}" if successor is not None else "traffic stays: no other model may be chosen"
    yield f"When {' or '.join(limits)} for {span(spec.switch.for_seconds)}, {goes}."
    if status.switch is None:
        yield from _to_a_better_one(route, active, now)


def _successor(route: ModelRoute, active: str) -> str | None:
    ranked = sorted((m for m in route.status.models if m.rank is not None), key=lambda m: m.rank or 0)
    model = next((m for m in route.spec.models if m.name == active), None)
    order = [*(model.fallback_order if model is not None else []), *(m.name for m in ranked)]
    eligible = {m.name for m in route.status.models if m.eligible} - {active}
    return next((name for name in order if name in eligible), None)


def _to_a_better_one(route: ModelRoute, active: str, now: datetime) -> Iterator[str]:
    spec, status = route.spec, route.status
    best, own = _row(route, status.best), _row(route, active)
    if best is None or status.best == active:
        margin = spec.switch.margin_percent
        yield (
            f"It ranks first. Another model takes over by stages when it scores {margin} points more "
            f"for {span(spec.failback.healthy_seconds)}."
        )
        return
    if status.preferred == best.name:
        healthy = span(spec.failback.healthy_seconds)
        yield f"Traffic left {best.name} when that failed. It ranks first, and gets it back once healthy for {healthy}."
    elif best.score is not None and own is not None and own.score is not None:
        lead = (Decimal(best.score) - Decimal(own.score)) * 100
        yield f"{best.name} ranks first, by {lead:.0f} points; {spec.switch.margin_percent} are needed to move."
    on_best = find(status.conditions, ConditionType.ON_BEST_MODEL)
    if on_best is not None and on_best.status is not ConditionStatus.TRUE:
        yield f"{on_best.reason}: {on_best.message}."
    if spec.failback.manual:
        yield f"failback.manual is set: kubectl sophia model pin {route.metadata.get('name', 'NAME')} {best.name}."
    if status.hold_until is not None and status.hold_until > now:
        yield f"No failback begins for {span(status.hold_until - now)} more."


def _doubts(route: ModelRoute) -> Iterator[str]:
    for kind in (ConditionType.TRAFFIC_VERIFIED, ConditionType.CREDENTIALS_VALID, ConditionType.METRICS_AVAILABLE):
        found = find(route.status.conditions, kind)
        if found is not None and found.status is ConditionStatus.FALSE:
            yield f"{kind.value} is False: {found.message}."


def _row(route: ModelRoute, name: str | None) -> ModelStatus | None:
    return next((m for m in route.status.models if m.name == name), None)
