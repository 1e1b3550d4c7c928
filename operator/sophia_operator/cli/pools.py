"""Connection pools as people see them: a list, and the picture of one that `kubectl sophia pool` draws."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.api.connection_pool import ConnectionPool
from sophia_operator.api.connection_pool_status import BudgetStatus, InstanceStatus, StatementInsight
from sophia_operator.cli import tables
from sophia_operator.cli.health import is_well
from sophia_operator.cli.sections import section
from sophia_operator.core.words import clock, count, span

#: What clients need to be true. While it is not known, it is not held against the pool.
_NEEDED: Final = (ConditionType.HEALTHY, ConditionType.ROLE_CORRECT, ConditionType.WITHIN_BUDGET)
_REMARKS: Final = (*_NEEDED, ConditionType.CONFIG_APPLIED)


def is_healthy(pool: ConnectionPool) -> bool:
    """Whether clients are served and nothing waits for a person. Instances that are being replaced are no illness."""
    return is_well(pool.status.conditions, _NEEDED)


def listed(items: Sequence[ConnectionPool], now: datetime, *, namespaces: bool) -> Table:
    """One line a pool."""
    table = tables.plain(
        *(["namespace"] if namespaces else []),
        *("name", "ready", "healthy", "in use", "waiting", "role", "score", "age", "state"),
    )
    for item in sorted(items, key=lambda i: (str(i.metadata.get("namespace", "")), _name(i))):
        status = item.status
        healthy = find(status.conditions, ConditionType.HEALTHY)
        ready = find(status.conditions, ConditionType.READY)
        table.add_row(
            *([str(item.metadata.get("namespace", ""))] if namespaces else []),
            _name(item),
            status.ready or "-",
            tables.truth(healthy.status if healthy is not None else None),
            status.usage or "-",
            str(status.waiting) if status.conditions else "-",
            item.spec.role.value,
            "-" if status.score is None else str(status.score),
            tables.age(item.metadata, now),
            Text("" if ready is None else ready.reason, style="dim"),
        )
    return table


def draw(pool: ConnectionPool, now: datetime) -> RenderableType:
    """The whole picture."""
    status = pool.status
    parts: list[RenderableType] = [_title(pool), *_facts(pool, now)]
    if status.members:
        parts += [Text(), _members(status.members)]
    if status.score_parts:
        parts += [Text(), _score(pool)]
    if status.budget is not None and status.budget.holders:
        parts += [Text(), _holders(status.budget)]
    if status.reconnects:
        parts += [Text(), _reconnects(pool, now)]
    parts += _insights(pool)
    remarks: list[RenderableType] = [
        Text.assemble((f"{kind.value} is {found.status.value}", "yellow"), f": {found.message}")
        for kind in _REMARKS
        if (found := find(status.conditions, kind)) is not None and found.status is not ConditionStatus.TRUE
    ]
    return Group(*parts, *([Text(), Rule(style="dim"), *remarks] if remarks else []))


def _title(pool: ConnectionPool) -> RenderableType:
    spec, status = pool.spec, pool.status
    where = f"{spec.database.name} at {spec.database.host}:{spec.database.port}"
    title = Text.assemble(
        (_name(pool), "bold"), (f"  in {pool.metadata.get('namespace', '')}, {spec.role.value}, {where}", "dim")
    )
    ready = find(status.conditions, ConditionType.READY)
    if ready is None or status.observed_generation < int(pool.metadata.get("generation", 0)):
        return Group(title, Text("The operator has not looked at the newest spec yet.", style="yellow"))
    good = ready.status is ConditionStatus.TRUE
    style = "green" if good else "yellow" if is_healthy(pool) else "bold red"
    return Group(title, Text.assemble(("Ready" if good else ready.reason, style), f": {ready.message}"))


def _facts(pool: ConnectionPool, now: datetime) -> list[RenderableType]:
    status = pool.status
    facts: list[tuple[str, str]] = []
    if status.server is not None:
        seen = status.server
        words = [seen.address, seen.role, f"PostgreSQL {seen.version}" if seen.version else None]
        words += [f"{seen.max_connections} connections" if seen.max_connections is not None else None]
        words += [f"{seen.replication_lag_seconds} s behind" if seen.replication_lag_seconds is not None else None]
        facts.append(("server", ", ".join(word for word in words if word)))
    if status.size:
        share = f" ({status.utilization_percent} %)" if status.utilization_percent is not None else ""
        waiting = f"{count(status.waiting, 'client')} {'waits' if status.waiting == 1 else 'wait'}"
        bounds = f"{pool.spec.size.min} to {pool.spec.size.max}"
        facts.append(("size", f"{status.size} of {bounds}, {status.in_use} in use{share}, {waiting}"))
    for name, times in (("connect", status.connect_ms), ("query", status.query_ms)):
        if times is not None:
            facts.append((name, f"{times.p50} ms, 95 of 100 within {times.p95} ms"))
    if status.hit_percent is not None:
        facts.append(("hits", f"{status.hit_percent} % of the requests needed no new server connection"))
    if status.budget is not None:
        left = "not known" if status.budget.available is None else str(status.budget.available)
        facts.append(("budget", f"{status.budget.granted} granted of {status.budget.wanted} wanted; available: {left}"))
    if status.binding is not None:
        facts.append(("binding", f"Secret {status.binding.name}"))
    facts += _under_way(pool, now)
    return [Text(f"{name:<10}{words}") for name, words in facts]


def _under_way(pool: ConnectionPool, now: datetime) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    pause, going = pool.status.pause, pool.status.reconnect
    if pause is not None:
        left = f"clients wait, for {span(pause.until - now)} more" if not pause.over else "it ended by itself"
        out.append(("pause", f"{left}, since {clock(pause.since, now)}"))
    if going is not None:
        words = f"{going.phase.value}, attempt {going.attempt}, for {span(now - going.started_at)}: {going.cause}"
        out.append(("reconnect", words))
    return out


def _members(members: Sequence[InstanceStatus]) -> Table:
    names = (("instance", ""), ("ready", ""), ("version", ""), ("role", ""), ("config", ""))
    numbers = (("in use", "right"), ("waiting", "right"), ("clients", "right"))
    table = section("Instances", *names, *numbers, ("why", ""))
    for member in sorted(members, key=lambda m: m.name):
        table.add_row(
            member.name,
            Text("yes", style="green") if member.ready else Text("no", style="yellow"),
            member.version or "-",
            _verdict(member.role_correct, "right", "wrong"),
            _verdict(member.config_current, "current", "old"),
            f"{member.in_use}/{member.size}",
            str(member.waiting),
            str(member.clients),
            Text(member.message or "", style="dim"),
        )
    return table


def _verdict(value: bool | None, good: str, bad: str) -> Text:
    return Text("-") if value is None else Text(good, style="green") if value else Text(bad, style="bold red")


def _score(pool: ConnectionPool) -> Table:
    score = pool.status.score
    table = section(f"Score: {'-' if score is None else score} of 100", ("part", ""), ("points", "right"), ("why", ""))
    for part in pool.status.score_parts:
        table.add_row(part.name, f"{part.points}/{part.of}", Text(part.why, style="dim"))
    return table


def _holders(budget: BudgetStatus) -> Table:
    table = section("Others at the server", ("holder", ""), ("connections", "right"))
    for holder in budget.holders:
        table.add_row(holder.name, str(holder.connections))
    return table


def _reconnects(pool: ConnectionPool, now: datetime) -> Table:
    columns = (("began", ""), ("took", "right"), ("after the server", "right"), ("tries", "right"), ("cause", ""))
    table = section("Reconnects", *columns)
    for past in pool.status.reconnects:
        table.add_row(
            clock(past.started_at, now).removesuffix(" UTC"),
            _seconds(past.started_at, past.ended_at),
            "-" if past.server_at is None else _seconds(past.server_at, past.ended_at),
            str(past.attempts),
            Text(past.cause, style="dim"),
        )
    return table


def _seconds(start: datetime, end: datetime) -> str:
    seconds = max(0.0, (end - start).total_seconds())
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)


def _insights(pool: ConnectionPool) -> list[RenderableType]:
    insights = pool.status.insights
    if insights is None:
        return []
    if not insights.available:
        return [Text(), Text.assemble(("No insights: ", "yellow"), insights.message)]
    out: list[RenderableType] = []
    if insights.slow:
        slow = f"Slower than {pool.spec.health_check.slow_threshold_ms} ms"
        out += [Text(), _statements(slow, insights.slow, follows=False)]
    if insights.repeated:
        out += [Text(), _statements("Suspected of N+1", insights.repeated, follows=True)]
    return out


def _statements(title: str, statements: Sequence[StatementInsight], *, follows: bool) -> Table:
    numbers = (("calls", "right"), ("mean", "right"), ("rows a call", "right"))
    follow = (("follows", ""),) if follows else ()
    table = section(title, ("query id", ""), *numbers, *follow, ("statement", ""))
    for found in statements:
        table.add_row(
            found.query_id,
            str(found.calls),
            f"{found.mean_ms} ms",
            found.rows_per_call,
            *([found.follows or "-"] if follows else []),
            Text(found.text, style="dim"),
        )
    return table


def _name(pool: ConnectionPool) -> str:
    return str(pool.metadata.get("name", ""))
