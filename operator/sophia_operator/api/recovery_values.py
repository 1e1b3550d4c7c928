"""Words of recovery: symptoms, actions, and the table of what fits together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class TargetKind(StrEnum):
    """Kinds of objects that are recovered."""

    CONNECTION_POOL = "ConnectionPool"
    CACHE_TIER = "CacheTier"
    MODEL_ROUTE = "ModelRoute"
    MANAGED_SERVICE = "ManagedService"


class Symptom(StrEnum):
    """What may be wrong with a target."""

    CONNECTION_LOST = "ConnectionLost"  # clients of the pool reach no server of its role
    HIGH_MEMORY = "HighMemory"  # a cache is near its memory limit, or refuses writes for it
    SLOW_QUERIES = "SlowQueries"  # a statement runs, or blocks others, for too long
    MODEL_TIMEOUT = "ModelTimeout"  # the model that serves does not answer, or not in time
    REPLICATION_LAG = "ReplicationLag"  # a standby trails behind
    CACHE_HIT_RATIO_LOW = "CacheHitRatioLow"  # a cache answers too small a part of the reads
    POD_CRASH_LOOP = "PodCrashLoop"  # a pod ends again and again
    BUDGET_EXCEEDED = "BudgetExceeded"  # a pool does not fit into what its server allows


class Action(StrEnum):
    """What may be done about it."""

    RECONNECT = "Reconnect"  # every PgBouncer takes new connections, and is verified by role
    CANCEL_STATEMENT = "CancelStatement"  # the statement that blocks or runs longest is cancelled
    REFRESH_PLANS = "RefreshPlans"  # ANALYZE, then new server connections, which plan anew
    LIMIT_CONNECTIONS = "LimitConnections"  # the pool is held to a part of its size for a time
    FLUSH_NAMESPACE = "FlushNamespace"  # entries of the cheapest cache namespace are deleted, at a pace
    PURGE_MEMORY = "PurgeMemory"  # Redis gives memory back that holds no entries; nothing is deleted
    SWITCH_MODEL = "SwitchModel"  # another model serves
    RESTART_POD = "RestartPod"  # a pod that crashes again and again is made anew
    NOTIFY = "Notify"  # nothing but to tell people


class Mode(StrEnum):
    """What the operator may do by itself."""

    OFF = "Off"  # nothing, and no action is made
    DRY_RUN = "DryRun"  # an action is made that says what would be done
    APPROVE = "Approve"  # an action is made that waits for a person
    AUTO = "Auto"


#: From the strictest: of two policies for one object the stricter one wins.
STRICTNESS: Final = (Mode.OFF, Mode.DRY_RUN, Mode.APPROVE, Mode.AUTO)


class Severity(StrEnum):
    """How bad a symptom is."""

    INFO = "Info"
    WARNING = "Warning"
    CRITICAL = "Critical"


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """What an action is."""

    kinds: frozenset[TargetKind]
    #: Symptoms that it may answer.
    answers: frozenset[Symptom]
    #: Mode while neither the policy nor its rule says one.
    mode: Mode
    #: Entries of users are gone afterwards.
    deletes_data: bool = False
    #: It brings users to what works and takes nothing from them: allowed while a release moves.
    makes_users_safe: bool = False
    #: May be begun again after a crash that came in the middle. One that may not be becomes `Unknown` then.
    idempotent: bool = True
    #: How a person takes it back; None when there is nothing to take back, or no way.
    undo: str | None = None


_ALL_KINDS: Final = frozenset(TargetKind)
_POOL: Final = frozenset({TargetKind.CONNECTION_POOL})
_TIER: Final = frozenset({TargetKind.CACHE_TIER})

ACTIONS: Final[Mapping[Action, ActionFacts]] = {
    Action.RECONNECT: ActionFacts(
        _POOL, frozenset({Symptom.CONNECTION_LOST, Symptom.REPLICATION_LAG}), Mode.AUTO, makes_users_safe=True
    ),
    Action.CANCEL_STATEMENT: ActionFacts(
        _POOL,
        frozenset({Symptom.SLOW_QUERIES}),
        Mode.APPROVE,
    ),
    Action.REFRESH_PLANS: ActionFacts(
        _POOL,
        frozenset({Symptom.SLOW_QUERIES}),
        Mode.APPROVE,
        idempotent=False,
    ),
    Action.LIMIT_CONNECTIONS: ActionFacts(
        _POOL,
        frozenset({Symptom.SLOW_QUERIES, Symptom.BUDGET_EXCEEDED, Symptom.REPLICATION_LAG}),
        Mode.APPROVE,
        undo="ends by itself; delete the RecoveryAction to end it now",
    ),
    Action.FLUSH_NAMESPACE: ActionFacts(
        _TIER,
        frozenset({Symptom.HIGH_MEMORY}),
        Mode.DRY_RUN,
        deletes_data=True,
    ),
    Action.PURGE_MEMORY: ActionFacts(_TIER, frozenset({Symptom.HIGH_MEMORY}), Mode.AUTO),
    Action.SWITCH_MODEL: ActionFacts(
        frozenset({TargetKind.MODEL_ROUTE}),
        frozenset({Symptom.MODEL_TIMEOUT}),
        Mode.AUTO,
        makes_users_safe=True,
        undo="traffic goes back by itself once the model is healthy; or set spec.pin",
    ),
    Action.RESTART_POD: ActionFacts(
        frozenset({TargetKind.CONNECTION_POOL, TargetKind.CACHE_TIER, TargetKind.MANAGED_SERVICE}),
        frozenset({Symptom.POD_CRASH_LOOP}),
        Mode.APPROVE,
    ),
    Action.NOTIFY: ActionFacts(_ALL_KINDS, frozenset(Symptom), Mode.AUTO),
}

#: Kinds that may show a symptom.
SYMPTOM_KINDS: Final[Mapping[Symptom, frozenset[TargetKind]]] = {
    Symptom.CONNECTION_LOST: _POOL,
    Symptom.HIGH_MEMORY: _TIER,
    Symptom.SLOW_QUERIES: _POOL,
    Symptom.MODEL_TIMEOUT: frozenset({TargetKind.MODEL_ROUTE}),
    Symptom.REPLICATION_LAG: _POOL,
    Symptom.CACHE_HIT_RATIO_LOW: _TIER,
    Symptom.POD_CRASH_LOOP: frozenset({TargetKind.CONNECTION_POOL, TargetKind.CACHE_TIER, TargetKind.MANAGED_SERVICE}),
    Symptom.BUDGET_EXCEEDED: _POOL,
}
