"""Figures of repeated measurements, and how a benchmark hands them over."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

OUT: Final = Path("out/bench")


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some values, and how many there were."""

    median: float
    min: float
    max: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float], digits: int = 3) -> Spread:
        """Summarize the values. Raises ValueError without any."""
        if not values:
            raise ValueError("no values to summarize")
        ordered = sorted(values)
        middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        return cls(round(middle, digits), round(ordered[0], digits), round(ordered[-1], digits), len(ordered))

    def text(self, unit: str = "s") -> str:
        """For people: `1.2 s (0.9 to 2.1)`."""
        return f"{self.median:g} {unit} ({self.min:g} to {self.max:g})"


def quantile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that at least `fraction` (0 to 1) of the values do not exceed. Raises ValueError."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(fraction * len(values)) - 1)]


def histogram_quantile(buckets: Mapping[float, float], fraction: float) -> float | None:
    """The quantile of a cumulative histogram {upper bound: count}, interpolated as Prometheus does.

    None when it is empty. In the last, unbounded bucket it is the greatest bound.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank = fraction * buckets[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return lower
            inside = buckets[bound] - below
            return lower + (bound - lower) * ((rank - below) / inside if inside else 1.0)
        lower, below = bound, buckets[bound]
    return lower


def machine() -> dict[str, Any]:
    """What the figures were taken on, and how busy it was (load average of the last minute)."""
    return {
        "cpus": os.cpu_count(),
        "loadAverage1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def write(name: str, parameters: Mapping[str, Any], figures: Mapping[str, Any], before: Mapping[str, Any]) -> Path:
    """Write `out/bench/<name>.json`. `before` is what `machine` said at the beginning."""
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    whole = {
        "benchmark": name,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**before, "loadAverage1mAtEnd": machine()["loadAverage1m"]},
        "parameters": dict(parameters),
        **{key: asdict(value) if isinstance(value, Spread) else value for key, value in figures.items()},
    }
    path.write_text(json.dumps(whole, indent=2, default=_plain) + "\n")
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, Spread):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table for people; the first column is what the row is about."""
    out = Table(title=title, title_justify="left")
    for at, column in enumerate(columns):
        out.add_column(column, justify="left" if at == 0 else "right")
    for row in rows:
        out.add_row(*row)
    return out


def show(tables: Sequence[Table], path: Path) -> None:
    """Print the tables, and where the figures are."""
    console = Console()
    for each in tables:
        console.print(each)
    console.print(f"Figures: {path}")
