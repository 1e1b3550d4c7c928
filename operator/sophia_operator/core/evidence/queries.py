"""The queries: one for each look of a gate, and one for the share of traffic.

A query returns several samples, told apart by the label `sophia`; TOTAL and the other names here are its values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sophia_operator.api.gates import Gate
from sophia_operator.api.metrics import Metrics
from sophia_operator.api.release import Color
from sophia_operator.core.evidence.counting import Start, by_bucket, total, total_or_zero
from sophia_operator.core.evidence.placeholders import QueryError, UnknownPlaceholder, check, fill
from sophia_operator.core.evidence.presets import counters
from sophia_operator.core.evidence.subject import Subject

__all__ = [
    "BASELINE", "CEILING", "DISPERSION", "ERRORS", "LABEL", "TOTAL", "VALUE",
    "MissingQuery", "QueryError", "Subject", "UnknownPlaceholder", "check_queries", "gate_query", "share_query",
]  # fmt: skip

LABEL: Final = "sophia"
TOTAL: Final = "total"
ERRORS: Final = "errors"
VALUE: Final = "value"
#: With a latency: the bound of the slowest bucket that was hit. A quantile that equals it lies beyond the histogram.
CEILING: Final = "ceiling"
#: Put before the name of a sample of the stable release.
BASELINE: Final = "baseline_"
#: With a comparison of error rates: variance over mean of the stable release's errors, from window to window. 1 when
#: each request fails by itself, 10 when errors come ten at a time.
DISPERSION: Final = "dispersion"
#: Windows that the dispersion is measured over.
_DISPERSION_WINDOWS: Final = 10

#: Long enough that one evaluation, aligned to whole seconds, always falls into it.
_AGED_RANGE: Final = "[2s:1s]"


class MissingQuery(QueryError):  # noqa: N818 - named for what is wrong
    """Preset Custom lacks a query that a gate needs."""

    def __init__(self, field: str, kind: str) -> None:
        super().__init__(f"metrics.custom.{field} is missing: {kind} gates need it")
        self.field = field


def gate_query(
    gate: Gate,
    metrics: Metrics,
    who: Subject,
    baseline: Subject | None,
    window_seconds: int,
    *,
    baseline_age_seconds: int = 0,
) -> str:
    """The query of one look at a gate. Raises QueryError (UnknownPlaceholder, MissingQuery).

    Samples: `total`, `errors` for a success rate; `value` (in ms), `total`, `ceiling` for a latency; `value`, and
    `total` when the gate wants requests, for a query of the user's. With `comparedTo`, each also with `baseline_`
    before it, and for a success rate `baseline_dispersion`.

    `window_seconds` is the gate's own, or, where the stage is younger or the gate's own held too few requests, the
    time since the stage took effect; such a window counts nothing that came before it. `baseline_age_seconds` is how
    long ago the stable release last had traffic: 0 while it has, else the age of the stage that took the last of it.
    """
    start = Start.BEFORE if window_seconds == gate.window_seconds else Start.INSIDE
    samples = _samples(gate, metrics, _Look(who, window_seconds, start))
    parts = [_labelled(name, expression) for name, expression in samples.items()]
    if gate.compared_to is not None and baseline is not None:
        aged = baseline_age_seconds > 0
        look = _Look(baseline, gate.window_seconds, Start.BEFORE) if aged else _Look(baseline, window_seconds, start)
        compared = _samples(gate, metrics, look)
        if gate.success_rate is not None:
            compared[DISPERSION] = _dispersion(metrics, _Look(baseline, gate.window_seconds, Start.BEFORE))
        for name, expression in compared.items():
            seen = f"last_over_time({expression}{_AGED_RANGE} offset {baseline_age_seconds}s)" if aged else expression
            parts.append(_labelled(BASELINE + name, seen))
    return _union(parts)


def share_query(metrics: Metrics, subjects: Mapping[Color, Subject], window_seconds: int) -> str:
    """The query for the requests of each colour: samples `blue` and `green`. Raises QueryError.

    A colour without a series has 0 requests if another one has some; without any series there is no sample.
    """
    source = counters(metrics)
    parts = []
    for color, who in subjects.items():
        others = [other for other in subjects.values() if other is not who]
        if source is not None:
            own = total(source.requests(who), window_seconds, Start.INSIDE)
            zeros = [f"sum(last_over_time({source.requests(o).selector}[{window_seconds}s])) * 0" for o in others]
        else:
            own = f"sum({_custom(metrics, 'requests_query', who, window_seconds)})"
            zeros = [f"sum({_custom(metrics, 'requests_query', o, window_seconds)}) * 0" for o in others]
        parts.append(_labelled(color.value, "(" + " or ".join([own, *zeros]) + ")"))
    return _union(parts)


def check_queries(gates: Sequence[Gate], metrics: Metrics) -> None:
    """Raise QueryError when a gate's query could not be built, whatever the release: for lint and admission."""
    anyone = Subject("namespace", "service", "service-1", Color.GREEN, 80)
    for gate in gates:
        gate_query(gate, metrics, anyone, anyone, gate.window_seconds)
    if metrics.custom is not None:
        for query in (
            metrics.custom.requests_query,
            metrics.custom.errors_query,
            metrics.custom.latency_buckets_query,
        ):
            check(query or "")


