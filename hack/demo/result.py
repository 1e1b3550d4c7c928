"""What came of the demo, for people and in `out/demo.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from hack.demo import show
from hack.demo.figures import StageFigures, fault_to_all_stable_seconds, stage_figures
from hack.load import Load, Report
from hack.rig.api import Json

OUT: Final = Path("out/demo.json")


@dataclass(frozen=True)
class Result:
    """The figures, and what the two changes ended as. `failure` says what cut the demo short; None: it was whole."""

    report: Report
    promoted: bool
    rolled_back: bool
    fault_seconds: float | None
    stages: list[StageFigures]
    failure: str | None

    @classmethod
    def of(cls, good: Json | None, bad: Json | None, load: Load, failure: str | None) -> Result:
        """Judge the good and the bad release as they are now, None for one that is not there."""
        records = load.records[:]
        stages = [figures for release in (good, bad) if release for figures in stage_figures(release, records)]
        fault_seconds = fault_to_all_stable_seconds(bad["metadata"]["name"], records) if bad else None
        ends = _state(good) == "Promoted", _state(bad) == "RolledBack"
        return cls(Report.of(records), *ends, fault_seconds, stages, failure)

    @property
    def is_good(self) -> bool:
        """Whether all was as it should be."""
        return self.failure is None and self.promoted and self.rolled_back and self.report.lost == 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "sent": self.report.sent,
            "lost": self.report.lost,
            "repeated": self.report.repeated,
            "promoted": self.promoted,
            "rolledBack": self.rolled_back,
            "faultToAllStableSeconds": None if self.fault_seconds is None else round(self.fault_seconds, 2),
            "errorsOnPurpose": self.report.app_errors,
            "stages": [stage.to_json() for stage in self.stages],
            "failure": self.failure,
        }


def forget() -> None:
    """Remove what an earlier run wrote: it must not be taken for this one's."""
    OUT.unlink(missing_ok=True)
    log().unlink(missing_ok=True)


def log() -> Path:
    """File with one line for each request."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    return OUT.with_name("demo-requests.jsonl")


def tell(console: Console, result: Result, bad: Json | None) -> None:
    """Write the figures down, and show them."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result.to_json(), indent=2) + "\n")
    console.print(show.table(result.report, result.stages, result.fault_seconds))
    outcome = _status(bad).get("outcome")
    if bad and outcome:
        console.print(f"Why {bad['metadata']['name']} went back: {outcome.get('reason')}: {outcome.get('message')}")


def _state(release: Json | None) -> str | None:
    return _status(release).get("state")


def _status(release: Json | None) -> Mapping[str, Any]:
    return (release or {}).get("status") or {}
