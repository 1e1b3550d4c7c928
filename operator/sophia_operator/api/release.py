"""Release: one immutable attempt at one change of a ManagedService, and the evidence it gathered."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from sophia_operator.api.binding_version import MAX_BINDINGS, MAX_CACHE_BINDINGS, MAX_MODEL_BINDINGS, BindingVersion
from sophia_operator.api.common import (
    ATOMIC_LIST,
    PRESERVE_UNKNOWN,
    ApiModel,
    DnsLabel,
    Hash,
    Message,
    ObjectName,
    Timestamp,
    map_list,
    rules,
)
from sophia_operator.api.conditions import Condition
from sophia_operator.api.rollout_plan import Percent, RolloutPlan
from sophia_operator.api.traffic import Ports

MAX_TRANSITIONS: Final = 40


class Color(StrEnum):
    """The two places a release can run at."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Color:
        """The opposite colour."""
        return Color.GREEN if self is Color.BLUE else Color.BLUE


class Intent(StrEnum):
    """What a person wants of a release."""

    PROCEED = "Proceed"
    PAUSE = "Pause"
    ABORT = "Abort"
    PROMOTE = "Promote"
    RETRY = "Retry"


class ConfigKind(StrEnum):
    """Kinds of objects that a release takes a copy of."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 - the name of a kind


class ConfigVersion(ApiModel):
    """One ConfigMap or Secret as it was when the release was made."""

    kind: ConfigKind = Field(description="Kind of the object.")
    name: ObjectName = Field(description="Name of the object that users edit.")
    hash: Hash = Field(description="Hash of its content.")
    copy_name: ObjectName = Field(description="Name of the immutable copy that the release's pods use.")


class Snapshot(ApiModel):
    """What the release runs and how it is rolled out, as it was when the change was made."""

    template: dict[str, Any] = Field(
        json_schema_extra=PRESERVE_UNKNOWN, description="Pod template, as in a Deployment."
    )
    ports: Ports = Field(description="Ports of the service.")
    config: list[ConfigVersion] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=ATOMIC_LIST,
        description="Versions of the configuration.",
    )
    bindings: list[BindingVersion] = Field(
        default_factory=list,
        max_length=MAX_BINDINGS + MAX_CACHE_BINDINGS + MAX_MODEL_BINDINGS,
        json_schema_extra=ATOMIC_LIST,
        description="Versions of the bindings, sorted by kind and name.",
    )
    plan: RolloutPlan = Field(default_factory=RolloutPlan, description="The plan that the rollout follows.")


class ReleaseSpec(ApiModel):
    """The snapshot, which never changes, and the intent, which people change."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            ("self.hash == oldSelf.hash", "hash is immutable: change the ManagedService instead"),
            ("self.serviceName == oldSelf.serviceName", "serviceName is immutable"),
            ("self.revision == oldSelf.revision", "revision is immutable"),
            (
                # Holds for the template as well: two values are compared whole, also where no field is declared.
                "self.snapshot == oldSelf.snapshot",
                "snapshot is immutable: change the ManagedService instead",
            ),
        )
    }

    service_name: DnsLabel = Field(description="Name of the ManagedService.")
    revision: int = Field(ge=1, le=2_147_483_647, description="Number of the release, rising by one with each change.")
    hash: Hash = Field(description="Hash of what the release runs: template, ports, configuration and bindings.")
    snapshot: Snapshot = Field(description="What the release runs and how it is rolled out.")
    intent: Intent = Field(
        Intent.PROCEED,
        description="Proceed follows the plan; Pause holds; Abort goes back at once; Promote skips "
        "the remaining stages; Retry "
        "starts a failed release again.",
    )
    reason: str | None = Field(
        None, max_length=1024, description="Why the intent was set, for those who read it later."
    )


class ReleaseState(StrEnum):
    """Where a release is."""

    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    SMOKE_TESTING = "SmokeTesting"
    SHIFTING = "Shifting"
    PROMOTED = "Promoted"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"

    @property
    def is_active(self) -> bool:
        """Whether the rollout is under way."""
        return self in _ACTIVE

    @property
    def is_latched(self) -> bool:
        """Whether the release failed and does not start again by itself."""
        return self in (ReleaseState.ROLLED_BACK, ReleaseState.FAILED)


_ACTIVE: Final = frozenset(
    {ReleaseState.PROVISIONING, ReleaseState.SMOKE_TESTING, ReleaseState.SHIFTING, ReleaseState.ROLLING_BACK}
)


class Verdict(StrEnum):
    """What the evidence says."""

    PASS = "Pass"  # noqa: S105 - a verdict
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


class GateStatus(ApiModel):
    """What a gate saw at its last look."""

    name: DnsLabel = Field(description="Name of the gate.")
    verdict: Verdict = Field(description="Pass, Fail or Inconclusive.")
    value: str | None = Field(
        None, max_length=64, description="Measured value: percent, milliseconds, or the query's own unit."
    )
    baseline: str | None = Field(None, max_length=64, description="The stable release's value, for a comparison.")
    requests: int | None = Field(None, ge=0, description="How many requests the verdict rests on.")
    window_seconds: int | None = Field(None, ge=1, description="How far back the last look reached, in seconds.")
    message: Message = Field("", description="Why, in words.")
    query: str | None = Field(None, max_length=16_384, description="The query that was sent to Prometheus.")
    failures: int = Field(0, ge=0, description="Failed looks in this stage.")
    inconclusives: int = Field(0, ge=0, description="Inconclusive looks in a row.")
    looks: int = Field(0, ge=0, description="Looks in this stage.")
    looked_at: Timestamp | None = Field(None, description="Time of the last look.")
    next_look_at: Timestamp | None = Field(None, description="Time of the next look.")
    dry_run: bool = Field(False, description="Whether the gate only reports.")


