"""What recovery sees: frozen values, already parsed.

`None` always means "not there" or "not known".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.api.managed_service import ManagedServiceSpec, ManagedServiceStatus
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.api.recovery_action import RecoveryActionSpec
from sophia_operator.api.recovery_action_status import RecoveryActionStatus
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_policy import RecoveryPolicySpec
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.api.recovery_values import Action, Symptom, TargetKind

TargetSpec = ConnectionPoolSpec | CacheTierSpec | ModelRouteSpec | ManagedServiceSpec
TargetStatus = ConnectionPoolStatus | CacheTierStatus | ModelRouteStatus | ManagedServiceStatus
#: Kind and name of an object in the namespace that is looked at.
TargetKey = tuple[TargetKind, str]


@dataclass(frozen=True, slots=True)
class CrashingPod:
    """A pod of a target whose container ended several times."""

    name: str
    uid: str
    restarts: int
    message: str


@dataclass(frozen=True, slots=True)
class TargetView:
    """An object that may be acted on."""

    kind: TargetKind
    namespace: str
    name: str
    uid: str
    generation: int
    labels: Mapping[str, str]
    #: None when it cannot be read.
    spec: TargetSpec | None
    status: TargetStatus
    #: Pods that crash, the worst first.
    crashing: tuple[CrashingPod, ...] = ()
    deleting: bool = False

    @property
    def key(self) -> TargetKey:
        """Tells it from every other one of its namespace."""
        return self.kind, self.name


@dataclass(frozen=True, slots=True)
class Sign:
    """What a check says of a symptom."""

    #: None when it cannot be told: the target was not looked at, or says nothing of it. That neither begins an
    #: incident nor ends one.
    present: bool | None
    #: How bad it is, in the symptom's own unit: more is worse.
    value: float | None = None
    message: str = ""
    #: Whether the value is a time, in seconds, which rises as time passes.
    ages: bool = False


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A RecoveryPolicy."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    spec: RecoveryPolicySpec
    status: RecoveryPolicyStatus


@dataclass(frozen=True, slots=True)
class ActionView:
    """A RecoveryAction."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    spec: RecoveryActionSpec
    status: RecoveryActionStatus

    @property
    def target(self) -> TargetKey:
        """What it is about."""
        return self.spec.target.kind, self.spec.target.name


@dataclass(frozen=True, slots=True)
class MovingRelease:
    """A Release whose rollout is under way, and what it binds."""

    service: str
    name: str
    revision: int
    #: When its rollout began.
    started_at: datetime
    #: Objects that its snapshot is bound to, chains whole, and its ManagedService.
    bound: frozenset[TargetKey]
    #: Whether users' requests reach it.
    has_traffic: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """What was done so far, and what else goes on in the namespace."""

    #: Every RecoveryAction of the namespace, the oldest first.
    actions: tuple[ActionView, ...] = ()
    #: When acts of other namespaces were claimed, in the last hour.
    elsewhere: tuple[datetime, ...] = ()
    moving: tuple[MovingRelease, ...] = ()


@dataclass(frozen=True, slots=True)
class SymptomSeen:
    """What is seen of one symptom of one target, by the rule of one policy."""

    policy: str
    target: TargetKey
    symptom: Symptom
    sign: Sign


@dataclass(frozen=True, slots=True)
class Symptoms:
    """What is seen in a namespace."""

    #: By the policy's name: the targets that it selects.
    selected: Mapping[str, tuple[TargetKey, ...]]
    seen: tuple[SymptomSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class ActRequest:
    """A RecoveryAction, as its target sees it."""

    name: str
    uid: str
    action: Action
    parameters: Parameters = field(default_factory=Parameters)
    #: When it was claimed.
    claimed_at: datetime | None = None
    #: Whether the target may begin with it. One that the target has begun with goes on in any case, and one that is
    #: over is listed as long as its RecoveryAction is there: an effect that lasts ends when that is deleted.
    may_begin: bool = False
    symptom: Symptom | None = None
    #: When the incident began that it answers: what the target did by itself since then may be all that was needed.
    #: None when a person asked for it.
    since: datetime | None = None
