"""Times, names and gates in words, the same wherever people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.gates import Gate
from sophia_operator.api.release import GateStatus

#: So many names in a sentence; of more, only how many.
_NAMED: Final = 5


def span(value: timedelta | float) -> str:
    """A length of time in at most two units, as in `3 min 12 s`; seconds when given a number. Never negative."""
    seconds = max(0, int(value.total_seconds() if isinstance(value, timedelta) else value))
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for index, (unit, size) in enumerate(units):
        if seconds >= size:
            parts = [f"{seconds // size} {unit}"]
            if index + 1 < len(units):
                smaller, small_size = units[index + 1]
                rest = seconds % size // small_size
                parts += [f"{rest} {smaller}"] if rest else []
            return " ".join(parts)
    return "0 s"


def clock(moment: datetime, now: datetime) -> str:
    """A time of day in UTC, with the date when it is another day than `now`."""
    form = "%H:%M:%S" if moment.date() == now.date() else "%Y-%m-%d %H:%M:%S"
    return f"{moment:{form}} UTC"


def count(number: int, thing: str) -> str:
    """A number and its noun, as in `1 pod` and `2 pods`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def several(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {count(more, 'other')}" if more > 0 else "")


def unit_of(gate: Gate | None) -> str:
    """Unit of the gate's value: percent, milliseconds, or none for a query of the user's own."""
    if gate is None or gate.promql is not None:
        return ""
    return " %" if gate.success_rate is not None else " ms"


def bound_of(gate: Gate | None) -> str:
    """What the gate asks for, as in `at least 99 %, at most 2 times the stable release's error share`."""
    if gate is None:
        return ""
    parts: list[str] = []
    against = "value"
    if gate.success_rate is not None:
        against = "error share"
        if gate.success_rate.min_percent is not None:
            parts.append(f"at least {gate.success_rate.min_percent} %")
    if gate.latency is not None:
        against = "latency"
        if gate.latency.max_ms is not None:
            parts.append(f"at most {gate.latency.max_ms} ms at quantile {gate.latency.quantile}")
    if gate.promql is not None:
        parts += [f"at least {gate.promql.min}"] if gate.promql.min is not None else []
        parts += [f"at most {gate.promql.max}"] if gate.promql.max is not None else []
    if gate.compared_to is not None:
        parts.append(f"at most {gate.max_ratio} times the stable release's {against}")
    return ", ".join(parts)


def value_of(status: GateStatus, gate: Gate | None) -> str:
    """The measured value with its unit; `-` when there is none."""
    if status.value is None:
        return "-"
    return status.value + (unit_of(gate) if status.value[-1:].isdigit() else "")
