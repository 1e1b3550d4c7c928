"""Where the time of a rollout goes, read from the Release's own transitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hack.demo.figures import seconds_of
from hack.rig.api import Json


@dataclass(frozen=True)
class Split:
    """Seconds from a change's apply to its promotion. The parts add up to `wall`."""

    wall: float
    #: What the plan asks for: the sum of the stages' observeSeconds.
    stages: float
    #: Until the operator began: the Release made and started.
    begin: float
    #: Until enough pods were ready.
    provision: float
    smoke: float
    #: From each weight's decision to its sight in the traffic: written, taken up by the gateway, observed.
    observe: float
    #: From the end of each stage's time to the step that it allows.
    decide: float

    @property
    def overhead(self) -> float:
        """What the rollout took beyond its stages."""
        return self.wall - self.stages


def split(release: Json, applied: float) -> Split:
    """Of a promoted Release; `applied` is when the change was applied, in epoch seconds. Raises ValueError."""
    transitions = release["status"].get("transitions", [])
    plan = release["spec"]["snapshot"]["plan"]
    at = {name: _first(transitions, "state", name) for name in ("Provisioning", "SmokeTesting", "Shifting", "Promoted")}
    observe = decide = 0.0
    stage, entered, seen = 0, at["Shifting"], None
    for before, entry in pairwise(transitions):
        if entry["reason"] == "WeightObserved":
            seen = seconds_of(entry["time"])
            observe += seen - entered
        elif before["reason"] == "WeightObserved":
            assert seen is not None
            entered = seconds_of(entry["time"])
            decide += entered - seen - plan["stages"][stage]["observeSeconds"]
            stage += 1
    wanted = sum(s["observeSeconds"] for s in plan["stages"])
    if stage != len(plan["stages"]):
        raise ValueError(f"{release['metadata']['name']} went through {stage} of {len(plan['stages'])} stages")
    found = Split(
        wall=at["Promoted"] - applied,
        stages=wanted,
        begin=at["Provisioning"] - applied,
        provision=at["SmokeTesting"] - at["Provisioning"],
        smoke=at["Shifting"] - at["SmokeTesting"],
        observe=observe,
        decide=decide,
    )
    return Split(**{name: round(getattr(found, name), 3) for name in Split.__dataclass_fields__})


def _first(transitions: Sequence[dict[str, Any]], key: str, value: str) -> float:
    found = next((t for t in transitions if t[key] == value), None)
    if found is None:
        raise ValueError(f"the release never was {value}")
    return seconds_of(found["time"])
