"""Model routes as people see them: a list, and the scoreboard that `kubectl sophia model status` draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.api.model_gateway import ModelGateway
from sophia_operator.api.model_route import ModelRoute
from sophia_operator.api.model_route_status import ModelState, ModelStatus, PastSwitch, SwitchResult, SwitchStatus
from sophia_operator.cli import tables
from sophia_operator.cli.health import is_well
from sophia_operator.cli.pins import pinned_because
from sophia_operator.cli.sections import section
from sophia_operator.core.words import clock, span

#: What clients need to be true. While it is not known, it is not held against the route.
_NEEDED: Final = (ConditionType.AVAILABLE,)
_REMARKS: Final = (
    *_NEEDED,
    ConditionType.HEALTHY,
    ConditionType.ON_BEST_MODEL,
    ConditionType.TRAFFIC_VERIFIED,
    ConditionType.CREDENTIALS_VALID,
    ConditionType.METRICS_AVAILABLE,
)
_PARTS: Final = ("latency", "quality", "reliability", "cost")
_STATES: Final = {
    ModelState.HEALTHY: "green",
    ModelState.UNKNOWN: "dim",
    ModelState.FAILING: "yellow",
    ModelState.PAUSED: "yellow",
    ModelState.UNHEALTHY: "bold red",
    ModelState.REFUSED: "bold red",
    ModelState.INELIGIBLE: "dim",
}


def is_healthy(route: ModelRoute) -> bool:
    """Whether clients are served by a model that works, and nothing waits for a person."""
    return is_well(route.status.conditions, _NEEDED)


def listed(items: Sequence[ModelRoute], now: datetime, *, namespaces: bool) -> Table:
    """One line a route."""
    table = tables.plain(
        *(["namespace"] if namespaces else []),
        *("name", "gateway", "ready", "active", "best", "healthy", "models", "proved", "pin", "age", "state"),
    )
    for item in sorted(items, key=lambda i: (str(i.metadata.get("namespace", "")), _name(i))):
        status = item.status
        healthy, ready = find(status.conditions, ConditionType.HEALTHY), find(status.conditions, ConditionType.READY)
        well = sum(m.eligible for m in status.models)
        table.add_row(
            *([str(item.metadata.get("namespace", ""))] if namespaces else []),
            _name(item),
            gateway_of(item.spec.gateway),
            tables.truth(ready.status if ready is not None else None),
            status.active or "-",
            status.best or "-",
            tables.truth(healthy.status if healthy is not None else None),
            f"{well}/{len(item.spec.models)}",
            f"{status.proved_revision}/{status.revision}",
            item.spec.pin or "-",
            tables.age(item.metadata, now),
            Text("" if ready is None else ready.reason, style="dim"),
        )
    return table


def draw(route: ModelRoute, now: datetime) -> RenderableType:
    """The whole picture."""
    status = route.status
    parts: list[RenderableType] = [_title(route), *_facts(route, now)]
    if status.switch is not None:
        parts += [Text(), _switch(status.switch, now)]
    if status.models:
        parts += [Text(), _models(route)]
    if any(m.score_parts for m in status.models):
        parts += [Text(), _scores(status.models)]
    if status.replicas:
        parts += [Text(), _replicas(route)]
    if status.switches:
        parts += [Text(), _switches(status.switches, now)]
    remarks = list(_remarks(route))
    return Group(*parts, *([Text(), Rule(style="dim"), *remarks] if remarks else []))


def gateway_of(gateway: ModelGateway) -> str:
    """Its kind, as in the spec."""
    return "liteLLM" if gateway.lite_llm else "portkey" if gateway.portkey else "httpRoute"


def _title(route: ModelRoute) -> RenderableType:
    spec, status = route.spec, route.status
    marks = (", dry run" if spec.dry_run else "") + (f", pinned to {spec.pin}" if spec.pin is not None else "")
    where = f"  in {route.metadata.get('namespace', '')}, gateway {gateway_of(spec.gateway)}{marks}"
    title = Text.assemble((_name(route), "bold"), (where, "dim"))
    ready = find(status.conditions, ConditionType.READY)
    if ready is None or status.observed_generation < int(route.metadata.get("generation", 0)):
        return Group(title, Text("The operator has not looked at the newest spec yet.", style="yellow"))
    good = ready.status is ConditionStatus.TRUE
    style = "green" if good else "yellow" if is_healthy(route) else "bold red"
    return Group(title, Text.assemble(("Ready" if good else ready.reason, style), f": {ready.message}"))


def _facts(route: ModelRoute, now: datetime) -> list[RenderableType]:
    spec, status = route.spec, route.status
    facts: list[tuple[str, str]] = []
    if status.endpoint is not None:
        facts.append(("endpoint", status.endpoint))
    if status.binding is not None:
        facts.append(("binding", f"Secret {status.binding.name}"))
    if status.active is not None:
        since = f", for {span(now - status.switched_at)}" if status.switched_at is not None else ""
        facts.append(("serves", f"{status.active}{since}"))
    if status.best is not None and status.best != status.active:
        facts.append(("best", status.best))
    if status.preferred is not None and status.preferred != status.active:
        facts.append(("left", f"{status.preferred}, which failed; traffic goes back when it is the best again"))
    if status.fallbacks:
        facts.append(("fallbacks", " > ".join(status.fallbacks)))
    if status.revision:
        facts.append(("revision", f"{status.revision}, proved {status.proved_revision}"))
    if spec.pin is not None:
        facts.append(("pin", f"{spec.pin}: {pinned_because(route) or 'no reason given'}"))
    if status.hold_until is not None and status.hold_until > now:
        failed = f", {status.failed_failbacks} failed in a row" if status.failed_failbacks else ""
        left = span(status.hold_until - now)
        facts.append(("hold", f"no failback for {left} more, until {clock(status.hold_until, now)}{failed}"))
    return [Text(f"{name:<10}{words}") for name, words in facts]


def _switch(switch: SwitchStatus, now: datetime) -> RenderableType:
    source = f" from {switch.from_model}" if switch.from_model is not None else ""
    line = Text.assemble((switch.kind.value, "bold"), f"{source} to {switch.to}, for {span(now - switch.started_at)}: ")
    line.append(switch.trigger)
    line.append(f"\n  {switch.percent} % of the requests, {switch.phase.value} for {span(now - switch.phase_since)}")
    if switch.overdue:
        line.append("; replicas take too long", style="yellow")
    if switch.evidence:
        line.append(f"\n  {switch.evidence}", style="dim")
    return line


def _models(route: ModelRoute) -> Table:
    status = route.status
    numbers = ("share", "score", "p95", "first token", "tokens/s", "cost/1k", "failed")
    columns = (("rank", "right"), ("model", ""), ("state", ""), *((name, "right") for name in numbers), ("why", ""))
    table = section("Models", *columns)
    costs = {m.name: m.cost_per_1k_tokens for m in route.spec.models}
    shares = {s.name: s.percent for s in status.shares}
    for model in sorted(status.models, key=lambda m: (m.rank is None, m.rank or 0, m.name)):
        table.add_row(
            str(model.rank or "-"),
            Text(model.name, style="bold" if model.name == status.active else ""),
            Text(model.state.value, style=_STATES[model.state]),
            f"{shares.get(model.name, 0)} %",
            model.score or "-",
            _number(model.p95_ms, " ms"),
            _number(model.first_token_ms, " ms"),
            _number(model.tokens_per_second),
            costs.get(model.name) or "-",
            f"{model.failures}/{model.requests}",
            Text(model.message or "", style="dim"),
        )
    return table


def _scores(models: Sequence[ModelStatus]) -> Table:
    table = section("Scores", ("model", ""), ("part", ""), ("value", "right"), ("weight", "right"), ("why", ""))
    for model in sorted(models, key=lambda m: (m.rank is None, m.rank or 0, m.name)):
        known = {part.name: part for part in model.score_parts}
        for index, name in enumerate(n for n in _PARTS if n in known):
            part = known[name]
            row = (model.name if index == 0 else "", part.name, part.value, part.weight)
            table.add_row(*row, Text(part.why, style="dim"))
    return table


def _replicas(route: ModelRoute) -> Table:
    table = section("Replicas of the gateway", ("replica", ""), ("revision", "right"), ("model", ""), ("why", ""))
    for replica in sorted(route.status.replicas, key=lambda r: r.name):
        current = replica.revision == route.status.revision
        why = replica.message or ("" if current else f"{route.status.revision} is wanted")
        revision = Text(_number(replica.revision), style="green" if current else "yellow")
        table.add_row(replica.name, revision, replica.model or "-", Text(why, style="dim"))
    return table


def _switches(switches: Sequence[PastSwitch], now: datetime) -> Table:
    columns = (("began", ""), ("kind", ""), ("from", ""), ("to", ""), ("proved in", "right"), ("took", "right"))
    table = section("Switches", *columns, ("result", ""), ("cause", ""))
    for past in switches:
        good = past.result is SwitchResult.SWITCHED
        why = f"{past.trigger}; {past.message}" if past.message else past.trigger
        table.add_row(
            clock(past.started_at, now).removesuffix(" UTC"),
            past.kind.value,
            past.from_model or "-",
            past.to,
            "-" if past.proved_at is None else _seconds(past.started_at, past.proved_at),
            _seconds(past.started_at, past.ended_at),
            Text(past.result.value, style="green" if good else "yellow"),
            Text(why, style="dim"),
        )
    return table


def _remarks(route: ModelRoute) -> Iterator[RenderableType]:
    for kind in _REMARKS:
        found = find(route.status.conditions, kind)
        if found is not None and found.status is not ConditionStatus.TRUE:
            yield Text.assemble((f"{kind.value} is {found.status.value}", "yellow"), f": {found.message}")


def _seconds(start: datetime, end: datetime) -> str:
    seconds = max(0.0, (end - start).total_seconds())
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)


def _number(value: int | None, unit: str = "") -> str:
    return "-" if value is None else f"{value}{unit}"


def _name(route: ModelRoute) -> str:
    return str(route.metadata.get("name", ""))
