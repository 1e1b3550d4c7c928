"""Where evidence comes from: the metrics that built-in gates count with, and the Prometheus that has them."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from sophia_operator.api.common import ApiModel, ObjectName, rules
from sophia_operator.api.queries import Query


class MetricsPreset(StrEnum):
    """Where the built-in gates take their counts from."""

    CONTOUR = "Contour"
    TRAEFIK = "Traefik"
    APP = "App"
    CUSTOM = "Custom"


class AppMetrics(ApiModel):
    """Names of the application's own RED metrics; pods are told apart by the labels namespace and pod."""

    requests_metric: str = Field(
        "http_requests_total",
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        max_length=200,
        description="Counter of requests.",
    )
    code_label: str = Field(
        "code",
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        max_length=100,
        description="Label of the counter with the HTTP status code.",
    )
    latency_metric: str = Field(
        "http_request_duration_seconds",
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        max_length=200,
        description="Histogram of response times in seconds, without the suffix `_bucket`.",
    )


class CustomMetrics(ApiModel):
    """Queries of your own; each yields one number for one colour. The same placeholders as in
    promql gates."""

    requests_query: Query = Field(description="Requests of {{color}} in the last {{window}}.")
    errors_query: Query | None = Field(None, description="Failed requests of {{color}} in the last {{window}}.")
    latency_buckets_query: Query | None = Field(
        None,
        description="Requests of {{color}} in the last {{window}} by histogram bucket `le`, in seconds.",
    )


class PrometheusAccess(ApiModel):
    """Which Prometheus to ask, and how."""

    url: str = Field(
        pattern=r"^https?://[^\s]+$",
        max_length=2048,
        description="Base address, as in `http://prometheus.monitoring:9090`.",
    )
    secret_name: ObjectName | None = Field(
        None,
        description="Secret of the same namespace with `token`, or `username` and `password`, and for TLS "
        "`ca.crt`, `tls.crt`, `tls.key`.",
    )
    timeout_seconds: int = Field(10, ge=1, le=120, description="Time limit of one query, in seconds.")


class Metrics(ApiModel):
    """Where evidence comes from."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (
                "(self.preset == 'Custom') == has(self.custom)",
                "custom goes with preset Custom, and only with it",
            ),
        )
    }

    preset: MetricsPreset = Field(
        MetricsPreset.APP,
        description="Contour and Traefik use the gateway's counts, App the application's own "
        "metrics, Custom your queries.",
    )
    app: AppMetrics = Field(default_factory=AppMetrics, description="Names of the metrics for preset App.")
    custom: CustomMetrics | None = Field(None, description="Queries for preset Custom.")
    prometheus: PrometheusAccess | None = Field(
        None, description="The Prometheus to ask; the operator's own default when absent."
    )

    @model_validator(mode="after")
    def _custom_has_queries(self) -> Self:
        if (self.preset is MetricsPreset.CUSTOM) != (self.custom is not None):
            raise ValueError("custom goes with preset Custom, and only with it")
        return self
