"""Gates: the evidence that a stage needs before it passes."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from sophia_operator.api.common import (
    DECIMAL_PATTERN,
    UNSIGNED_DECIMAL_PATTERN,
    ApiModel,
    DecimalString,
    DnsLabel,
    UnsignedDecimalString,
    decimal,
    rules,
)
from sophia_operator.api.queries import Query

_PERCENTAGE = "minPercent must be between 0 and 100"


class SuccessRateGate(ApiModel):
    """Share of requests that were answered without a server error."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            # Text that is no number has its own message; converting it would add a worse one.
            (
                f"!has(self.minPercent) || !self.minPercent.matches(r'{UNSIGNED_DECIMAL_PATTERN}')"
                " || double(self.minPercent) <= 100.0",
                _PERCENTAGE,
            ),
        )
    }

    min_percent: UnsignedDecimalString | None = Field(
        None, description="Least share of successful requests, in percent, as in `99.5`."
    )

    @model_validator(mode="after")
    def _bound_is_a_percentage(self) -> Self:
        if self.min_percent is not None and decimal(self.min_percent) > 100:
            raise ValueError(_PERCENTAGE)
        return self


class LatencyGate(ApiModel):
    """A quantile of the response time."""

    quantile: str = Field(
        "0.99",
        # The length bounds the digits: up to six of them.
        pattern=r"^0\.0*[1-9][0-9]*$",
        max_length=8,
        description="The quantile, above 0 and below 1, as in `0.99`.",
    )
    max_ms: int | None = Field(None, ge=1, le=3_600_000, description="Largest value of the quantile, in milliseconds.")


_RANGE = "min must not be above max: no value could pass"


class PromqlGate(ApiModel):
    """Any Prometheus query that yields one number."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (
                f"!has(self.min) || !self.min.matches(r'{DECIMAL_PATTERN}')"
                f" || !has(self.max) || !self.max.matches(r'{DECIMAL_PATTERN}')"
                " || double(self.min) <= double(self.max)",
                _RANGE,
            ),
        )
    }

    query: Query = Field(
        description="The query; {{release}}, {{color}}, {{namespace}}, {{service}} and {{window}} are filled in.",
    )
    min: DecimalString | None = Field(None, description="Least value that passes.")
    max: DecimalString | None = Field(None, description="Largest value that passes.")

    @model_validator(mode="after")
    def _some_value_passes(self) -> Self:
        if self.min is not None and self.max is not None and decimal(self.min) > decimal(self.max):
            raise ValueError(_RANGE)
        return self


class Baseline(StrEnum):
    """What a gate can be compared to."""

    STABLE = "Stable"


_ONE_KIND = "a gate has exactly one of successRate, latency and promql"
_BOUND = "a gate needs a bound: minPercent, maxMs, min or max, or comparedTo with maxRatio"
_RATIO = "comparedTo and maxRatio go together"
_COUNTED = "comparedTo is for successRate and latency gates"


class Gate(ApiModel):
    """One piece of evidence that a stage needs before it passes."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (
                "[has(self.successRate), has(self.latency), has(self.promql)].filter(x, x).size() == 1",
                _ONE_KIND,
            ),
            (
                "has(self.comparedTo) || (has(self.successRate) && has(self.successRate.minPercent))"
                " || (has(self.latency) && has(self.latency.maxMs))"
                " || (has(self.promql) && (has(self.promql.min) || has(self.promql.max)))",
                _BOUND,
            ),
            ("has(self.comparedTo) == has(self.maxRatio)", _RATIO),
            ("!(has(self.comparedTo) && has(self.promql))", _COUNTED),
        )
    }

    name: DnsLabel = Field(description="Name of the gate, unique in its list.")
    success_rate: SuccessRateGate | None = Field(None, description="Gate on the share of successful requests.")
    latency: LatencyGate | None = Field(None, description="Gate on a quantile of the response time.")
    promql: PromqlGate | None = Field(None, description="Gate on a Prometheus query of your own.")
    window_seconds: int = Field(
        60,
        ge=4,
        le=86_400,
        description="How far back a look reaches, in seconds, but never before the stage took effect. "
        "At least four scrapes.",
    )
    min_requests: int = Field(
        50,
        ge=0,
        le=10_000_000,
        description="Fewest requests, since the stage took effect, that a verdict may rest on; with "
        "fewer it is "
        "Inconclusive. A promql gate has no count of its own and uses the requests that the preset counts.",
    )
    failure_limit: int = Field(
        0, ge=0, le=1000, description="How many looks of a stage may fail before the rollout does."
    )
    inconclusive_limit: int = Field(
        20,
        ge=0,
        le=10_000,
        description="How many looks in a row may be Inconclusive before the rollout pauses.",
    )
    compared_to: Baseline | None = Field(None, description="Also compare with the release that is stable.")
    max_ratio: UnsignedDecimalString | None = Field(
        None,
        description="With comparedTo: how many times the baseline's error share or latency is still good.",
    )
    dry_run: bool = Field(False, description="Look and report, but never hold or fail the rollout.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        kinds = [k for k in (self.success_rate, self.latency, self.promql) if k is not None]
        if len(kinds) != 1:
            raise ValueError(_ONE_KIND)
        if (self.compared_to is None) != (self.max_ratio is None):
            raise ValueError(_RATIO)
        if self.compared_to is not None and self.promql is not None:
            raise ValueError(_COUNTED)
        bounds = (
            self.compared_to,
            self.success_rate and self.success_rate.min_percent,
            self.latency and self.latency.max_ms,
            self.promql and (self.promql.min or self.promql.max),
        )
        if not any(bounds):
            raise ValueError(_BOUND)
        return self
