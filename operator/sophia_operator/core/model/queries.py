"""What Prometheus is asked about a route's models, and what its answers say.

One query counts users' requests to every model: its samples are told apart by the label `sophia`, `<what>/<series>`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sophia_operator.api.model_endpoint import Model
from sophia_operator.api.model_route import PassivePreset, PassiveQueries
from sophia_operator.core.evidence.counting import Series, Start, counted
from sophia_operator.core.evidence.queries import LABEL
from sophia_operator.core.findings import MetricsAnswer, MetricsRequest, QueryRefused, Samples
from sophia_operator.core.model import litellm_series as litellm
from sophia_operator.core.model.findings import PassiveTally
from sophia_operator.core.model.views import ModelRouteView

_REQUESTS: Final = "requests"
_SUCCESSES: Final = "successes"
_FAILURES: Final = "failures"
_REFUSALS: Final = "refusals"
_RETRIES: Final = "retries"
_P95_MS: Final = "p95"
_MESSAGE: Final = 512
_PLACEHOLDER: Final = re.compile(r"\{\{\s*([a-z]+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class _Source:
    """How one gateway counts. Requests are all that it names so, or else successes and failures together."""

    #: The label that tells models apart, and its value for a model.
    label: str
    value: Callable[[ModelRouteView, Model], str | None]
    #: By what is counted: the metric, and what its series must match.
    counters: Mapping[str, tuple[str, tuple[str, ...]]]
    buckets: str
    ms_per_unit: int


def _cluster(route: ModelRouteView, model: Model) -> str | None:
    service = model.endpoint.service_ref
    return None if service is None else f"{route.namespace}_{service.name}_{service.port}"


_SOURCES: Final = {
    # Envoy's own statistics of each Service; neither a namespace nor a Service has `_` in its name. Answers are counted
    # after its retries, so each retry is a request more that failed: by its status, by a broken connection or by a
    # timeout. What says nothing of the model is left out: 429, and keys of clients that it refuses.
    PassivePreset.CONTOUR: _Source(
        label="envoy_cluster_name",
        value=_cluster,
        counters={
            _REQUESTS: ("envoy_cluster_upstream_rq", ('envoy_response_code!~"401|403|429"',)),
            _FAILURES: ("envoy_cluster_upstream_rq", ('envoy_response_code=~"408|5.."',)),
            _RETRIES: ("envoy_cluster_upstream_rq_retry", ()),
        },
        buckets="envoy_cluster_upstream_rq_time_bucket",
        ms_per_unit=1,
    ),
    PassivePreset.LITELLM: _Source(
        label=litellm.MODEL_LABEL,
        value=lambda route, model: litellm.deployment_id(route.namespace, route.name, model.name),
        counters={
            _SUCCESSES: (litellm.SUCCESSES, ()),
            _FAILURES: (litellm.FAILURES, (f'{litellm.STATUS_LABEL}=~"{litellm.FAILED_STATUSES}"',)),
        },
        buckets=litellm.LATENCY_BUCKET,
        ms_per_unit=1000,
    ),
}


def passive_request(route: ModelRouteView) -> MetricsRequest | None:
    """The query for users' requests to all models in the window; None when the spec asks for none."""
    metrics = route.spec.metrics
    if metrics.preset is PassivePreset.NONE:
        return None
    if metrics.queries is not None:
        query = _union([part for m in route.spec.models for part in _custom(route, m, metrics.queries)])
    else:
        query = _preset(route, _SOURCES[metrics.preset])
    return MetricsRequest("passive", query, metrics.prometheus)


def passive_tallies(route: ModelRouteView, answer: MetricsAnswer) -> Mapping[str, PassiveTally] | str:
    """Tallies by the name of the model, of those that have any; or why there are none."""
    if not isinstance(answer, Samples):
        return _why(answer)
    source = _SOURCES.get(route.spec.metrics.preset)
    found: dict[str, PassiveTally] = {}
    for model in route.spec.models:
        series = model.name if source is None else source.value(route, model)
        refusals = answer.values.get(f"{_REFUSALS}/{litellm.group(route.name, model.name)}", 0.0)
        tally = _tally(answer.values, series, max(0.0, refusals))
        if tally is not None:
            found[model.name] = tally
    return found


def quality_request(route: ModelRouteView, name: str) -> MetricsRequest | None:
    """The query for how good a model is; None when the spec has none."""
    model = next((m for m in route.spec.models if m.name == name), None)
    if model is None or model.quality_query is None:
        return None
    query = _filled(model.quality_query, route, model)
    return MetricsRequest(f"quality/{name}", query, route.spec.metrics.prometheus)


