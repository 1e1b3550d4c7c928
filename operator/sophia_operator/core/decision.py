"""What a pass decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.release import ReleaseSpec, ReleaseStatus


class EventType(StrEnum):
    """Types of Kubernetes Events."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event for people, about a Release (by name) or, when `release` is None, about the service."""

    type: EventType
    reason: str
    message: str
    release: str | None = None


@dataclass(frozen=True, slots=True)
class NewRelease:
    """A Release to be made."""

    name: str
    spec: ReleaseSpec


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to do until something changes."""


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Look again after so many seconds, or when something changes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing to do until a person or another controller changes something."""

    reason: str
    message: str


Next = Done | RequeueAfter | Blocked


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pass decided. Statuses are persisted before anything is rendered from them."""

    service_status: ManagedServiceStatus
    #: New status of each Release whose status changes, by name. At most one of them is a transition.
    release_statuses: Mapping[str, ReleaseStatus] = field(default_factory=dict)
    create: NewRelease | None = None
    notices: tuple[Notice, ...] = ()
    next: Next = field(default_factory=Done)
