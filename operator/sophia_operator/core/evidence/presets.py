"""Where the built-in gates find their counts: what each gateway, or the application, calls its series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sophia_operator.api.metrics import AppMetrics, Metrics, MetricsPreset
from sophia_operator.core.evidence.counting import Series
from sophia_operator.core.evidence.subject import Subject

Matchers = Callable[[Subject], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Counters:
    """Names of one source's metrics, and how it tells releases apart."""

    requests_metric: str
    error_matcher: str
    buckets_metric: str
    #: Milliseconds in one unit of the histogram.
    ms_per_unit: int
    #: Matchers of one release.
    own: Matchers
    #: Matchers of every release of the service.
    family: Matchers

    def requests(self, who: Subject) -> Series:
        """Counters of all requests, by status."""
        return Series(self.requests_metric, self.own(who), self.family(who))

    def errors(self, who: Subject) -> Series:
        """Counters of requests that ended in a server error."""
        return self.requests(who).where(self.error_matcher)

    def buckets(self, who: Subject) -> Series:
        """Cumulative histogram of response times."""
        return Series(self.buckets_metric, self.own(who), self.family(who))


def _contour_cluster(who: Subject) -> tuple[str, ...]:
    return (f'envoy_cluster_name="{who.namespace}_{who.backend}_{who.port_number}"',)


def _contour_family(who: Subject) -> tuple[str, ...]:
    return (f'envoy_cluster_name=~"{who.namespace}_{who.service}-(blue|green)_{who.port_number}"',)


#: Envoy's own statistics. Neither a namespace nor a Service can have `_` in its name, so the label is unambiguous.
_CONTOUR: Final = Counters(
    requests_metric="envoy_cluster_upstream_rq_xx",
    error_matcher='envoy_response_code_class="5"',
    buckets_metric="envoy_cluster_upstream_rq_time_bucket",
    ms_per_unit=1,
    own=_contour_cluster,
    family=_contour_family,
)


def _traefik_name(who: Subject, backend: str) -> tuple[str, ...]:
    # Older releases have no prefix.
    return (f'service=~"(.*-svc-)?{who.namespace}-{backend}-{who.port_number}@kubernetesgateway"',)


_TRAEFIK: Final = Counters(
    requests_metric="traefik_service_requests_total",
    error_matcher='code=~"5.."',
    buckets_metric="traefik_service_request_duration_seconds_bucket",
    ms_per_unit=1000,
    own=lambda who: _traefik_name(who, who.backend),
    family=lambda who: _traefik_name(who, f"{who.service}-(blue|green)"),
)


def _app(app: AppMetrics) -> Counters:
    return Counters(
        requests_metric=app.requests_metric,
        error_matcher=f'{app.code_label}=~"5.."',
        buckets_metric=f"{app.latency_metric}_bucket",
        ms_per_unit=1000,
        own=lambda who: (f'namespace="{who.namespace}"', f'pod=~"{who.pod_pattern}"'),
        family=lambda who: (f'namespace="{who.namespace}"', f'pod=~"{who.service}-[0-9]+-.+"'),
    )


def counters(metrics: Metrics) -> Counters | None:
    """What the preset counts with; None for Custom, which has queries instead."""
    match metrics.preset:
        case MetricsPreset.CONTOUR:
            return _CONTOUR
        case MetricsPreset.TRAEFIK:
            return _TRAEFIK
        case MetricsPreset.APP:
            return _app(metrics.app)
        case MetricsPreset.CUSTOM:
            return None
