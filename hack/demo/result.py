"""What came of the demo, for people and in `out/demo.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from hack.demo import show
from hack.demo.cache_figures import CacheFigures
from hack.demo.figures import StageFigures, fault_to_all_stable_seconds, stage_figures
from hack.demo.healing_figures import HealingFigures
from hack.demo.model_figures import ModelFigures
from hack.demo.pool_figures import PoolFigures
from hack.load import Load, Report
from hack.rig.api import Json

OUT: Final = Path("out/demo.json")


@dataclass(frozen=True)
class Result:
    """The figures, what the two changes ended as, and how the pool, the cache, the models and the fault that
    heals itself fared.

    `failure` says what cut the demo short; None: it was whole.
    """

    report: Report
    promoted: bool
    rolled_back: bool
    fault_seconds: float | None
    stages: list[StageFigures]
    pool: PoolFigures
    cache: CacheFigures
    models: ModelFigures
    healing: HealingFigures
    failure: str | None

    @classmethod
    def of(
        cls,
        good: Json | None,
        bad: Json | None,
        load: Load,
        *,
        pool: PoolFigures,
        cache: CacheFigures,
        models: ModelFigures,
        healing: HealingFigures,
        failure: str | None,
    ) -> Result:
        """Judge the good and the bad release as they are now, None for one that is not there."""
        records = load.records[:]
        stages = [figures for release in (good, bad) if release for figures in stage_figures(release, records)]
        fault_seconds = fault_to_all_stable_seconds(bad["metadata"]["name"], records) if bad else None
        ends = _state(good) == "Promoted", _state(bad) == "RolledBack"
        return cls(Report.of(records), *ends, fault_seconds, stages, pool, cache, models, healing, failure)

    @property
    def is_good(self) -> bool:
        """Whether all was as it should be."""
        rolled = self.promoted and self.rolled_back and self.report.lost == 0
        return self.failure is None and rolled and all(part.is_good for part in self.parts)

    @property
    def parts(self) -> tuple[PoolFigures, CacheFigures, ModelFigures, HealingFigures]:
        """What was measured beside the load."""
        return self.pool, self.cache, self.models, self.healing

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
            "pool": self.pool.to_json(),
            "cache": self.cache.to_json(),
            "models": self.models.to_json(),
            "healing": self.healing.to_json(),
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
    sections = [part.rows() for part in result.parts]
    console.print(show.table(result.report, result.stages, result.fault_seconds, sections))
    outcome = _status(bad).get("outcome")
    if bad and outcome:
        console.print(f"Why {bad['metadata']['name']} went back: {outcome.get('reason')}: {outcome.get('message')}")


def _state(release: Json | None) -> str | None:
    return _status(release).get("state")


def _status(release: Json | None) -> Mapping[str, Any]:
    return (release or {}).get("status") or {}
