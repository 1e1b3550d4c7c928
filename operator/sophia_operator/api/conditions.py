"""Conditions, the reasons they give, and the only functions that change a list of them.

They follow the Kubernetes API conventions and kstatus: `Ready` is always there, `Reconciling` and `Stalled`
are there only while true and never both, each names the generation it speaks of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import Field

from sophia_operator.api.common import ApiModel, Message, Timestamp


class ConditionType(StrEnum):
    """What a condition speaks of."""

    READY = "Ready"
    AVAILABLE = "Available"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PAUSED = "Paused"
    METRICS_AVAILABLE = "MetricsAvailable"
    TRAFFIC_VERIFIED = "TrafficVerified"
    DRAIN_SAFE = "DrainSafe"
    HEALTHY = "Healthy"
    ROLE_CORRECT = "RoleCorrect"
    WITHIN_BUDGET = "WithinBudget"
    CONFIG_APPLIED = "ConfigApplied"
    WITHIN_QUOTA = "WithinQuota"
    HIT_RATIO_ON_TARGET = "HitRatioOnTarget"
    LIVE_CONFIG_APPLIED = "LiveConfigApplied"
    ON_BEST_MODEL = "OnBestModel"
    CREDENTIALS_VALID = "CredentialsValid"
    STORM_ACTIVE = "StormActive"
    APPROVED = "Approved"
    VERIFIED = "Verified"
    SIGNALS_DELIVERED = "SignalsDelivered"


class ConditionStatus(StrEnum):
    """Whether it holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition, a transition or an event is what it is."""

    # in order
    SETTLED = "Settled"
    FIRST_RELEASE = "FirstRelease"
    NEW_RELEASE = "NewRelease"
    PROGRESSING = "Progressing"
    PROVISIONING = "Provisioning"
    SMOKE_TESTING = "SmokeTesting"
    SMOKE_TESTS_PASSED = "SmokeTestsPassed"
    SHIFTING = "Shifting"
    WEIGHT_OBSERVED = "WeightObserved"
    STAGE_PASSED = "StagePassed"
    PROMOTED = "Promoted"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    REVERTED = "Reverted"
    REBUILT = "Rebuilt"
    AVAILABLE = "Available"
    VERIFIED = "Verified"
    # holds
    PAUSED_BY_INTENT = "PausedByIntent"
    PAUSED_BY_SERVICE = "PausedByService"
    INCONCLUSIVE_LIMIT = "InconclusiveLimit"
    GATE_FAILED_PAUSE = "GateFailedPause"
    AWAITING_OBSERVATION = "AwaitingObservation"
    AWAITING_DRAIN = "AwaitingDrain"
    STABLE_NOT_READY = "StableNotReady"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    SCALED_TO_ZERO = "ScaledToZero"
    # failures
    ABORTED = "Aborted"
    GATE_FAILED = "GateFailed"
    SMOKE_TEST_FAILED = "SmokeTestFailed"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    CRASH_LOOP = "CrashLoop"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    QUOTA_EXCEEDED = "QuotaExceeded"
    GREEN_NOT_READY = "GreenNotReady"
    ROUTE_NOT_PROGRAMMED = "RouteNotProgrammed"
    ROUTE_REFUSED = "RouteRefused"
    RELEASE_LATCHED = "ReleaseLatched"
    RETRIED = "Retried"
    PROMOTED_BY_INTENT = "PromotedByIntent"
    # what stalls
    INVALID_SPEC = "InvalidSpec"
    INVALID_TEMPLATE = "InvalidTemplate"
    INVALID_ROUTE = "InvalidRoute"
    INVALID_QUERY = "InvalidQuery"
    GATEWAY_NOT_FOUND = "GatewayNotFound"
    HOSTNAME_TAKEN = "HostnameTaken"
    NOT_OWNED = "NotOwned"
    CONFIG_NOT_FOUND = "ConfigNotFound"
    SNAPSHOT_ALTERED = "SnapshotAltered"
    API_ERROR = "ApiError"
    NOT_READY = "NotReady"
    NO_RELEASE = "NoRelease"
    GRACE_TOO_SHORT = "GraceTooShort"
    # pools in order
    POOL_READY = "PoolReady"
    CHECKS_PASSED = "ChecksPassed"
    ROLE_VERIFIED = "RoleVerified"
    BUDGET_KEPT = "BudgetKept"
    CONFIG_CONFIRMED = "ConfigConfirmed"
    RESIZED = "Resized"
    RECONNECTED = "Reconnected"
    # pools on their way
    NOT_CHECKED = "NotChecked"
    CONFIG_PENDING = "ConfigPending"
    RECONNECTING = "Reconnecting"
    AWAITING_SERVER = "AwaitingServer"
    INSTANCES_NOT_READY = "InstancesNotReady"
    REPLACING_INSTANCES = "ReplacingInstances"
    PAUSED_BY_SPEC = "PausedBySpec"
    RESUMED_BY_TIMEOUT = "ResumedByTimeout"
    # what is wrong with a pool
    SERVER_LOST = "ServerLost"
    SERVER_REPLACED = "ServerReplaced"
    WRONG_ROLE = "WrongRole"
    REPLICATION_LAG = "ReplicationLag"
    INSTANCE_UNREACHABLE = "InstanceUnreachable"
    SLOW = "Slow"
    CLIENTS_WAITING = "ClientsWaiting"
    OVER_BUDGET = "OverBudget"
    HOST_UNKNOWN = "HostUnknown"
    SERVER_UNREACHABLE = "ServerUnreachable"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    DATABASE_NOT_FOUND = "DatabaseNotFound"
    TLS_REQUIRED = "TlsRequired"
    TLS_UNAVAILABLE = "TlsUnavailable"
    TLS_UNTRUSTED = "TlsUntrusted"
    TOO_MANY_CONNECTIONS = "TooManyConnections"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105 - a reason
    BINDING_NOT_FOUND = "BindingNotFound"
    # caches in order
    TIER_READY = "TierReady"
    QUOTAS_KEPT = "QuotasKept"
    HIT_RATIO_REACHED = "HitRatioReached"
    FAILED_OVER = "FailedOver"
    SWITCHED_OVER = "SwitchedOver"
    FLUSHED = "Flushed"
    EVICTED = "Evicted"
    WARMED = "Warmed"
    # caches on their way
    FAILING_OVER = "FailingOver"
    SWITCHING_OVER = "SwitchingOver"
    FENCING = "Fencing"
    ROLLING = "Rolling"
    SYNCING = "Syncing"
    FLUSHING = "Flushing"
    FLUSH_PAUSED = "FlushPaused"
    FLUSH_STOPPED = "FlushStopped"
    WARMING_UP = "WarmingUp"
    NOT_SCANNED = "NotScanned"
    NO_READS = "NoReads"
    LOADING = "Loading"
    # what is wrong with a cache
    PRIMARY_LOST = "PrimaryLost"
    NO_PRIMARY = "NoPrimary"
    TWO_PRIMARIES = "TwoPrimaries"
    NODES_NOT_READY = "NodesNotReady"
    NODE_UNREACHABLE = "NodeUnreachable"
    READ_ONLY = "ReadOnly"
    OUT_OF_MEMORY = "OutOfMemory"
    PERSISTENCE_FAILED = "PersistenceFailed"
    NO_PERMISSION = "NoPermission"
    OVER_QUOTA = "OverQuota"
    HIT_RATIO_LOW = "HitRatioLow"
    TIER_NOT_FOUND = "TierNotFound"
    CHAIN_CYCLE = "ChainCycle"
    FLUSH_REFUSED = "FlushRefused"
    WARM_UP_FAILED = "WarmUpFailed"
    POOL_NOT_FOUND = "PoolNotFound"
    TABLE_NOT_OURS = "TableNotOurs"
    # models in order
    ROUTE_READY = "RouteReady"
    BEST_MODEL_SERVES = "BestModelServes"
    PROVED = "Proved"
    SWITCHED = "Switched"
    FAILED_BACK = "FailedBack"
    CREDENTIALS_ACCEPTED = "CredentialsAccepted"
    PINNED = "Pinned"
    DRY_RUN = "DryRun"
    WOULD_SWITCH = "WouldSwitch"
    # models on their way
    SWITCHING = "Switching"
    FAILING_BACK = "FailingBack"
    FAILBACK_DUE = "FailbackDue"
    AWAITING_PROOF = "AwaitingProof"
    ON_HOLD = "OnHold"
    ON_FALLBACK = "OnFallback"
    # what is wrong with a model or its gateway
    MODEL_FAILED = "ModelFailed"
    MODEL_SLOW = "ModelSlow"
    MODEL_ERRORS = "ModelErrors"
    RATE_LIMITED = "RateLimited"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    CAPABILITY_MISSING = "CapabilityMissing"
    INVALID_ANSWER = "InvalidAnswer"
    ALL_MODELS_DOWN = "AllModelsDown"
    NO_MODEL = "NoModel"
    FAILBACK_FAILED = "FailbackFailed"
    REPLICA_LAGS = "ReplicaLags"
    NO_REPLICAS = "NoReplicas"
    # recovery in order
    WATCHING = "Watching"
    CALM = "Calm"
    CLAIMED = "Claimed"
    ACTING = "Acting"
    VERIFYING = "Verifying"
    HELPED = "Helped"
    ACT_DONE = "ActDone"
    NOT_NEEDED = "NotNeeded"
    WOULD_ACT = "WouldAct"
    APPROVED = "Approved"
    SIGNALS_SENT = "SignalsSent"
    # why recovery does not act now
    SYMPTOM_IS_NEW = "SymptomIsNew"
    SYMPTOM_IS_GONE = "SymptomIsGone"
    SYMPTOM_UNKNOWN = "SymptomUnknown"
    AWAITING_APPROVAL = "AwaitingApproval"
    ACT_UNDER_WAY = "ActUnderWay"
    COOLING_DOWN = "CoolingDown"
    BUDGET_SPENT = "BudgetSpent"
    BREAKER_OPEN = "BreakerOpen"
    STORM_ACTIVE = "StormActive"
    RELEASE_MOVING = "ReleaseMoving"
    LEFT_TO_RELEASE = "LeftToRelease"
    PAUSE_REQUESTED = "PauseRequested"
    QUIET_WINDOW = "QuietWindow"
    BELOW_FLOOR = "BelowFloor"
    MODE_OFF = "ModeOff"
    STRICTER_POLICY = "StricterPolicy"
    # what is wrong with a recovery
    NO_CHANGE = "NoChange"
    WORSE = "Worse"
    ACT_FAILED = "ActFailed"
    GAVE_UP = "GaveUp"
    REJECTED = "Rejected"
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    TARGET_NOT_FOUND = "TargetNotFound"
    TARGET_ELSEWHERE = "TargetElsewhere"
    NO_TARGETS = "NoTargets"
    SIGNAL_FAILED = "SignalFailed"
    # what recovery does to a rollout
    RECOVERY_UNDER_WAY = "RecoveryUnderWay"
    SYMPTOM_BEGAN = "SymptomBegan"


#: Reasons of holds that a person, or a limit that a person set, asked for.
PAUSES: Final = frozenset(
    {Reason.PAUSED_BY_INTENT, Reason.PAUSED_BY_SERVICE, Reason.INCONCLUSIVE_LIMIT, Reason.GATE_FAILED_PAUSE}
)


class Condition(ApiModel):
    """One statement about an object, as in `metav1.Condition`."""

    type: str = Field(max_length=316, description="What the condition speaks of.")
    status: ConditionStatus = Field(description="Whether it holds: True, False or Unknown.")
    observed_generation: int = Field(0, ge=0, description="Generation of the object that the condition speaks of.")
    last_transition_time: Timestamp = Field(description="When the status of the condition last changed.")
    reason: str = Field(
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Why, in one word.",
    )
    message: Message = Field("", description="Why, in words, and what to do.")


def find(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """The condition of that type, if there."""
    wanted = kind.value  # not once an item: reading the value of an enum's member is slow
    return next((c for c in conditions if c.type == wanted), None)


def is_true(conditions: Iterable[Condition], kind: ConditionType) -> bool:
    """Whether the condition is there and holds."""
    found = find(conditions, kind)
    return found is not None and found.status is ConditionStatus.TRUE


@dataclass(frozen=True, slots=True)
class Author:
    """Writes conditions of one object in one pass: it knows the old ones, the generation and the time."""

    before: Sequence[Condition]
    generation: int
    now: datetime

    def put(
        self,
        conditions: Iterable[Condition],
        kind: ConditionType,
        why: tuple[Reason, str],
        status: ConditionStatus = ConditionStatus.TRUE,
    ) -> list[Condition]:
        """The list with that condition set, sorted by type. Its time changes only when its status does."""
        reason, message = why
        old = find(self.before, kind)
        since = old.last_transition_time if old is not None and old.status is status else self.now
        new = Condition(
            type=kind.value,
            status=status,
            observed_generation=self.generation,
            last_transition_time=since,
            reason=reason.value,
            message=message[:4096],
        )
        return sorted([*drop(conditions, kind), new], key=lambda c: c.type)


def drop(conditions: Iterable[Condition], kind: ConditionType) -> list[Condition]:
    """The list without that condition."""
    unwanted = kind.value
    return [c for c in conditions if c.type != unwanted]


def violations(conditions: Iterable[Condition], generation: int) -> list[str]:
    """What is wrong with a list of conditions; empty when nothing is. Statuses that tests make all go through it."""
    items = list(conditions)
    types = [c.type for c in items]
    out = [f"condition type {t} is not known" for t in types if t not in _TYPES]
    out += [f"condition {t} is there twice" for t in sorted({t for t in types if types.count(t) > 1})]
    if ConditionType.READY.value not in types:
        out.append("Ready is missing")
    if is_true(items, ConditionType.RECONCILING) and is_true(items, ConditionType.STALLED):
        out.append("Reconciling and Stalled are both true")
    for abnormal in (ConditionType.RECONCILING, ConditionType.STALLED):
        found = find(items, abnormal)
        if found is not None and found.status is not ConditionStatus.TRUE:
            out.append(f"{abnormal.value} is there but not true")
    if is_true(items, ConditionType.STALLED) and not find(items, ConditionType.STALLED).message:  # type: ignore[union-attr]
        out.append("Stalled without a message")
    out += [f"reason {c.reason} of {c.type} is not known" for c in items if c.reason not in _REASONS]
    out += [
        f"{c.type} speaks of generation {c.observed_generation}, the object is at {generation}"
        for c in items
        if c.observed_generation > generation
    ]
    return out


_TYPES: Final = frozenset(kind.value for kind in ConditionType)
_REASONS: Final = frozenset(reason.value for reason in Reason)
