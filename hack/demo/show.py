"""The demo's screen: the rollout as `kubectl sophia status` draws it, and the books of the load beside it.

The pool is drawn as `kubectl sophia pool` does, the cache as `kubectl sophia cache status` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hack.demo import looking
from hack.demo.figures import StageFigures
from hack.demo.looking import Frame, Lines, look_on, step
from hack.demo.orders import Orders
from hack.demo.shelf import FLUSH_KEYS, Shelf
from hack.load import Load, Report
from hack.rig.api import Json
from hack.rig.cache_writes import Books as CacheBooks
from hack.rig.failovers import Course
from hack.rig.services import Service
from hack.rig.told import condition_of
from hack.rig.transactions import Books
from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.api.connection_pool import ConnectionPool
from sophia_operator.cli.caches import draw as draw_tier
from sophia_operator.cli.objects import parse_pool, parse_release, parse_service, parse_tier
from sophia_operator.cli.picture import draw
from sophia_operator.cli.pools import draw as draw_pool
from sophia_operator.core.situation import Situation, situate


def situation_of(service: Service) -> Situation:
    """The service and its releases as they are now."""
    releases = service.api.list("Release", service.namespace, f"sophia.ai/service={service.name}")
    return situate(parse_service(service.object()), [parse_release(r) for r in releases], datetime.now(UTC))


def watch(
    console: Console,
    service: Service,
    load: Load,
    orders: Orders,
    over: Callable[[Situation], bool],
    *,
    seconds: float,
) -> None:
    """Show the rollout, and the pool in a line, until `over` says so. Raises TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    lines = Lines(console)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            situation, pool = situation_of(service), pool_of(orders)
            if console.is_terminal:
                beside = Text(f"  {_pool_line(orders, pool)}", overflow="ellipsis", no_wrap=True)
                picture = draw(situation, datetime.now(UTC))
                live.update(Group(picture, _books(load.report()), beside, _clients(orders.books())), refresh=True)
            else:
                lines.say(service.name, situation.service.status.summary or "the operator has not looked at it yet")
                lines.say(orders.name, _pool_line(orders, pool))
            if over(situation):
                return
            if time.monotonic() > end:
                raise TimeoutError(f"{service.name} took longer than {seconds:.0f} s: {situation.service.status}")
            time.sleep(looking.LOOK_SECONDS)


def watch_pool(console: Console, orders: Orders, over: Callable[[], bool], *, seconds: float) -> None:
    """Show the pool, and how far a failover under it is, until `over` says so. Raises TimeoutError after `seconds`."""

    def look() -> Frame:
        pool, now = pool_of(orders), datetime.now(UTC)
        picture = None if pool is None else Group(draw_pool(pool, now), _clients(orders.books()))
        return Frame({orders.name: _pool_line(orders, pool)}, picture, steps_of(orders.course))

    look_on(console, orders.name, look, over, seconds=seconds)


def watch_cache(console: Console, shelf: Shelf, over: Callable[[], bool], *, seconds: float) -> None:
    """Show the cache, and what is done to it, until `over` says so. Raises TimeoutError after `seconds`."""

    def look() -> Frame:
        tier = shelf.object()
        told = {shelf.name: _cache_line(shelf.name, tier)}
        if (flush := _flush_line(tier)) is not None:
            told["flush"] = flush
        picture = (
            None if tier is None else Group(draw_tier(parse_tier(tier), datetime.now(UTC)), _writer(shelf.books()))
        )
        return Frame(told, picture, [step(at, words) for at, words in shelf.steps()])

    look_on(console, shelf.name, look, over, seconds=seconds)


def pool_of(orders: Orders) -> ConnectionPool | None:
    """The pool as it is now, None while there is none."""
    found = orders.object()
    return None if found is None else parse_pool(found)


def steps_of(course: Course) -> list[str]:
    """What the demo did to the database, and what the pool made of it, one line each."""
    steps: list[tuple[float, str]] = []
    if course.died_at is not None:
        steps.append((course.died_at, f"{course.old}, the primary, is killed; nobody tells the pool"))
        if course.noticed_at is not None:
            after = max(0.0, course.noticed_at - course.died_at)
            steps.append((course.noticed_at, f"the pool noticed, after {after:.1f} s, and waits for a primary"))
    if course.promotion is not None:
        words = f"{course.promotion.pod}, the standby, was promoted: now the pool has to find it"
        steps.append((course.promotion.promoted_at, words))
    return [step(at, words) for at, words in steps]