class StageStatus(ApiModel):
    """The stage a release is at."""

    index: int = Field(ge=0, le=19, description="Position in the plan, from 0.")
    weight_percent: Percent = Field(description="Share of the traffic that the stage gives, in percent.")
    previous_weight_percent: Percent = Field(0, description="Share before the stage, in percent.")
    started_at: Timestamp = Field(description="When the weight was decided.")
    effective_at: Timestamp | None = Field(None, description="When the weight was observed in the traffic.")


class WeightStatus(ApiModel):
    """Traffic of the release: what should be, what the route says, what was seen."""

    wanted_percent: Percent = Field(0, description="Share that the release should get, in percent.")
    written_percent: Percent | None = Field(None, description="Share that stands in the route, in percent.")
    observed_percent: Percent | None = Field(None, description="Share that was seen in the traffic, in percent.")
    looked_at: Timestamp | None = Field(None, description="Time of the last look at the traffic.")
    message: Message = Field("", description="How it was seen.")


class SmokeTestStatus(ApiModel):
    """How a smoke test went."""

    name: DnsLabel = Field(description="Name of the test.")
    passed: bool = Field(description="Whether the last try passed.")
    attempts: int = Field(0, ge=0, description="Tries so far.")
    tried_at: Timestamp | None = Field(None, description="Time of the last try.")
    message: Message = Field("", description="What was wrong, if anything.")


class Transition(ApiModel):
    """One step of the release's way."""

    time: Timestamp = Field(description="When.")
    state: ReleaseState = Field(description="Where it went.")
    weight_percent: Percent | None = Field(None, description="Share of the traffic that it got, in percent.")
    reason: str = Field(max_length=128, description="Why, in one word.")
    message: Message = Field("", description="Why, in words.")


class PauseStatus(ApiModel):
    """Why the operator itself paused, and since when."""

    since: Timestamp = Field(description="Since when.")
    reason: str = Field(max_length=128, description="Why, in one word.")
    message: Message = Field("", description="Why, in words.")
    generation: int = Field(
        ge=0, description="Generation of the Release then; a newer one, that is a new intent, resumes."
    )


class Outcome(ApiModel):
    """Where a rollback leads, and why it began."""

    state: ReleaseState = Field(description="State to end in.")
    reason: str = Field(max_length=128, description="Why, in one word.")
    message: Message = Field("", description="Why, in words.")


class ReleaseStatus(ApiModel):
    """What the operator saw and did."""

    observed_generation: int = Field(0, ge=0, description="Generation of the Release that this status speaks of.")
    phase: str | None = Field(None, max_length=64, description="Where the release is, for people.")
    state: ReleaseState = Field(ReleaseState.PENDING, description="Where the release is.")
    state_since: Timestamp | None = Field(None, description="Since when it is there.")
    color: Color | None = Field(None, description="The colour it runs as.")
    attempt: int = Field(1, ge=1, description="How often it was started.")
    started_at: Timestamp | None = Field(None, description="When the rollout began.")
    promoted_at: Timestamp | None = Field(None, description="When it became the stable release.")
    ended_at: Timestamp | None = Field(None, description="When the rollout ended.")
    without_traffic_since: Timestamp | None = Field(None, description="Since when its weight is zero in the route.")
    deleted_drain_since: Timestamp | None = Field(
        None,
        description="Since when it has all traffic, while a release whose Release somebody deleted is drained as the "
        "other colour.",
    )
    not_ready_since: Timestamp | None = Field(None, description="Since when it is short of ready pods.")
    base_replicas: int | None = Field(
        None, ge=0, description="Size when the rollout began; the least size until it ends."
    )
    stage: StageStatus | None = Field(None, description="The stage it is at.")
    weights: WeightStatus = Field(default_factory=WeightStatus, description="Its share of the traffic.")
    smoke_tests: list[SmokeTestStatus] = Field(
        default_factory=list,
        max_length=20,
        json_schema_extra=map_list("name"),
        description="How the smoke tests went.",
    )
    gates: list[GateStatus] = Field(
        default_factory=list,
        max_length=20,
        json_schema_extra=map_list("name"),
        description="What the gates saw.",
    )
    pause: PauseStatus | None = Field(None, description="Why the operator itself paused.")
    outcome: Outcome | None = Field(None, description="Where a rollback leads, and why it began.")
    handled_generation: int = Field(
        0, ge=0, description="Generation whose Retry was carried out, so that it is carried out once."
    )
    transitions: list[Transition] = Field(
        default_factory=list,
        max_length=MAX_TRANSITIONS,
        json_schema_extra=ATOMIC_LIST,
        description="The release's way so far, newest last; the oldest are dropped.",
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("type"),
        description="Conditions of the release.",
    )


class Release(ApiModel):
    """One immutable attempt at one change of a ManagedService. The operator makes it; people steer
    it by `spec.intent`."""

    api_version: str = Field(description="sophia.ai/v1alpha1.")
    kind: str = Field(description="Release.")
    metadata: dict[str, Any] = Field(json_schema_extra=PRESERVE_UNKNOWN, description="Metadata of the object.")
    spec: ReleaseSpec = Field(description="The snapshot, and what a person wants of it.")
    status: ReleaseStatus = Field(default_factory=ReleaseStatus, description="What the operator saw and did.")


PercentOrNone = Annotated[int | None, Field(ge=0, le=100)]
