"""The demo's screen: the rollout as `kubectl sophia status` draws it, and the books of the load beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hack.demo.figures import StageFigures
from hack.load import Load, Report
from hack.rig.services import Service
from sophia_operator.cli.objects import parse_release, parse_service
from sophia_operator.cli.picture import draw
from sophia_operator.core.situation import Situation, situate

_LOOK_SECONDS = 0.5


def situation_of(service: Service) -> Situation:
    """The service and its releases as they are now."""
    releases = service.api.list("Release", service.namespace, f"sophia.ai/service={service.name}")
    return situate(parse_service(service.object()), [parse_release(r) for r in releases], datetime.now(UTC))


def watch(console: Console, service: Service, load: Load, over: Callable[[Situation], bool], *, seconds: float) -> None:
    """Show the rollout until `over` says so. Raises TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    before = ""
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            situation = situation_of(service)
            if console.is_terminal:
                live.update(Group(draw(situation, datetime.now(UTC)), _books(load.report())), refresh=True)
            else:
                before = _say(console, situation, before)
            if over(situation):
                return
            if time.monotonic() > end:
                raise TimeoutError(f"{service.name} took longer than {seconds:.0f} s: {situation.service.status}")
            time.sleep(_LOOK_SECONDS)


def _say(console: Console, situation: Situation, before: str) -> str:
    """Without a terminal: one line a change."""
    line = situation.service.status.summary or "the operator has not looked at it yet"
    if line != before:
        console.print(f"  {datetime.now(UTC):%H:%M:%S}  {line}", soft_wrap=True)
    return line


def _books(report: Report) -> Text:
    lost = ("0 lost", "green") if report.lost == 0 else (f"{report.lost} lost", "bold red")
    return Text.assemble(
        f"  load: {report.sent} requests sent, ",
        lost,
        f", {report.repeated} sent twice, {report.app_errors} errors of the app's own",
    )


def table(report: Report, stages: list[StageFigures], fault_seconds: float | None) -> Table:
    """The figures at the end."""
    out = Table(title="What the load saw", title_justify="left", show_header=False)
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
    return out
