"""Cache tiers as people see them: a list, and the picture of one that `kubectl sophia cache status` draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sophia_operator.api.cache_tier import CacheTier
from sophia_operator.api.cache_tier_status import FlushStatus, NamespaceStatus, NodeStatus, WarmUpStatus
from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.cli import tables
from sophia_operator.cli.health import is_well
from sophia_operator.cli.sections import section
from sophia_operator.core.words import clock, count, span

#: What clients need to be true. While it is not known, it is not held against the tier.
_NEEDED: Final = (ConditionType.HEALTHY,)
_REMARKS: Final = (
    *_NEEDED,
    ConditionType.WITHIN_QUOTA,
    ConditionType.HIT_RATIO_ON_TARGET,
    ConditionType.LIVE_CONFIG_APPLIED,
)
_MEBIBYTE: Final = 1024 * 1024


def is_healthy(tier: CacheTier) -> bool:
    """Whether clients are served and nothing waits for a person. Nodes that are being replaced are no illness."""
    return is_well(tier.status.conditions, _NEEDED)


def listed(items: Sequence[CacheTier], now: datetime, *, namespaces: bool) -> Table:
    """One line a tier."""
    table = tables.plain(
        *(["namespace"] if namespaces else []),
        *("name", "level", "ready", "healthy", "primary", "used", "keys", "hits", "score", "age", "state"),
    )
    for item in sorted(items, key=lambda i: (str(i.metadata.get("namespace", "")), _name(i))):
        status = item.status
        healthy = find(status.conditions, ConditionType.HEALTHY)
        ready = find(status.conditions, ConditionType.READY)
        table.add_row(
            *([str(item.metadata.get("namespace", ""))] if namespaces else []),
            _name(item),
            item.spec.level.value,
            status.ready or "-",
            tables.truth(healthy.status if healthy is not None else None),
            status.primary or "-",
            status.used or "-",
            _number(status.keys),
            _percent(status.hit_ratio_percent),
            _number(status.score),
            tables.age(item.metadata, now),
            Text("" if ready is None else ready.reason, style="dim"),
        )
    return table


def draw(tier: CacheTier, now: datetime) -> RenderableType:
    """The whole picture."""
    status = tier.status
    parts: list[RenderableType] = [_title(tier), *_facts(tier, now)]
    if status.nodes:
        parts += [Text(), _nodes(status.nodes)]
    if status.namespaces:
        parts += [Text(), _namespaces(status.namespaces, now)]
    if status.score_parts:
        parts += [Text(), _score(tier)]
    if status.warm_ups:
        parts += [Text(), _warm_ups(status.warm_ups)]
    flushes = [*status.flushes, *([status.flush] if status.flush is not None else [])]
    if flushes:
        parts += [Text(), _flushes(flushes, now)]
    if status.failovers:
        parts += [Text(), _failovers(tier, now)]
    remarks = list(_remarks(tier))
    return Group(*parts, *([Text(), Rule(style="dim"), *remarks] if remarks else []))


def _remarks(tier: CacheTier) -> Iterator[RenderableType]:
    for kind in _REMARKS:
        found = find(tier.status.conditions, kind)
        if found is not None and found.status is not ConditionStatus.TRUE:
            yield Text.assemble((f"{kind.value} is {found.status.value}", "yellow"), f": {found.message}")


def _title(tier: CacheTier) -> RenderableType:
    spec, status = tier.spec, tier.status
    paused = ", paused" if spec.paused else ""
    title = Text.assemble(
        (_name(tier), "bold"), (f"  in {tier.metadata.get('namespace', '')}, level {spec.level.value}{paused}", "dim")
    )
    ready = find(status.conditions, ConditionType.READY)
    if ready is None or status.observed_generation < int(tier.metadata.get("generation", 0)):
        return Group(title, Text("The operator has not looked at the newest spec yet.", style="yellow"))
    good = ready.status is ConditionStatus.TRUE
    style = "green" if good else "yellow" if is_healthy(tier) else "bold red"
    return Group(title, Text.assemble(("Ready" if good else ready.reason, style), f": {ready.message}"))


def _facts(tier: CacheTier, now: datetime) -> list[RenderableType]:
    status = tier.status
    facts: list[tuple[str, str]] = []
    if len(status.chain) > 1:
        facts.append(("chain", " > ".join(status.chain)))
    if status.primary is not None:
        guarded = "; without a replica in sync it takes no writes" if status.guarded else ""
        facts.append(("primary", f"{status.primary}{guarded}"))
    if status.used is not None:
        facts.append(("memory", status.used))
    if status.keys is not None:
        others = f", {status.unclaimed_keys} of no namespace" if status.unclaimed_keys else ""
        facts.append(("keys", f"{status.keys}{others}"))
    if status.hit_ratio_percent is not None:
        facts.append(("hits", f"{status.hit_ratio_percent} %, {tier.spec.hit_ratio_target_percent} % wanted"))
    if status.latency_ms is not None:
        facts.append(("check", f"{status.latency_ms.p50} ms, 95 of 100 within {status.latency_ms.p95} ms"))
    if status.binding is not None:
        facts.append(("binding", f"Secret {status.binding.name}, ConfigMap {status.binding.config_map_name}"))
    going = status.failover
    if going is not None:
        facts.append(("failover", f"{going.phase.value}, for {span(now - going.started_at)}: {going.cause}"))
    return [Text(f"{name:<10}{words}") for name, words in facts]


def _nodes(nodes: Sequence[NodeStatus]) -> Table:
    names = (("node", ""), ("role", ""), ("ready", ""), ("in sync", ""), ("version", ""), ("config", ""))
    table = section("Nodes", *names, ("memory", "right"), ("behind", "right"), ("why", ""))
    for node in sorted(nodes, key=lambda n: n.name):
        table.add_row(
            node.name,
            node.role.value if node.role is not None else "-",
            Text("yes", style="green") if node.ready else Text("no", style="yellow"),
            _verdict(node.synced, "yes", "no"),
            node.version or "-",
            _verdict(node.config_current, "current", "old"),
            "-" if node.used_memory_megabytes is None else f"{node.used_memory_megabytes} MiB",
            "-" if node.lag_bytes is None else f"{node.lag_bytes} bytes",
            Text(node.message or "", style="dim"),
        )
    return table


def _namespaces(namespaces: Sequence[NamespaceStatus], now: datetime) -> Table:
    columns = ("keys", "memory", "of quota", "hits", "no TTL", "evicted", "scanned")
    table = section("Namespaces", ("namespace", ""), ("generation", ""), *((name, "right") for name in columns))
    for found in sorted(namespaces, key=lambda n: n.name):
        table.add_row(
            found.name,
            f"g{found.generation}",
            _number(found.keys),
            "-" if found.used_bytes is None else f"{found.used_bytes / _MEBIBYTE:.1f} MiB",
            _percent(found.quota_percent),
            _percent(found.hit_ratio_percent),
            _number(found.without_ttl_keys),
            str(found.evicted),
            "-" if found.scanned_at is None else f"{span(now - found.scanned_at)} ago",
        )
    return table


def _score(tier: CacheTier) -> Table:
    table = section(f"Score: {_number(tier.status.score)} of 100", ("part", ""), ("points", "right"), ("why", ""))
    for part in tier.status.score_parts:
        table.add_row(part.name, f"{part.points}/{part.of}", Text(part.why, style="dim"))
    return table


def _warm_ups(warm_ups: Sequence[WarmUpStatus]) -> Table:
    table = section("Warm-ups", ("release", ""), ("phase", ""), ("done", "right"), ("entries", "right"), ("why", ""))
    for warm in sorted(warm_ups, key=lambda w: w.release):
        done = (warm.release, warm.phase.value, f"{warm.percent} %", str(warm.warmed))
        table.add_row(*done, Text(warm.message, style="dim"))
    return table


def _flushes(flushes: Sequence[FlushStatus], now: datetime) -> Table:
    columns = (("flush", ""), ("phase", ""), ("began", ""), ("deleted", "right"), ("what", ""), ("why", ""))
    table = section("Flushes", *columns)
    for flush in flushes:
        began = clock(flush.started_at, now).removesuffix(" UTC")
        row = (flush.name, flush.phase.value, began, count(flush.deleted, "key"), flush.what)
        table.add_row(*row, Text(flush.message, style="dim"))
    return table


def _failovers(tier: CacheTier, now: datetime) -> Table:
    columns = (("began", ""), ("took", "right"), ("to", ""), ("planned", ""), ("lost", "right"), ("cause", ""))
    table = section("Changes of the primary", *columns)
    for past in tier.status.failovers:
        table.add_row(
            clock(past.started_at, now).removesuffix(" UTC"),
            f"{max(0.0, (past.ended_at - past.started_at).total_seconds()):.1f} s",
            past.to_node,
            "yes" if past.planned else "no",
            "-" if past.lost_bytes is None else f"{past.lost_bytes} bytes",
            Text(past.cause, style="dim"),
        )
    return table


def _verdict(value: bool | None, good: str, bad: str) -> Text:
    return Text("-") if value is None else Text(good, style="green") if value else Text(bad, style="yellow")


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _percent(value: int | None) -> str:
    return "-" if value is None else f"{value} %"


def _name(tier: CacheTier) -> str:
    return str(tier.metadata.get("name", ""))
