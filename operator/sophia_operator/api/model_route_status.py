"""What the operator saw of a ModelRoute."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from sophia_operator.api.common import (
    ATOMIC_LIST,
    ApiModel,
    DnsLabel,
    Hash,
    Reason,
    Timestamp,
    map_list,
)
from sophia_operator.api.conditions import Condition
from sophia_operator.api.connection_pool_status import BindingRef
from sophia_operator.api.model_endpoint import MAX_MODELS, FractionString
from sophia_operator.api.model_gateway import MAX_REPLICAS
from sophia_operator.api.recovery_action_status import Acts

MAX_SWITCHES: Final = 10

#: Of a pod, or an IPv4 or IPv6 address.
ReplicaName = Annotated[str, Field(pattern=r"^[-a-z0-9.:]+$", min_length=1, max_length=253)]


class ModelState(StrEnum):
    """How a model is."""

    UNKNOWN = "Unknown"  # nothing is known of it yet
    HEALTHY = "Healthy"
    FAILING = "Failing"  # breaks a limit, not for long enough to be left
    UNHEALTHY = "Unhealthy"  # has broken a limit for switch.forSeconds
    PAUSED = "Paused"  # its provider asked to wait (429)
    REFUSED = "Refused"  # its provider does not accept the credentials (401, 403)
    INELIGIBLE = "Ineligible"  # lacks a capability, or its Secret is missing


class ModelScorePart(ApiModel):
    """One part of a model's score."""

    name: str = Field(max_length=32, description="latency, quality, reliability or cost.")
    value: FractionString = Field(description="From 0 to 1, the best of all models 1.")
    weight: FractionString = Field(description="How much it counts.")
    why: str = Field("", max_length=256, description="What it was taken from.")


class ModelStatus(ApiModel):
    """One model, as seen last."""

    name: DnsLabel = Field(description="Name of the model.")
    state: ModelState = Field(ModelState.UNKNOWN, description="How it is.")
    eligible: bool = Field(False, description="Whether it may be chosen.")
    reason: Reason | None = Field(None, description="Why it is not healthy, in one word.")
    message: str | None = Field(None, max_length=512, description="Why, in words, and what to do.")
    rank: int | None = Field(None, ge=1, le=MAX_MODELS, description="1 for the best; absent while it is not eligible.")
    score: FractionString | None = Field(None, description="From 0 to 1; its parts by their weights.")
    score_parts: list[ModelScorePart] = Field(
        default_factory=list, max_length=4, json_schema_extra=map_list("name"), description="Parts of the score."
    )
    p95_ms: int | None = Field(
        None, ge=0, alias="p95Ms", description="95 % of its answers took at most so many milliseconds."
    )
    first_token_ms: int | None = Field(None, ge=0, description="Time to the first token, median, in milliseconds.")
    tokens_per_second: int | None = Field(None, ge=0, description="Tokens a second, median.")
    requests: int = Field(0, ge=0, description="Requests in the window, probes and users' ones.")
    failures: int = Field(0, ge=0, description="Those of them that failed.")
    healthy_since: Timestamp | None = Field(None, description="Since when it has been healthy.")
    failing_since: Timestamp | None = Field(None, description="Since when it has broken a limit.")
    paused_until: Timestamp | None = Field(None, description="When its provider takes requests again.")


class SwitchKind(StrEnum):
    """Why traffic moves."""

    FIRST = "First"  # nothing served before
    FAILOVER = "Failover"  # the model that served failed: all at once
    FAILBACK = "Failback"  # to the model that is best, by stages
    BETTER = "Better"  # the same, to one that nothing was switched from
    PIN = "Pin"  # a person chose: all at once
    REVERT = "Revert"  # a failback failed: all at once back to where it came from
    RECOVERY = "Recovery"  # a RecoveryAction asked for it: all at once, away from a model that fails


#: These move traffic step by step, and may be held or reverted.
BY_STAGES: Final = frozenset({SwitchKind.FAILBACK, SwitchKind.BETTER})


class SwitchPhase(StrEnum):
    """Where a switch is."""

    PROVING = "Proving"  # until every replica serves by the newest revision
    OBSERVING = "Observing"  # a stage, until its time is over and its gates pass


class SwitchStatus(ApiModel):
    """A switch that is under way."""

    kind: SwitchKind = Field(description="Why traffic moves.")
    from_model: DnsLabel | None = Field(None, alias="from", description="The model that served.")
    to: DnsLabel = Field(description="The model that is to serve.")
    trigger: str = Field(max_length=512, description="What started it.")
    evidence: str = Field("", max_length=1024, description="What was seen, in numbers.")
    started_at: Timestamp = Field(description="When it was decided.")
    phase: SwitchPhase = Field(description="Where it is.")
    stage: int = Field(0, ge=0, le=9, description="Index of the stage; 0 when all moves at once.")
    percent: int = Field(100, ge=1, le=100, description="Share of the requests that `to` has, in percent.")
    phase_since: Timestamp = Field(description="When this stage was last set, or proved.")
    revision: int = Field(0, ge=0, description="Revision that replicas must serve by.")
    proved_at: Timestamp | None = Field(None, description="When all replicas first served by the first revision of it.")
    overdue: bool = Field(False, description="Whether replicas took longer than switch.proveSeconds.")


