"""What a pass asks of the world beyond the cluster's state, and what it learned.

`needs` says, purely, which requests are due; the runtime carries them out; `advance` reads the findings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sophia_operator.api.metrics import PrometheusAccess
from sophia_operator.api.release import Color
from sophia_operator.api.smoke import SmokeTest


@dataclass(frozen=True, slots=True)
class MetricsRequest:
    """One PromQL instant query. Its answer is a set of samples told apart by the label `sophia`."""

    #: Who asks: `gate/<name>` or `share`.
    key: str
    query: str
    #: None: the operator's own default Prometheus.
    access: PrometheusAccess | None


@dataclass(frozen=True, slots=True)
class Samples:
    """An answer: value by the label `sophia` (or "" without it). NaN and infinite values are left out."""

    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class QueryRefused:
    """Prometheus does not accept the query: asking again is of no use."""

    message: str


@dataclass(frozen=True, slots=True)
class MetricsOutage:
    """No answer: not reachable, timed out, or not authorised."""

    message: str


MetricsAnswer = Samples | QueryRefused | MetricsOutage


@dataclass(frozen=True, slots=True)
class SmokeRequest:
    """One try of one smoke test."""

    test: SmokeTest
    #: Where to send it, without the path, as in `http://chat-green.shop.svc:80`.
    base_url: str
    #: Host header, when it differs from the URL's.
    host: str | None
    #: Extra headers that mark the request.
    headers: Mapping[str, str]
    #: The colour that must answer, by the Gateway's mark; None when no mark is expected.
    color: Color | None = None


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """How a try went; the message says what was wrong."""

    passed: bool
    message: str


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """Marked requests through the Gateway that show which colour answers."""

    base_url: str
    host: str | None
    path: str
    headers: Mapping[str, str]
    count: int


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How many marked requests each colour answered; `other` had no mark (or no answer)."""

    by_color: Mapping[Color, int]
    other: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """Requests that are due in this pass."""

    metrics: tuple[MetricsRequest, ...] = ()
    smoke: tuple[SmokeRequest, ...] = ()
    probe: ProbeRequest | None = None

    def __bool__(self) -> bool:
        return bool(self.metrics or self.smoke or self.probe)


@dataclass(frozen=True, slots=True)
class Findings:
    """Answers, by who asked."""

    metrics: Mapping[str, MetricsAnswer] = field(default_factory=dict)
    #: The query that each answer in `metrics` is to.
    queries: Mapping[str, str] = field(default_factory=dict)
    smoke: Mapping[str, SmokeResult] = field(default_factory=dict)
    probe: ProbeResult | None = None


def collect(
    needs: Needs,
    metrics: Sequence[MetricsAnswer],
    smoke: Sequence[SmokeResult],
    probe: ProbeResult | None,
) -> Findings:
    """Answers in the order of the requests, put together."""
    return Findings(
        metrics={r.key: a for r, a in zip(needs.metrics, metrics, strict=True)},
        queries={r.key: r.query for r in needs.metrics},
        smoke={r.test.name: a for r, a in zip(needs.smoke, smoke, strict=True)},
        probe=probe,
    )
