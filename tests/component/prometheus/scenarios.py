"""Histories of counters, each with a namespace of its own, as gateways and applications export them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sophia_operator.api.release import Color
from sophia_operator.core.evidence.subject import Subject
from tests.component.prometheus.server import Counter

#: The moment of the look in every history. Long past, so that no retention or head block gets in the way.
LOOK: Final = 1_700_000_000.0
SCRAPE: Final = 15.0

Value = Callable[[float], float | None]


@dataclass(frozen=True)
class History:
    """Counters that are scraped every 15 s; times are seconds relative to the look."""

    namespace: str

    def subject(self, color: Color, revision: int) -> Subject:
        return Subject(self.namespace, "chat", f"chat-{revision}", color, 80)

    def series(
        self,
        metric: str,
        labels: Mapping[str, str],
        value: Value,
        *,
        phase: float = 7.0,
        watched: Callable[[float], bool] = lambda _: True,
    ) -> Counter:
        """Sample `value` from 20 minutes before the look to the look; None means that the series is not there."""
        times = [-1200 + phase + SCRAPE * n for n in range(int(1200 / SCRAPE))]
        samples = [(LOOK + t, v) for t in times if watched(t) and (v := value(t)) is not None]
        return Counter(metric, labels, samples)

    def contour(self, color: str, code: str, value: Value, *, envoy: str = "envoy-a", **how: object) -> Counter:
        labels = {
            "envoy_cluster_name": f"{self.namespace}_chat-{color}_80",
            "envoy_response_code_class": code,
            "instance": envoy,
        }
        return self.series("envoy_cluster_upstream_rq_xx", labels, value, **how)  # type: ignore[arg-type]

    def app(self, pod: str, code: str, value: Value, *, metric: str = "http_requests_total", **how: object) -> Counter:
        labels = {"namespace": self.namespace, "pod": pod, "code": code}
        return self.series(metric, labels, value, **how)  # type: ignore[arg-type]


def steady(per_second: float, *, since: float = -1200.0, already: float = 0.0) -> Value:
    """A counter that rises steadily, born at `since` with `already` on it."""
    return lambda t: None if t < since else round(already + per_second * (t - since))


def from_zero(per_second: float, *, since: float) -> Value:
    """A counter that is exported as 0 until `since`, then rises."""
    return lambda t: round(per_second * max(0.0, t - since))


def reset(per_second: float, *, at: float) -> Value:
    """A counter whose process was restarted."""
    return lambda t: round(per_second * (t + 1200 if t < at else t - at))