class SwitchResult(StrEnum):
    """How a switch ended."""

    SWITCHED = "Switched"
    REVERTED = "Reverted"
    OVERTAKEN = "Overtaken"  # another switch took its place


class PastSwitch(ApiModel):
    """A switch that ended."""

    kind: SwitchKind = Field(description="Why traffic moved.")
    from_model: DnsLabel | None = Field(None, alias="from", description="The model that served.")
    to: DnsLabel = Field(description="The model that was to serve.")
    trigger: str = Field(max_length=512, description="What started it.")
    evidence: str = Field("", max_length=1024, description="What was seen, in numbers.")
    started_at: Timestamp = Field(description="When it was decided.")
    proved_at: Timestamp | None = Field(None, description="When all replicas served by its first revision.")
    ended_at: Timestamp = Field(description="When it ended.")
    result: SwitchResult = Field(description="How it ended.")
    message: str = Field("", max_length=512, description="Why, when it did not reach its end.")


class Share(ApiModel):
    """A model's share of the requests."""

    name: DnsLabel = Field(description="Name of the model.")
    percent: int = Field(ge=0, le=100, description="Its share, in percent.")


class GatewayReplica(ApiModel):
    """One process of the gateway, as a marked request saw it last."""

    name: ReplicaName = Field(description="Name of the pod, or its address.")
    revision: int | None = Field(None, ge=0, description="Revision that it serves by; absent while not known.")
    model: DnsLabel | None = Field(None, description="Model that answered.")
    message: str | None = Field(None, max_length=512, description="What is wrong with it.")


class ModelRouteStatus(ApiModel):
    """What the operator saw; all of it can be rebuilt but for the history."""

    observed_generation: int = Field(0, ge=0, description="Generation that this status speaks of.")
    active: DnsLabel | None = Field(None, description="The model that serves, or all but the share of a failback.")
    best: DnsLabel | None = Field(None, description="The model that ranks first.")
    preferred: DnsLabel | None = Field(
        None, description="The model that traffic left because it failed, and goes back to when it is the best again."
    )
    shares: list[Share] = Field(
        default_factory=list,
        max_length=MAX_MODELS,
        json_schema_extra=map_list("name"),
        description="Shares that the gateway is told, in percent; together 100.",
    )
    fallbacks: list[DnsLabel] = Field(
        default_factory=list,
        max_length=MAX_MODELS,
        json_schema_extra=ATOMIC_LIST,
        description="Models that the gateway may ask itself when one does not answer, the first one first.",
    )
    revision: int = Field(0, ge=0, description="Number of what the gateway is told; each change has a new one.")
    revision_at: Timestamp | None = Field(None, description="When the revision was set.")
    proved_revision: int = Field(0, ge=0, description="Newest revision that every replica was seen to serve by.")
    models: list[ModelStatus] = Field(
        default_factory=list,
        max_length=MAX_MODELS,
        json_schema_extra=map_list("name"),
        description="Each model: how it is, its rank, and why.",
    )
    figures_at: Timestamp | None = Field(
        None, description="When figures, scores and ranks were last written down: they change with every request."
    )
    replicas: list[GatewayReplica] = Field(
        default_factory=list,
        max_length=MAX_REPLICAS,
        json_schema_extra=map_list("name"),
        description="Each replica of the gateway.",
    )
    switch: SwitchStatus | None = Field(None, description="The switch that is under way.")
    switches: list[PastSwitch] = Field(
        default_factory=list,
        max_length=MAX_SWITCHES,
        json_schema_extra=ATOMIC_LIST,
        description="Switches that ended, the newest last.",
    )
    switched_at: Timestamp | None = Field(None, description="When traffic last moved to another model.")
    failed_failbacks: int = Field(0, ge=0, le=64, description="Failbacks that failed in a row.")
    hold_until: Timestamp | None = Field(None, description="No failback begins before.")
    better_since: Timestamp | None = Field(None, description="Since when another model has been better.")
    acts: Acts
    told: str | None = Field(None, max_length=128, description="What was told of a dry run or a due failback last.")
    endpoint: str | None = Field(None, max_length=2048, description="Where clients send requests.")
    binding: BindingRef | None = Field(None, description="Secret with what applications need to connect.")
    config_hash: Hash | None = Field(None, description="Hash of what the gateway is told.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("type"),
        description="Conditions of the route.",
    )
