"""Tables: all services, and the releases of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.api.managed_service import ManagedService
from sophia_operator.api.release import Release, ReleaseState
from sophia_operator.core.situation import Situation, name_of
from sophia_operator.core.words import span


def services(items: Sequence[ManagedService], now: datetime, *, namespaces: bool) -> Table:
    """One line a service."""
    table = plain(
        *(["namespace"] if namespaces else []), "name", "ready", "stable", "rollout", "weight", "pods", "age", "state"
    )
    for item in sorted(items, key=lambda i: (str(i.metadata.get("namespace", "")), name_of(i))):
        status = item.status
        ready = find(status.conditions, ConditionType.READY)
        rollout = "" if status.rollout is None else f"{status.rollout.name} {status.rollout.phase or ''}".strip()
        table.add_row(
            *([str(item.metadata.get("namespace", ""))] if namespaces else []),
            name_of(item),
            truth(ready.status if ready is not None else None),
            status.stable.name if status.stable is not None else "-",
            rollout or "-",
            status.weight or "-",
            f"{status.ready_replicas}/{status.replicas}" if status.conditions else "-",
            age(item.metadata, now),
            Text("" if ready is None else ready.reason, style="dim"),
        )
    return table


def history(s: Situation, now: datetime) -> Table:
    """One line a release, the newest first."""
    table = plain("release", "state", "reason", "started", "took", "images", "message")
    for release in reversed(s.releases):
        status = release.status
        reason, message = _why(release)
        table.add_row(
            name_of(release),
            Text(_part(s, release), style=_style(release, s)),
            reason,
            "-" if status.started_at is None else f"{span(now - status.started_at)} ago",
            _took(release),
            ", ".join(images(release)),
            Text(message, style="dim"),
        )
    return table


def images(release: Release) -> list[str]:
    """Images of the release's containers, without the registry and path."""
    containers = (release.spec.snapshot.template.get("spec") or {}).get("containers") or []
    return [str(c.get("image", "")).rsplit("/", 1)[-1] for c in containers if isinstance(c, dict)]


def _why(release: Release) -> tuple[str, str]:
    outcome, steps = release.status.outcome, release.status.transitions
    if outcome is not None and release.status.state is not ReleaseState.PROMOTED:
        return outcome.reason, outcome.message
    return (steps[-1].reason, steps[-1].message) if steps else ("-", "")


def _took(release: Release) -> str:
    started, ended = release.status.started_at, release.status.ended_at
    return span(ended - started) if started is not None and ended is not None and ended >= started else "-"


def _part(s: Situation, release: Release) -> str:
    if release is s.stable:
        return "Promoted, serves"
    if release is s.previous:
        return "Promoted, kept"
    return release.status.phase or release.status.state.value


def _style(release: Release, s: Situation) -> str:
    if release is s.stable:
        return "green"
    return "red" if release.status.state.is_latched else ""


def show(console: Console, table: Table) -> None:
    """Print a table: whole into a file or a pipe; in a terminal only the columns that fit, from the left.

    Only sentences may be folded: a name in two lines, or cut short, cannot be copied.
    """
    if not console.is_terminal:
        console.width = max(console.width, _width(table, None))
    while len(table.columns) > 1 and _width(table, _READABLE) > console.width:
        table.columns.pop()
    console.print(table)


_GAP: Final = 2
#: Columns that a sentence needs to be read in.
_READABLE: Final = 24


def _width(table: Table, longest_sentence: int | None) -> int:
    """Cells that the table takes, with sentences folded to so many cells, or not folded at all."""
    total = 0
    for column in table.columns:
        widest = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        if longest_sentence is not None and not column.no_wrap:
            widest = min(widest, longest_sentence)
        total += widest + _GAP
    return total - _GAP


def plain(*columns: str) -> Table:
    """An empty table with these columns."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for name in columns:
        table.add_column(name.upper(), header_style="dim", overflow="fold", no_wrap=name != "message")
    return table


def truth(status: ConditionStatus | None) -> Text:
    """The status of a condition, in its colour."""
    styles = {ConditionStatus.TRUE: "green", ConditionStatus.FALSE: "yellow"}
    return Text("-") if status is None else Text(status.value, style=styles.get(status, "yellow"))


def age(metadata: dict[str, Any], now: datetime) -> str:
    """Time since the object was made."""
    try:
        created = datetime.fromisoformat(str(metadata["creationTimestamp"])).astimezone(UTC)
    except (KeyError, ValueError):
        return "-"
    return span(now - created)