def quality(answer: MetricsAnswer) -> float | str:
    """From 0 to 1, or why it is not known."""
    if not isinstance(answer, Samples):
        return _why(answer)
    if len(answer.values) != 1:
        how = "no value" if not answer.values else f"{len(answer.values)} values"
        return f"qualityQuery gives {how}, and must give one"
    value = next(iter(answer.values.values()))
    if not 0 <= value <= 1:
        # Without the value, which is another one each time.
        return "qualityQuery must give a value from 0 to 1: divide it by 100 if it gives percent"
    return value


def _why(answer: MetricsAnswer) -> str:
    assert not isinstance(answer, Samples)
    prefix = "Prometheus refuses the query: " if isinstance(answer, QueryRefused) else ""
    return f"{prefix}{answer.message}"[:_MESSAGE]


def _tally(values: Mapping[str, float], series: str | None, refusals: float) -> PassiveTally | None:
    if series is None:
        return None
    total, successes, failures, p95, retries = (
        values.get(f"{what}/{series}") for what in (_REQUESTS, _SUCCESSES, _FAILURES, _P95_MS, _RETRIES)
    )
    hidden = refusals + max(0.0, retries or 0.0)
    if total is None and successes is None and failures is None and not hidden:
        return None
    failed = max(0.0, failures or 0.0) + hidden
    requests = total + hidden if total is not None else (successes or 0.0) + failed
    known = p95 is not None and math.isfinite(p95) and p95 >= 0
    # Two counters are not scraped in the same moment.
    return PassiveTally(max(requests, failed), failed, p95 if known else None)


def _preset(route: ModelRouteView, source: _Source) -> str:
    values = [v for v in (source.value(route, m) for m in route.spec.models) if v is not None]
    # Made of DNS labels, `_` and `/`: nothing in them means anything to a regular expression.
    own = (f'{source.label}=~"{"|".join(values)}"',)
    window = route.spec.switch.window_seconds
    parts = [
        _by_series(what, source.label, f"sum by ({source.label}) ({_count(metric, own, more, window)})")
        for what, (metric, more) in source.counters.items()
    ]
    buckets = f"sum by ({source.label}, le) ({_count(source.buckets, own, (), window)})"
    p95 = f"histogram_quantile(0.95, {buckets}) * {source.ms_per_unit}"
    if source is _SOURCES[PassivePreset.LITELLM]:
        parts += _refusals(route, own[0], window)
    return _union([*parts, _by_series(_P95_MS, source.label, p95)])


def _refusals(route: ModelRouteView, own: str, window: int) -> Sequence[str]:
    """Requests that a model refused for the key of a proxy. These series do not say of which namespace the route is: so
    only those of proxies count that know the route's models."""
    label, groups = litellm.GROUP_LABEL, "|".join(litellm.group(route.name, m.name) for m in route.spec.models)
    asked, status = f'{label}=~"{groups}"', f'{litellm.STATUS_LABEL}="{litellm.REFUSED_STATUS}"'
    # Told apart, as without their names they are alike.
    found = " or ".join(
        f'label_replace({_count(metric, (asked,), (status,), window)}, "of", "{metric}", "", "")'
        for metric in litellm.REFUSALS
    )
    ours = f"count by (instance) ({{{own}}})"
    return [_by_series(_REFUSALS, label, f"sum by ({label}) (({found}) and on (instance) {ours})")]


def _count(metric: str, own: tuple[str, ...], more: tuple[str, ...], window: int) -> str:
    return counted(Series(metric, (*own, *more), own), window, Start.BEFORE)


def _by_series(what: str, label: str, expression: str) -> str:
    return f'label_replace({expression}, "{LABEL}", "{what}/$1", "{label}", "(.*)")'


def _custom(route: ModelRouteView, model: Model, queries: PassiveQueries) -> Sequence[str]:
    found = [(_REQUESTS, "sum", queries.requests), (_FAILURES, "sum", queries.errors)]
    if queries.p95_ms is not None:
        found.append((_P95_MS, "max", queries.p95_ms))
    # A query may end in a comment.
    return [
        f'label_replace({together}({_filled(query, route, model)}\n), "{LABEL}", "{what}/{model.name}", "", "")'
        for what, together, query in found
    ]


def _filled(query: str, route: ModelRouteView, model: Model) -> str:
    """The values are DNS labels and a duration: none can end a string or a selector."""
    values = {
        "model": model.name,
        "namespace": route.namespace,
        "route": route.name,
        "window": f"{route.spec.switch.window_seconds}s",
    }
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], query)


def _union(parts: Sequence[str]) -> str:
    return "\nor ".join(parts)
