"""What the loop needs of the world.

Adapters implement these; tests have fakes that refuse what the real thing refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sophia_operator.core.decision import Notice
from sophia_operator.core.findings import (
    MetricsAnswer,
    MetricsRequest,
    ProbeRequest,
    ProbeResult,
    SmokeRequest,
    SmokeResult,
)

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Names one object."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str | None = None


class Refusal(StrEnum):
    """Why the API server did not do what it was asked."""

    CONFLICT = "Conflict"  # somebody else changed the object in between
    ALREADY_EXISTS = "AlreadyExists"
    NOT_FOUND = "NotFound"
    INVALID = "Invalid"  # schema, validation, or an admission webhook
    FORBIDDEN = "Forbidden"  # RBAC, quota, Pod Security
    UNAVAILABLE = "Unavailable"  # timeout, 5xx, 429, connection: try again


class ClusterError(Exception):
    """The API server refused or did not answer. `message` has its own words."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(f"{refusal.value}: {message}")
        self.refusal = refusal
        self.message = message


class Store(Protocol):
    """Objects as last seen by watches: reading costs no API call."""

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object, or None. Kinds: every kind that handlers watch, by its Kind name."""

    def children(self, kind: str, namespace: str, service: str) -> Sequence[Object]:
        """Objects of that kind with the label `sophia.ai/service: <service>`."""

    def all(self, kind: str) -> Sequence[Object]:
        """Every object of that kind (Gateways and HTTPRoutes, for finding conflicts)."""

    def config_hash(self, kind: str, namespace: str, name: str) -> str | None:
        """Hash of the content of a ConfigMap or Secret, or None when it is missing. The content is not kept."""


class Cluster(Protocol):
    """The API server. Every call has a timeout; errors are ClusterError."""

    async def apply(self, obj: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply with the operator's field manager, forced; returns the object as it is then."""

    async def create(self, obj: Object) -> Object:
        """Create; AlreadyExists when it is there."""

    async def apply_status(self, obj: Object) -> Object:
        """Server-side apply of the status. `metadata.resourceVersion` is a precondition: Conflict when it is old."""

    async def get(self, ref: ObjectRef) -> Object | None:
        """Read one object; None when it is missing."""

    async def delete(self, ref: ObjectRef) -> None:
        """Delete, with the uid as a precondition when given; a missing object is no error."""

    async def emit(self, about: ObjectRef, notice: Notice) -> None:
        """Record an Event. Never fails the pass."""


class Metrics(Protocol):
    """Prometheus."""

    async def query(self, namespace: str, request: MetricsRequest) -> MetricsAnswer:
        """One instant query, within its time limit. Never raises for what the network or Prometheus does."""


class Requests(Protocol):
    """The operator's own HTTP requests to services."""

    async def smoke(self, request: SmokeRequest) -> SmokeResult:
        """One try of a smoke test. Never raises for what the network or the service does."""

    async def probe(self, request: ProbeRequest) -> ProbeResult:
        """Marked requests through the Gateway. Never raises for what the network does."""


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime:
        """The time now, in UTC."""
