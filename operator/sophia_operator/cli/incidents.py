"""Memory of incidents on the command line: what was tried for a symptom, and what helped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from sophia_operator.api.recovery_action import RecoveryAction
from sophia_operator.api.recovery_values import Symptom, TargetKind
from sophia_operator.cli import tables
from sophia_operator.cli.session import CliError
from sophia_operator.core.recovery.memory import IncidentLine, incidents
from sophia_operator.core.recovery.views import ActionView
from sophia_operator.core.words import span

_GOOD_PERCENT = 80


def remembered(
    actions: Sequence[RecoveryAction], kind: TargetKind | None, symptom: Symptom | None
) -> tuple[IncidentLine, ...]:
    """What is remembered of a kind and a symptom; None: of all."""
    lines = incidents([_view(action) for action in actions])
    return tuple(
        line for line in lines if line.kind is (kind or line.kind) and line.symptom is (symptom or line.symptom)
    )


def symptom_of(named: str) -> Symptom:
    """The symptom of that name. Raises CliError with those that there are."""
    known = {symptom.value.lower(): symptom for symptom in Symptom}
    found = known.get(named.replace("-", "").lower())
    if found is None:
        raise CliError(f"{named} is no symptom; there are: {', '.join(s.value for s in Symptom)}")
    return found


def drawn(lines: Sequence[IncidentLine]) -> Table:
    """One line a symptom, kind and action; what helps most first."""
    table = tables.plain(
        "symptom", "kind", "action", "tried", "helped", "share", "worse", "false fires", "time to help"
    )
    for line in lines:
        share = Text(f"{line.percent} %", style="green" if line.percent >= _GOOD_PERCENT else "yellow")
        table.add_row(
            line.symptom.value,
            line.kind.value,
            line.action.value,
            str(line.tried),
            str(line.helped),
            share,
            str(line.worse),
            str(line.false_fires),
            span(line.seconds) if line.seconds is not None else "-",
        )
    return table


def as_json(lines: Sequence[IncidentLine]) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            "symptom": line.symptom.value,
            "kind": line.kind.value,
            "action": line.action.value,
            "tried": line.tried,
            "helped": line.helped,
            "helpedPercent": line.percent,
            "worse": line.worse,
            "falseFires": line.false_fires,
            "medianSeconds": line.seconds,
        }
        for line in lines
    ]


def _view(action: RecoveryAction) -> ActionView:
    meta = action.metadata
    made = str(meta.get("creationTimestamp") or datetime.min.replace(tzinfo=UTC).isoformat())
    return ActionView(
        namespace=str(meta.get("namespace", "")),
        name=str(meta.get("name", "")),
        uid=str(meta.get("uid", "")),
        generation=int(meta.get("generation", 0)),
        resource_version=str(meta.get("resourceVersion", "")),
        created_at=datetime.fromisoformat(made),
        spec=action.spec,
        status=action.status,
    )
