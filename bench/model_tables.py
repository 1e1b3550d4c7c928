"""What was measured of failovers of models, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

from bench.figures import Spread, table

#: A request that failed or was slow so shortly before the end says that it would have gone on.
_GOES_ON_SECONDS: Final = 0.5
_DONE: Final = {"killed": "is killed", "hangs": "hangs"}
_SECONDS: Final = {"decided": "operator had decided", "proved": "every replica had followed"}
_ROWS: Final = {
    "first": ("first answer of another model", "s"),
    "last_trouble": ("last request that failed or was slow", "s"),
    "failed": ("requests that failed", ""),
    "slow": ("requests that were slow", ""),
    "p50": ("p50", "ms"),
    "p99": ("p99", "ms"),
}


def tables(found: Mapping[str, Any]) -> list[Table]:
    """One for each fault of each gateway."""
    return [
        _table(case, fault, part, found)
        for case, whole in found["cases"].items()
        for fault, part in whole["faults"].items()
    ]


def _table(case: str, fault: str, part: Mapping[str, Any], found: Mapping[str, Any]) -> Table:
    window, goal = found["windowSeconds"][fault], found["goalSeconds"][fault]
    modes, compared = part["modes"], part["ratios"]
    operator, alone = modes["operator"], modes.get("built-in")
    columns = ["median (worst)", *(["gateway alone", "with the operator", "ratio"] if alone else ["with the operator"])]
    rows = []
    for name, words in _SECONDS.items():
        rows.append((words, *(["", _text(operator[name], "s"), ""] if alone else [_text(operator[name], "s")])))
    for name, (words, unit) in _ROWS.items():
        mine = _text(operator[name], unit)
        if alone is None or compared is None:
            rows.append((words, mine))
            continue
        other = _text(alone[name], unit)
        if name == "last_trouble" and _goes_on(alone[name], window):
            other = f"still at {window:g} s"
        rows.append((words, other, mine, _ratio(compared.get(name))))
    count = len(operator["rounds"])
    verdict = f"{part['within']} of {count}" + ("" if part["met"] else ": MISSED")
    rows.append((f"rounds proved below {goal:g} s", *(["", verdict, ""] if alone else [verdict])))
    if spoiled := sum(each["spoiled"] for each in modes.values()):
        rows.append(("rounds that were spoiled", *(["", str(spoiled), ""] if alone else [str(spoiled)])))
    asked = f"{operator['sent'].median:g} requests in {window:g} s" if operator["sent"] else "no sound round"
    return table(f"{case}: the model that serves {_DONE[fault]}; {asked}", columns, rows)


def _text(spread: Spread | None, unit: str) -> str:
    return "-" if spread is None else f"{spread.median:g} ({spread.max:g}) {unit}".rstrip()


def _ratio(of: Mapping[str, float | None] | None) -> str:
    if of is None:
        return "-"
    median, worst = ("-" if value is None else f"{value:g}" for value in (of["median"], of["worst"]))
    return f"{median} ({worst})"


def _goes_on(spread: Spread | None, window: float) -> bool:
    return spread is not None and spread.median > window - _GOES_ON_SECONDS
