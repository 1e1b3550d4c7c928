"""What the demo measured of the models: how soon users had another one, and how they got the better one back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hack.demo.figures import seconds_of
from hack.load import Outcome, Record
from hack.rig.api import Json
from hack.rig.told import condition_of

#: What is asked of the operator: two probes in a row that fail, and two seconds more, on a machine that does much else.
ACTED_GOAL: Final = 15.0
#: From then on, until the last replica was seen to follow.
PROVED_GOAL: Final = 10.0
STAGES: Final = (5, 25, 100)
#: The switches that the demo brings about.
WANTED: Final = (("Failover", "fallback"), ("Failback", "primary"))
#: A request may be sent that much later than it was due, where the machine is busy.
_LATE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class FailedOver:
    """The model that served died. Times are in seconds, `died` since the epoch."""

    died: float
    #: From its death until traffic was told to go elsewhere.
    acted: float
    #: From then on, until every replica was seen to serve the other model.
    proved: float
    #: Replicas that were seen to, by their addresses, and those that there are.
    replicas: Sequence[str]
    wanted: Sequence[str]

    @classmethod
    def of(cls, past: Json, status: Json, *, died: float, envoys: Sequence[str]) -> FailedOver:
        """From the entry in the route's status, and the status when it was proved."""
        decided = seconds_of(past["startedAt"])
        return cls(
            died=died,
            acted=max(0.0, decided - died),
            # One that another switch overtook was never proved, but that one was.
            proved=seconds_of(past.get("provedAt") or past["endedAt"]) - decided,
            replicas=_following(status, past["to"]),
            wanted=sorted(envoys),
        )

    @property
    def end(self) -> float:
        """When it was proved, in seconds since the epoch."""
        return self.died + self.acted + self.proved

    @property
    def is_good(self) -> bool:
        """Whether it was soon enough, and proved everywhere."""
        in_time = self.acted <= ACTED_GOAL and self.proved <= PROVED_GOAL
        return in_time and bool(self.wanted) and self.replicas == self.wanted


@dataclass(frozen=True)
class FailedBack:
    """The better model answered again, and got its traffic back."""

    #: Seconds from its first answer until it had all of the traffic and the switch was over.
    took: float
    stages: Sequence[int]
    replicas: Sequence[str]
    wanted: Sequence[str]
    result: str

    @classmethod
    def of(
        cls, past: Json, status: Json, *, revived: float, stages: Sequence[int], envoys: Sequence[str]
    ) -> FailedBack:
        """From the entry in the route's status, and the status when it was proved."""
        took = seconds_of(past["endedAt"]) - revived
        return cls(took, tuple(stages), _following(status, past["to"]), sorted(envoys), str(past["result"]))

    @property
    def is_good(self) -> bool:
        """Whether it went by all stages, and was proved everywhere."""
        return self.result == "Switched" and tuple(self.stages) == STAGES and self.replicas == self.wanted


@dataclass(frozen=True)
class Asked:
    """What became of users' requests. `failed` counts those until the failover was proved, `outside` all others."""

    sent: int
    failed: int
    outside: int
    #: Answers by model.
    answered: Mapping[str, int] = field(default_factory=dict)
    #: Why those outside failed, and how often.
    reasons: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Collection[Record], failed_over: FailedOver | None) -> Asked:
        """Add them up."""
        failed = [record for record in records if record.outcome is not Outcome.OK]
        outside = [record for record in failed if failed_over is None or not _between(record, failed_over)]
        answered = Counter(r.release for r in records if r.outcome is Outcome.OK and r.release)
        reasons = Counter(r.reason or f"status {r.status} of {r.release}" for r in outside)
        return cls(
            len(records), len(failed) - len(outside), len(outside), dict(sorted(answered.items())), dict(reasons)
        )


