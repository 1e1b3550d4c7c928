"""The kinds of the group: names, models, and the columns that people see."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.managed_service import ManagedService
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

KINDS: Final = (MANAGED_SERVICE, RELEASE)
