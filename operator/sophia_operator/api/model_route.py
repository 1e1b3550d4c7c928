"""ModelRoute: the best model by evidence, switched and switched back live, and proved."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from sophia_operator.api.common import ATOMIC_LIST, SET_LIST, ApiModel, DnsLabel, map_list, rules
from sophia_operator.api.metrics import PrometheusAccess
from sophia_operator.api.model_endpoint import MAX_MODELS, Capability, FractionString, Model
from sophia_operator.api.model_gateway import ModelGateway
from sophia_operator.api.model_route_rules import SPEC, problem_of_spec
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.api.named import NAMED, NamedObject
from sophia_operator.api.queries import ModelQuery

_SUM = "weights must sum to 1: latency, quality, reliability and cost together"
_PARTS = "[self.latency, self.quality, self.reliability, self.cost]"
_SUM_RULE = (
    # One that is no number has its own message.
    f"!{_PARTS}.all(w, w.matches('^[01]([.][0-9]+)?$')) || ({_PARTS}.map(w, double(w)).sum() > 0.9999995"
    f" && {_PARTS}.map(w, double(w)).sum() < 1.0000005)"
)


class ScoreWeights(ApiModel):
    """How much each part of a score counts; together 1."""

    model_config = ApiModel.model_config | {"json_schema_extra": rules((_SUM_RULE, _SUM))}

    latency: FractionString = Field("0.35", description="How quickly it answers.")
    quality: FractionString = Field("0.40", description="How good its answers are.")
    reliability: FractionString = Field("0.15", description="How often it answers.")
    cost: FractionString = Field("0.10", description="How cheap it is.")

    @model_validator(mode="after")
    def _sum_to_one(self) -> ScoreWeights:
        if sum(map(Decimal, (self.latency, self.quality, self.reliability, self.cost))) != 1:
            raise ValueError(_SUM)
        return self


class ModelProbe(ApiModel):
    """The operator's own requests to each model, past the gateway."""

    interval_seconds: int = Field(10, ge=1, le=3600, description="Time between two probes of a model, in seconds.")
    prompt: str = Field(
        "Answer with the word ready.", min_length=1, max_length=1024, description="What the model is asked."
    )
    max_tokens: int = Field(8, ge=1, le=1024, description="Most tokens of an answer.")
    timeout_seconds: int = Field(
        10, ge=1, le=300, description="Time for the whole answer, in seconds; a stream that goes on is a failure."
    )
    expect: str | None = Field(
        None, min_length=1, max_length=256, description="Text that an answer must contain, in any case of letters."
    )


class SwitchPolicy(ApiModel):
    """When traffic leaves a model."""

    max_p95_ms: int | None = Field(
        None,
        ge=1,
        le=600_000,
        alias="maxP95Ms",
        description="95 % of the answers must take at most so long, in milliseconds.",
    )
    max_error_percent: int = Field(20, ge=0, le=99, description="Highest share of requests that fail, in percent.")
    for_seconds: int = Field(
        10, ge=0, le=3600, description="A model is left once it has broken a limit for so long, in seconds."
    )
    min_requests: int = Field(
        3, ge=1, le=100_000, description="Fewer requests in the window prove nothing against a model that answers some."
    )
    window_seconds: int = Field(60, ge=5, le=3600, description="Evidence counts for so long, in seconds.")
    margin_percent: int = Field(
        10,
        ge=1,
        le=100,
        description="A model that works is left for a better one only when that scores more by so much, in percentage "
        "points, for failback.healthySeconds.",
    )
    prove_seconds: int = Field(
        60, ge=5, le=3600, description="Time until every replica of the gateway must serve the new model, in seconds."
    )


_STAGES = "failback.stages must rise, and the last one must be 100"
_STAGES_RULE = (
    # An empty list has its own message.
    "size(self) == 0 || (self[size(self) - 1] == 100 && self.isSorted() && self.all(s, self.exists_one(t, t == s)))"
)
_HOLDS = "failback.maxHoldSeconds must be at least failback.holdSeconds"