@dataclass(frozen=True)
class ModelFigures:
    """The figures of the models. None stands for what was not measured; `skipped` says why nobody could look."""

    ready: bool = False
    #: What its condition Ready says.
    state: str = "it was not looked at"
    asked: Asked | None = None
    failed_over: FailedOver | None = None
    failed_back: FailedBack | None = None
    #: Switches that nothing of the demo asked for.
    flaps: int | None = None
    skipped: str | None = None

    @classmethod
    def of(
        cls,
        route: Json | None,
        *,
        records: Collection[Record] | None,
        failed_over: FailedOver | None,
        failed_back: FailedBack | None,
        switches: Collection[tuple[str, str]] | None,
        skipped: str | None,
    ) -> ModelFigures:
        """Judge the route as it is now, None when it is not there, beside what was measured."""
        ready = condition_of(route or {}, "Ready") or {}
        return cls(
            ready=ready.get("status") == "True",
            state=f"{ready['reason']}: {ready['message']}" if ready else "the operator has not looked at it",
            asked=None if records is None else Asked.of(records, failed_over),
            failed_over=failed_over,
            failed_back=failed_back,
            flaps=None if switches is None else (Counter(switches) - Counter(WANTED)).total(),
            skipped=skipped,
        )

    @property
    def is_good(self) -> bool:
        """Whether all was as it should be, as far as this machine can see."""
        if self.skipped is not None:
            return self.ready
        asked = self.asked is not None and self.asked.sent > 0 and self.asked.outside == 0
        moved = all(part is not None and part.is_good for part in (self.failed_over, self.failed_back))
        return self.ready and asked and moved and self.flaps == 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        over, back, asked = self.failed_over, self.failed_back, self.asked
        return {
            "failover": over
            and {
                "actedSeconds": round(over.acted, 3),
                "provedSeconds": round(over.proved, 3),
                "replicas": len(over.replicas),
                "replicasWanted": len(over.wanted),
            },
            "failback": back
            and {
                "seconds": round(back.took, 3),
                "stages": list(back.stages),
                "replicas": len(back.replicas),
                "replicasWanted": len(back.wanted),
                "result": back.result,
            },
            "sent": asked and asked.sent,
            "failedInFailover": asked and asked.failed,
            "failedOutside": asked and asked.outside,
            "answered": asked and dict(asked.answered),
            "flaps": self.flaps,
            "ready": self.ready,
            "skipped": self.skipped,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Rows of the table at the end, for people."""
        out = [("the route to simulated models at the end", self.state)]
        if self.skipped is not None:
            return [*out, ("its failover and failback", f"left out: {self.skipped}")]
        over, back, asked = self.failed_over, self.failed_back, self.asked
        times = ("-", "-") if over is None else (f"{over.acted:.1f} s", f"{over.proved:.1f} s{_everywhere(over)}")
        shares = " / ".join(map(str, STAGES))
        took = "-" if back is None else f"{back.took:.1f} s{_everywhere(back)}"
        return [
            *out,
            (f"from the model's death until traffic was moved, goal {ACTED_GOAL:.0f} s", times[0]),
            (f"from then until every replica was seen to follow, goal {PROVED_GOAL:.0f} s", times[1]),
            ("requests that failed until then", "-" if asked is None else f"{asked.failed} of {asked.sent}"),
            ("requests that failed at any other time, goal 0", "-" if asked is None else str(asked.outside)),
            (f"stages of the failback, goal {shares} %", "-" if back is None else f"{_slashed(back.stages)} %"),
            ("from its first answer until the model had all traffic again", took),
            ("switches that nothing asked for, goal 0", "-" if self.flaps is None else str(self.flaps)),
            *((f"completions by {name}", str(count)) for name, count in (asked.answered if asked else {}).items()),
            *((f"LOST: {reason}", str(count)) for reason, count in (asked.reasons if asked else {}).items()),
        ]


def _following(status: Json, name: str) -> list[str]:
    """Replicas that serve that model by the newest revision."""
    replicas = status.get("replicas") or []
    return sorted(r["name"] for r in replicas if r.get("revision") == status.get("revision") and r.get("model") == name)


def _between(record: Record, failed_over: FailedOver) -> bool:
    """Whether nobody could have answered it: it was due before the failover was proved."""
    return failed_over.died - _LATE_SECONDS <= record.scheduled < failed_over.end


def _everywhere(part: FailedOver | FailedBack) -> str:
    return f", at {len(part.replicas)} of {len(part.wanted)} replicas"


def _slashed(stages: Sequence[int]) -> str:
    return " / ".join(map(str, stages)) or "none"