def _pool_line(orders: Orders, pool: ConnectionPool | None) -> str:
    """The pool in a line that changes when its state does, not with every figure."""
    ready = None if pool is None else find(pool.status.conditions, ConditionType.READY)
    if pool is None or ready is None:
        return f"pool {orders.name}: the operator has not looked at it yet"
    going = pool.status.reconnect
    if going is not None:
        return f"pool {orders.name} {going.phase.value}: {going.cause}"
    server = pool.status.server
    serves = server is not None and ready.status is ConditionStatus.TRUE
    where = f" by {server.address}, {server.role}" if server is not None and serves else ""
    return f"pool {orders.name} {ready.reason}: {ready.message}{where}"


def _clients(books: Books | None) -> Text:
    if books is None:
        return Text("  clients of the pool: none yet")
    failed = len(books.lost) + len(books.refused)
    words = (f"{failed} failed", "green" if failed == 0 else "yellow")
    return Text.assemble(f"  clients of the pool: {books.committed} transactions committed, ", words)


def _cache_line(name: str, tier: Json | None) -> str:
    """The tier in a line that changes when its state does, not with every figure."""
    status: dict[str, Any] = (tier or {}).get("status") or {}
    ready = condition_of(tier or {}, "Ready")
    if ready is None:
        return f"cache {name}: the operator has not looked at it yet"
    going = status.get("failover")
    if going is not None:
        return f"cache {name} {going['phase']}: {going['cause']}"
    where = f" by {status['primary']}" if status.get("primary") and ready["status"] == "True" else ""
    nodes = f", {status['ready']} nodes ready" if status.get("ready") else ""
    return f"cache {name} {ready['reason']}: {ready['message']}{where}{nodes}"


def _flush_line(tier: Json | None) -> str | None:
    """How far the flush is that is under way."""
    flush = ((tier or {}).get("status") or {}).get("flush")
    if flush is None:
        return None
    why = f": {flush['message']}" if flush.get("message") else ""
    rate = f"at {flush.get('keysPerSecond', 0)} keys a second"
    return f"flush {flush['phase'].lower()}: {flush.get('deleted', 0)} of {FLUSH_KEYS} keys gone, {rate}{why}"


def _writer(books: CacheBooks | None) -> Text:
    if books is None:
        return Text("  writes to the cache: none yet")
    refused = len(books.refused)
    words = (f"{refused} refused", "green" if refused == 0 else "yellow")
    return Text.assemble(f"  writes to the cache: {len(books.acknowledged)} acknowledged, ", words)


def _books(report: Report) -> Text:
    lost = ("0 lost", "green") if report.lost == 0 else (f"{report.lost} lost", "bold red")
    return Text.assemble(
        f"  load: {report.sent} requests sent, ",
        lost,
        f", {report.repeated} sent twice, {report.app_errors} errors of the app's own",
    )


def table(
    report: Report,
    stages: list[StageFigures],
    fault_seconds: float | None,
    sections: Iterable[Sequence[tuple[str, str]]],
) -> Table:
    """The figures at the end; below those of the load, sections of rows."""
    title = "What the load saw, and the clients of the pool, of the cache and of the models"
    out = Table(title=title, title_justify="left", show_header=False)
    out.add_row("requests sent", str(report.sent))
    out.add_row("requests lost", str(report.lost))
    out.add_row("requests sent twice, as their kept connection had closed", str(report.repeated))
    out.add_row("errors that the bad release made on purpose", str(report.app_errors))
    for name, count in report.releases.items():
        out.add_row(f"answered by {name}", f"{count} ({report.shares[name]:.1%})")
    for stage in stages:
        words = f"{stage.share_percent:.1f} % of {stage.requests} requests"
        out.add_row(f"{stage.release} at {stage.weight_percent} %", words)
    spoiled = "-" if fault_seconds is None else f"{fault_seconds:.1f} s"
    out.add_row("from the first fault to the last answer of the bad release", spoiled)
    for reason, count in report.lost_reasons.items():
        out.add_row(f"LOST: {reason}", str(count))
    for rows in sections:
        out.add_section()
        for row in rows:
            out.add_row(*row)
    return out
