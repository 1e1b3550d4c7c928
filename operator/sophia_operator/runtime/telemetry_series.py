"""What the metrics about single objects have in common."""

from __future__ import annotations

from prometheus_client import Gauge

from sophia_operator.api.connection_pool_status import Percentiles


def set_value(gauge: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    """Set a series; without a value there is none."""
    if value is not None:
        gauge.labels(*labels).set(value)
    else:
        gauge.remove(*labels)


def set_quantiles(gauge: Gauge, place: tuple[str, ...], value: Percentiles | None) -> None:
    """Set the series of a gauge whose last label is the quantile."""
    set_value(gauge, (*place, "0.5"), float(value.p50) if value is not None else None)
    set_value(gauge, (*place, "0.95"), float(value.p95) if value is not None else None)
