"""Renders the settings that `parameters` of a ConnectionPool and of a CacheTier take, and those that they do not."""

from __future__ import annotations

from collections.abc import Callable

from sophia_operator.api import redis_parameters
from sophia_operator.api.parameter_table import ParameterTable
from sophia_operator.api.pool_parameters import ALLOWED, OLDEST, TABLE

Cell = Callable[[str], str]


def render_parameters(cell: Cell) -> str:
    """The chapters, in Markdown. `cell` makes text fit into a table."""
    lines = [
        "## Parameters of a ConnectionPool",
        "",
        "What `spec.parameters` takes, as text. A setting that a version of PgBouncer does not know is left out of its "
        "configuration.",
        "",
        "| setting | value | from PgBouncer |",
        "|---|---|---|",
    ]
    for name, parameter in sorted(ALLOWED.items()):
        since = "" if parameter.since == OLDEST else ".".join(str(part) for part in parameter.since)
        lines.append(f"| `{name}` | {cell(parameter.kind.needs)} | {since} |")
    lines += [
        *_others(TABLE),
        "",
        "## Parameters of a CacheTier",
        "",
        "What `spec.redis.managed.parameters` takes, as text. Nodes take all of them over live.",
        "",
        "| setting | value |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {cell(kind.needs)} |" for name, kind in sorted(redis_parameters.ALLOWED.items())]
    return "\n".join([*lines, *_others(redis_parameters.TABLE), ""])


def _others(table: ParameterTable) -> list[str]:
    lines = ["", "These settings have fields of their own:", "", "| setting | field |", "|---|---|"]
    lines += [f"| `{name}` | `spec.{field}` |" for name, field in sorted(table.fields.items())]
    reserved = ", ".join(f"`{name}`" for name in sorted(table.reserved))
    return [*lines, "", f"These are the operator's, since {table.since}: {reserved}."]
