"""What the demo measured: requests by release and stage, and how long a fault reached users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hack.load import Outcome, Record


@dataclass(frozen=True)
class StageFigures:
    """Traffic while a release had one weight."""

    release: str
    weight_percent: int
    requests: int
    share_percent: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "release": self.release,
            "weightPercent": self.weight_percent,
            "requests": self.requests,
            "sharePercent": self.share_percent,
        }


def seconds_of(timestamp: str) -> float:
    """Epoch seconds of an RFC 3339 time."""
    return datetime.fromisoformat(timestamp).timestamp()


def stage_spans(release: Mapping[str, Any]) -> list[tuple[int, float, float]]:
    """(weight in percent, from, until) in epoch seconds for each weight that was observed in the traffic."""
    transitions = (release.get("status") or {}).get("transitions", [])
    spans: list[tuple[int, float, float]] = []
    for at, transition in enumerate(transitions):
        if transition["reason"] == "WeightObserved":
            after = transitions[at + 1] if at + 1 < len(transitions) else transition
            weight = int(transition.get("weightPercent", 0))
            spans.append((weight, seconds_of(transition["time"]), seconds_of(after["time"])))
    return spans


def stage_figures(release: Mapping[str, Any], records: Sequence[Record]) -> list[StageFigures]:
    """Share of the users' requests that the release answered, stage by stage."""
    name = release["metadata"]["name"]
    out = []
    for weight, begin, end in stage_spans(release):
        answered = [r for r in records if begin <= r.started < end and r.release]
        mine = sum(r.release == name for r in answered)
        share = 100 * mine / len(answered) if answered else 0.0
        out.append(StageFigures(name, weight, len(answered), round(share, 1)))
    return out


def fault_to_all_stable_seconds(bad: str, records: Sequence[Record]) -> float | None:
    """Seconds from the first answer that the bad release spoiled to the last answer it gave to a user at all."""
    spoiled = [r.started for r in records if r.release == bad and r.outcome is Outcome.APP_ERROR]
    last = [r.ended for r in records if r.release == bad]
    return max(last) - min(spoiled) if spoiled and last else None
