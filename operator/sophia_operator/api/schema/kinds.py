"""The kinds of the group: names, models, and the columns that people see."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.cache_tier import CacheTier
from sophia_operator.api.connection_pool import ConnectionPool
from sophia_operator.api.managed_service import ManagedService
from sophia_operator.api.model_route import ModelRoute
from sophia_operator.api.recovery_action import RecoveryAction
from sophia_operator.api.recovery_policy import RecoveryPolicy
from sophia_operator.api.release import Release
from sophia_operator.api.schema.crd import Column, Kind, Scale


def _of_ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")
_REASON: Final = Column("Reason", _of_ready("reason"), description="Why it is ready or not, in one word.", priority=1)
_MESSAGE: Final = Column("Message", _of_ready("message"), description="Why it is ready or not.", priority=1)

MANAGED_SERVICE: Final = Kind(
    name="ManagedService",
    plural="managedservices",
    short_names=("msvc",),
    model=ManagedService,
    columns=(
        Column("Ready", _of_ready("status"), description="Whether the service is ready."),
        Column("Stable", ".status.stable.name", description="The release that serves."),
        Column("Rollout", ".status.rollout.phase", description="Where the newest change is."),
        Column("Weight", ".status.weight", description="Share of the traffic at the new release."),
        Column("Replicas", ".status.replicas", "integer", "Pods of the release that serves."),
        _REASON,
        _MESSAGE,
        _AGE,
    ),
    scale=Scale(),
)

RELEASE: Final = Kind(
    name="Release",
    plural="releases",
    short_names=("rel",),
    model=Release,
    columns=(
        Column("Service", ".spec.serviceName", description="The ManagedService it belongs to."),
        Column("Phase", ".status.phase", description="Where the release is."),
        Column(
            "Stage",
            ".status.stage.weightPercent",
            "integer",
            "Share that the current stage gives, in percent.",
        ),
        Column("Weight", ".status.weights.observedPercent", "integer", "Share seen in the traffic, in percent."),
        Column("Intent", ".spec.intent", description="What a person wants of it."),
        Column("Reason", _of_ready("reason"), description="Why it is where it is, in one word."),
        _MESSAGE,
        _AGE,
    ),
)

CONNECTION_POOL: Final = Kind(
    name="ConnectionPool",
    plural="connectionpools",
    short_names=("cpool",),
    model=ConnectionPool,
    columns=(
        Column("Ready", ".status.ready", description="Ready instances of those wanted."),
        Column("Healthy", '.status.conditions[?(@.type=="Healthy")].status', description="Whether checks pass."),
        Column("In use", ".status.usage", description="Server connections in use, of those allowed."),
        Column("Waiting", ".status.waiting", "integer", "Clients that wait for a server connection."),
        Column("Role", ".spec.role", description="What clients need the server to be."),
        Column("Score", ".status.score", "integer", "Health from 0 to 100.", priority=1),
        Column("Server", ".status.server.address", description="Address of the server.", priority=1),
        _REASON,
        _MESSAGE,
        _AGE,
    ),
    scale=Scale(spec_replicas=".spec.instances", status_replicas=".status.instances"),
)

CACHE_TIER: Final = Kind(
    name="CacheTier",
    plural="cachetiers",
    short_names=("ctier",),
    model=CacheTier,
    columns=(
        Column("Ready", _of_ready("status"), description="Whether clients are served."),
        Column("Healthy", '.status.conditions[?(@.type=="Healthy")].status', description="Whether checks pass."),
        Column("Level", ".spec.level", description="Where entries are kept."),
        Column("Used", ".status.used", description="Memory in use, of that allowed."),
        Column("Hit %", ".status.hitRatioPercent", "integer", "Hit ratio over the last checks, in percent."),
        Column("Primary", ".status.primary", description="The node that accepts writes."),
        Column("Score", ".status.score", "integer", "Health from 0 to 100.", priority=1),
        Column("Nodes", ".status.ready", description="Ready nodes of those wanted.", priority=1),
        _REASON,
        _MESSAGE,
        _AGE,
    ),
)

MODEL_ROUTE: Final = Kind(
    name="ModelRoute",
    plural="modelroutes",
    short_names=("mroute",),
    model=ModelRoute,
    columns=(
        Column("Ready", _of_ready("status"), description="Whether a model serves, and every replica knows which."),
        Column("Active", ".status.active", description="The model that serves."),
        Column("Best", ".status.best", description="The model that ranks first."),
        Column("To", ".status.switch.to", description="The model that a switch under way leads to."),
        Column("Percent", ".status.switch.percent", "integer", "Share of the requests that it has, in percent."),
        Column("Proved", '.status.conditions[?(@.type=="TrafficVerified")].status', description="Seen everywhere."),
        Column("Pin", ".spec.pin", description="The model that a person chose.", priority=1),
        _REASON,
        _MESSAGE,
        _AGE,
    ),
)

RECOVERY_POLICY: Final = Kind(
    name="RecoveryPolicy",
    plural="recoverypolicies",
    short_names=("rpol",),
    model=RecoveryPolicy,
    columns=(
        Column("Ready", _of_ready("status"), description="Whether the policy is in force."),
        Column("Mode", ".spec.mode", description="What may be done without a person; empty: each action's default."),
        Column("Targets", ".status.targets", "integer", "Objects that it selects."),
        Column("Symptomatic", ".status.symptomatic", "integer", "Those of them that show symptoms."),
        Column("Storm", '.status.conditions[?(@.type=="StormActive")].status', description="Whether nobody acts."),
        _REASON,
        _MESSAGE,
        _AGE,
    ),
)

RECOVERY_ACTION: Final = Kind(
    name="RecoveryAction",
    plural="recoveryactions",
    short_names=("ract",),
    model=RecoveryAction,
    columns=(
        Column("Kind", ".spec.target.kind", description="Kind of the object that is acted on."),
        Column("Target", ".spec.target.name", description="Name of that object."),
        Column("Symptom", ".spec.trigger.symptom", description="What was wrong; empty when a person asked."),
        Column("Action", ".spec.action", description="What is done."),
        Column("Phase", ".status.phase", description="Where it is."),
        Column("Verified", ".status.verified", description="Whether it helped."),
        Column("Policy", ".spec.trigger.policy", description="The policy that it follows.", priority=1),
        Column("By", ".spec.requestedBy", description="Who asked for it.", priority=1),
        _REASON,
        _MESSAGE,
        _AGE,
    ),
)

KINDS: Final = (
    MANAGED_SERVICE,
    RELEASE,
    CONNECTION_POOL,
    CACHE_TIER,
    MODEL_ROUTE,
    RECOVERY_POLICY,
    RECOVERY_ACTION,
)