class Failback(ApiModel):
    """How traffic moves to a model that is better than the one that serves, step by step."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(("self.maxHoldSeconds >= self.holdSeconds", _HOLDS))
    }

    healthy_seconds: int = Field(
        300, ge=0, le=86_400, description="The better model must have been healthy for so long, in seconds."
    )
    stages: list[Annotated[int, Field(ge=1, le=100)]] = Field(
        default_factory=lambda: [5, 25, 100],
        min_length=1,
        max_length=10,
        json_schema_extra=ATOMIC_LIST | rules((_STAGES_RULE, _STAGES)),
        description="Its share of the requests at each stage, in percent; rising, the last one 100.",
    )
    stage_seconds: int = Field(60, ge=1, le=86_400, description="Shortest time of a stage, in seconds.")
    hold_seconds: int = Field(
        300,
        ge=1,
        le=86_400,
        description="No failback begins so soon after a switch, in seconds; doubled by each failback that fails.",
    )
    max_hold_seconds: int = Field(7200, ge=1, le=604_800, description="Longest time of that, in seconds.")
    manual: bool = Field(False, description="Only tell that it is due. Set pin to do it, and remove it afterwards.")

    @field_validator("stages")
    @classmethod
    def _stages_rise_to_the_end(cls, stages: list[int]) -> list[int]:
        if stages[-1] != 100 or sorted(set(stages)) != stages:
            raise ValueError(_STAGES)
        return stages

    @model_validator(mode="after")
    def _holds_fit(self) -> Failback:
        if self.max_hold_seconds < self.hold_seconds:
            raise ValueError(_HOLDS)
        return self


class PassivePreset(StrEnum):
    """Where counts of users' requests come from."""

    NONE = "None"  # probes alone
    CONTOUR = "Contour"  # Envoy's counts for each Service, with gateway.httpRoute
    LITELLM = "LiteLLM"  # the proxy's counts for each deployment, before its retries and fallbacks
    CUSTOM = "Custom"


class PassiveQueries(ApiModel):
    """Queries of your own. `{{model}}`, `{{namespace}}`, `{{route}}` and `{{window}}` are filled in."""

    requests: ModelQuery = Field(description="Requests to {{model}} in {{window}}.")
    errors: ModelQuery = Field(description="Those of them that failed.")
    p95_ms: ModelQuery | None = Field(
        None, alias="p95Ms", description="95 % of them took at most so many milliseconds."
    )


_CUSTOM = "metrics.queries goes with metrics.preset Custom, and only with it"


class ModelMetrics(ApiModel):
    """What Prometheus knows of users' requests to each model, before retries and fallbacks of the gateway."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(("(self.preset == 'Custom') == has(self.queries)", _CUSTOM))
    }

    preset: PassivePreset = Field(PassivePreset.NONE, description="Where the counts come from.")
    queries: PassiveQueries | None = Field(None, description="Queries for preset Custom.")
    prometheus: PrometheusAccess | None = Field(
        None, description="The Prometheus to ask; the operator's own default when absent."
    )
    interval_seconds: int = Field(15, ge=1, le=3600, description="Time between two queries, in seconds.")

    @model_validator(mode="after")
    def _custom_has_queries(self) -> ModelMetrics:
        if (self.preset is PassivePreset.CUSTOM) != (self.queries is not None):
            raise ValueError(_CUSTOM)
        return self


class ModelRouteSpec(ApiModel):
    """Which models there are, and how the best of them is found and reached."""

    model_config = ApiModel.model_config | {"json_schema_extra": rules(*SPEC)}

    models: list[Model] = Field(
        min_length=1, max_length=MAX_MODELS, json_schema_extra=map_list("name"), description="The models."
    )
    requires: list[Capability] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=SET_LIST,
        description="What a model must be able to do to be chosen.",
    )
    gateway: ModelGateway = Field(description="Where requests are spread over models.")
    weights: ScoreWeights = Field(default_factory=ScoreWeights, description="How much each part of a score counts.")
    probe: ModelProbe = Field(default_factory=ModelProbe, description="The operator's own requests to each model.")
    metrics: ModelMetrics = Field(default_factory=ModelMetrics, description="What Prometheus knows of each model.")
    switch: SwitchPolicy = Field(default_factory=SwitchPolicy, description="When traffic leaves a model.")
    failback: Failback = Field(default_factory=Failback, description="How traffic moves to a better model.")
    pin: DnsLabel | None = Field(
        None, description="The model that a person chose: it serves, whatever the evidence says, until this is removed."
    )
    dry_run: bool = Field(False, description="Only tell what would be done.")

    @model_validator(mode="after")
    def _parts_fit(self) -> ModelRouteSpec:
        if found := problem_of_spec(self):
            raise ValueError(found)
        return self


class ModelRoute(NamedObject):
    """Traffic for models, kept at the best one that works."""

    model_config = NamedObject.model_config | {"json_schema_extra": NAMED}

    kind: str = Field(description="ModelRoute.")
    spec: ModelRouteSpec = Field(description="Which models, and how the best one is found and reached.")
    status: ModelRouteStatus = Field(default_factory=ModelRouteStatus, description="What the operator saw.")
