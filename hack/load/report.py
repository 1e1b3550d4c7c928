"""Add records up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hack.load.records import Outcome, Record


@dataclass(frozen=True)
class Report:
    """The sum of some records.

    ``repeated`` counts requests that were sent twice, since a kept connection broke before it answered: nobody lost
    them, but where connections break without need, it shows here. ``releases`` counts answers by the release that gave
    them, ``shares`` is the same as fractions of 1,
    ``app_errors_by_release`` and ``faults`` break the app's own errors down, ``lost_reasons`` the lost requests.
    Latencies are in milliseconds from the scheduled time; ``late_ms`` is the 99th percentile of how late requests
    were sent: if it is large, the generator (not the service) was short of CPU. None where there is nothing to measure.
    """

    sent: int
    ok: int
    lost: int
    app_errors: int
    repeated: int
    seconds: float
    releases: dict[str, int]
    shares: dict[str, float]
    app_errors_by_release: dict[str, int]
    faults: dict[str, int]
    lost_reasons: dict[str, int]
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    late_ms: float | None

    @classmethod
    def of(cls, records: Sequence[Record]) -> Report:
        """Add up ``records`` (in any order)."""
        outcomes = Counter(record.outcome for record in records)
        releases = Counter(record.release for record in records if record.release is not None)
        answered = sum(releases.values())
        latencies = sorted(record.latency * 1000 for record in records if record.status)
        lateness = sorted((record.started - record.scheduled) * 1000 for record in records)
        errors = [record for record in records if record.outcome is Outcome.APP_ERROR]
        return cls(
            sent=len(records),
            ok=outcomes[Outcome.OK],
            lost=outcomes[Outcome.LOST],
            app_errors=outcomes[Outcome.APP_ERROR],
            repeated=sum(record.repeated for record in records),
            seconds=max(r.ended for r in records) - min(r.scheduled for r in records) if records else 0.0,
            releases=dict(sorted(releases.items())),
            shares={name: count / answered for name, count in sorted(releases.items())},
            app_errors_by_release=_count(record.release for record in errors),
            faults=_count(record.fault for record in records),
            lost_reasons=_count(record.reason for record in records),
            p50_ms=_quantile(latencies, 0.50),
            p99_ms=_quantile(latencies, 0.99),
            max_ms=latencies[-1] if latencies else None,
            late_ms=_quantile(lateness, 0.99),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, for json.dump."""
        return asdict(self)

    def text(self) -> str:
        """Return it for people, in a few lines."""
        rate = self.sent / self.seconds if self.seconds else 0.0
        lines = [
            f"sent {self.sent} in {self.seconds:.1f} s ({rate:.0f}/s): ok {self.ok}, lost {self.lost}, "
            f"app's own errors {self.app_errors}, repeated {self.repeated}",
            f"latency p50 {_ms(self.p50_ms)}, p99 {_ms(self.p99_ms)}, max {_ms(self.max_ms)}; "
            f"sent late p99 {_ms(self.late_ms)}",
        ]
        for name, count in self.releases.items():
            errors = self.app_errors_by_release.get(name, 0)
            lines.append(f"  release {name or '(unnamed)'}: {count} = {self.shares[name]:.1%}, errors {errors}")
        lines += [f"  fault {name}: {count}" for name, count in self.faults.items()]
        lines += [f"  LOST {count}: {reason}" for reason, count in self.lost_reasons.items()]
        return "\n".join(lines)


def _count(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(name for name in names if name).items()))


def _quantile(ordered: Sequence[float], fraction: float) -> float | None:
    """Return the smallest value that at least ``fraction`` of the values do not exceed."""
    if not ordered:
        return None
    rank = -int(-fraction * len(ordered) // 1)
    return ordered[max(rank, 1) - 1]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