@dataclass(frozen=True, slots=True)
class _Look:
    who: Subject
    window_seconds: int
    start: Start


def _samples(gate: Gate, metrics: Metrics, look: _Look) -> dict[str, str]:
    if gate.success_rate is not None:
        return {TOTAL: _requests(metrics, look), ERRORS: _errors(metrics, look)}
    if gate.latency is not None:
        return _latency(gate.latency.quantile, metrics, look)
    assert gate.promql is not None
    samples = {VALUE: _quoted(fill(gate.promql.query, look.who, look.window_seconds))}
    if gate.min_requests > 0:
        samples[TOTAL] = _requests(metrics, look)
    return samples


def _requests(metrics: Metrics, look: _Look) -> str:
    source = counters(metrics)
    if source is None:
        return f"sum({_custom(metrics, 'requests_query', look.who, look.window_seconds)})"
    return total(source.requests(look.who), look.window_seconds, look.start)


def _errors(metrics: Metrics, look: _Look) -> str:
    source = counters(metrics)
    if source is None:
        errors = _custom(metrics, "errors_query", look.who, look.window_seconds)
        return f"(sum({errors}) or {_requests(metrics, look)} * 0)"
    return total_or_zero(source.errors(look.who), source.requests(look.who), look.window_seconds, look.start)


def _dispersion(metrics: Metrics, look: _Look) -> str:
    """Of error rates rather than errors, so that a baseline whose traffic changes does not seem dispersed."""
    requests = _requests(metrics, look)
    span = f"[{_DISPERSION_WINDOWS * look.window_seconds}s:{look.window_seconds}s]"
    rates = f"({_errors(metrics, look)} / {requests}){span}"
    return f"(stdvar_over_time({rates}) / avg_over_time({rates}) * {requests})"


def _latency(quantile: str, metrics: Metrics, look: _Look) -> dict[str, str]:
    source = counters(metrics)
    if source is None:
        buckets = f"sum by (le) ({_custom(metrics, 'latency_buckets_query', look.who, look.window_seconds)})"
        everything, factor = f"max({buckets})", 1000
    else:
        series = source.buckets(look.who)
        buckets = by_bucket(series, look.window_seconds, look.start)
        everything, factor = total(series.where('le="+Inf"'), look.window_seconds, look.start), source.ms_per_unit
    scale = f" * {factor}" if factor != 1 else ""
    return {
        VALUE: f"(histogram_quantile({quantile}, {buckets}){scale})",
        CEILING: f"(histogram_quantile(1, {buckets}){scale})",
        TOTAL: everything,
    }


_CUSTOM_FIELDS: Final = {
    "requests_query": ("requestsQuery", "all"),
    "errors_query": ("errorsQuery", "successRate"),
    "latency_buckets_query": ("latencyBucketsQuery", "latency"),
}


def _custom(metrics: Metrics, field: str, who: Subject, window_seconds: int) -> str:
    query = getattr(metrics.custom, field)
    if query is None:
        raise MissingQuery(*_CUSTOM_FIELDS[field])
    return _quoted(fill(query, who, window_seconds))


def _quoted(query: str) -> str:
    # The line break ends a comment that the user's query may end with.
    return f"(\n{query}\n)"


def _labelled(name: str, expression: str) -> str:
    return f'label_replace({expression}, "{LABEL}", "{name}", "", "")'


def _union(parts: Sequence[str]) -> str:
    return "\nor ".join(parts)
