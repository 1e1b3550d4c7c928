"""How a change is rolled out: the stages of traffic, and the times and limits around them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from sophia_operator.api.common import ATOMIC_LIST, INT_OR_STRING, ApiModel, PercentString, map_list, rules
from sophia_operator.api.gates import Gate, SuccessRateGate
from sophia_operator.api.metrics import Metrics
from sophia_operator.api.smoke import SmokeTest


class Stage(ApiModel):
    """One step of traffic: how much the new release gets, and for how long it is watched there."""

    weight_percent: int = Field(ge=1, le=100, description="Share of the traffic for the new release, in percent.")
    observe_seconds: int = Field(
        300,
        ge=1,
        le=86_400,
        description="How long the stage is watched, in seconds, from the moment its weight is observed in the traffic.",
    )
    warm_percent: int | None = Field(
        None,
        ge=0,
        le=100,
        description="How far the release's own generation in its caches must be filled before the stage begins, in "
        "percent; without: no matter.",
    )


class OnFailure(StrEnum):
    """What happens when a gate fails."""

    ROLLBACK = "Rollback"
    PAUSE = "Pause"


def default_stages() -> list[Stage]:
    """10, 25, 50 and 100 percent, 300 seconds each."""
    return [Stage(weight_percent=w, observe_seconds=300) for w in (10, 25, 50, 100)]


def default_gates() -> list[Gate]:
    """At least 99 % of the new release's requests succeed."""
    return [Gate(name="success-rate", success_rate=SuccessRateGate(min_percent="99"))]


_RISING = "stages must rise and end at 100"
_CUSTOM_ERRORS = "with preset Custom, successRate gates (there is one by default) need metrics.custom.errorsQuery"
_CUSTOM_LATENCY = "with preset Custom, latency gates need metrics.custom.latencyBucketsQuery"


class RolloutPlan(ApiModel):
    """How changes are rolled out, and what must hold for them to go on."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (
                "!has(self.metrics) || !has(self.metrics.custom) || has(self.metrics.custom.errorsQuery)"
                " || (has(self.gates) && !self.gates.exists(g, has(g.successRate)))",
                _CUSTOM_ERRORS,
            ),
            (
                "!has(self.metrics) || !has(self.metrics.custom) || has(self.metrics.custom.latencyBucketsQuery)"
                " || !has(self.gates) || !self.gates.exists(g, has(g.latency))",
                _CUSTOM_LATENCY,
            ),
        )
    }

    stages: list[Stage] = Field(
        default_factory=default_stages,
        min_length=1,
        max_length=20,
        json_schema_extra=ATOMIC_LIST
        | rules(
            (
                # An empty list has its own message.
                "size(self) == 0 || (self[size(self) - 1].weightPercent == 100"
                " && self.all(s, self.filter(t, t.weightPercent == s.weightPercent).size() == 1)"
                " && self.map(s, s.weightPercent).isSorted())",
                _RISING,
            )
        ),
        description="Steps of traffic for the new release; they rise and end at 100.",
    )
    smoke_tests: list[SmokeTest] = Field(
        default_factory=list,
        max_length=20,
        json_schema_extra=map_list("name"),
        description="Requests that the new release must answer well before it gets any traffic.",
    )
    gates: list[Gate] = Field(
        default_factory=default_gates,
        max_length=20,
        json_schema_extra=map_list("name"),
        description="Evidence that each stage needs. Default: at least 99 percent of requests succeed.",
    )
    metrics: Metrics = Field(default_factory=Metrics, description="Where evidence comes from.")
    look_interval_seconds: int = Field(
        15, ge=1, le=3600, description="Time between two looks at the gates, in seconds."
    )
    on_failure: OnFailure = Field(OnFailure.ROLLBACK, description="What happens when a gate fails.")
    progress_deadline_seconds: int = Field(
        600,
        ge=5,
        le=86_400,
        description="Longest time, in seconds, for the new release to become ready; and, later, to "
        "be short of ready pods.",
    )
    route_deadline_seconds: int = Field(
        120,
        ge=5,
        le=3600,
        description="Longest time, in seconds, until a written weight is observed in the traffic.",
    )
    keep_previous_seconds: int = Field(
        600,
        ge=0,
        le=604_800,
        description="How long the previous release keeps its full size after a promotion, in "
        "seconds, so that going back is instant.",
    )
    abort_keep_seconds: int = Field(
        30,
        ge=0,
        le=86_400,
        description="How long a release that was rolled back is kept for a look, in seconds, before it is scaled down.",
    )
    drain_seconds: int = Field(
        10,
        ge=0,
        le=600,
        description="How long pods go on serving after they left the endpoints, in seconds; and how "
        "long a release is without "
        "traffic before it is scaled down.",
    )
    max_unavailable: Annotated[int, Field(ge=0, le=10_000)] | PercentString = Field(
        0,
        json_schema_extra=INT_OR_STRING,
        description="How many pods of the new release may be unready while it takes traffic: a "
        "count, or a percentage such as `25%`.",
    )

    @field_validator("stages")
    @classmethod
    def _stages_rise_to_the_end(cls, stages: list[Stage]) -> list[Stage]:
        weights = [s.weight_percent for s in stages]
        if weights != sorted(set(weights)) or weights[-1] != 100:
            raise ValueError(_RISING)
        return stages

    @model_validator(mode="after")
    def _custom_queries_serve_the_gates(self) -> Self:
        custom = self.metrics.custom
        if custom is not None and custom.errors_query is None and any(g.success_rate for g in self.gates):
            raise ValueError(_CUSTOM_ERRORS)
        if custom is not None and custom.latency_buckets_query is None and any(g.latency for g in self.gates):
            raise ValueError(_CUSTOM_LATENCY)
        return self


Percent = Annotated[int, Field(ge=0, le=100)]
