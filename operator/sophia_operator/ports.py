"""What the loop needs of the world.

Adapters implement these; tests have fakes that refuse what the real thing refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sophia_operator.core.cache.faults import CacheFailure
from sophia_operator.core.cache.findings import (
    CopyResult,
    CopyTask,
    DeleteResult,
    DeleteTask,
    Node,
    NodeCommand,
    NodeRequest,
    RequestsResult,
    RequestsTask,
    ScanResult,
    ScanTask,
)
from sophia_operator.core.cache.table import Table, TableRequest, TableResult, TableTask
from sophia_operator.core.decision import Notice
from sophia_operator.core.findings import (
    MetricsAnswer,
    MetricsRequest,
    ProbeRequest,
    ProbeResult,
    SmokeRequest,
    SmokeResult,
)
from sophia_operator.core.model.findings import (
    ModelFinding,
    ModelProbeRequest,
    ReplicaFinding,
    ReplicaRequest,
)
from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.core.pool.findings import (
    Console,
    Failure,
    InstanceRequest,
    Server,
    ServerRequest,
    Statement,
    Through,
    Verb,
)
from sophia_operator.core.pool.tasks import Analyzed, AnalyzeTask, Cancelled, CancelTask
from sophia_operator.core.recovery.signal_request import SignalRequest

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

    def children(self, kind: str, namespace: str, owner: str, label: str = LABEL_SERVICE) -> Sequence[Object]:
        """Objects of that kind with the label `<label>: <owner>`."""

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

    async def warm(self, task: RequestsTask) -> RequestsResult:
        """A part of a warm-up by requests. Never raises for what the network or the service does."""


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime:
        """The time now, in UTC."""


class Pools(Protocol):
    """PostgreSQL servers and PgBouncers, on connections of the operator's own. No call raises for what the network or
    a server does, and each has the time limit of its request."""

    async def server(self, request: ServerRequest) -> Server | Failure:
        """Look at the server on a new connection."""

    async def watch(self, request: ServerRequest) -> None:
        """Keep an idle connection to the server, and return when it breaks, or cannot be made."""

    async def insights(self, request: ServerRequest) -> tuple[Statement, ...] | str:
        """The statements of the database that took most time in all (at most 200); or why there are none."""

    async def instance(self, request: InstanceRequest) -> tuple[Console | Failure, Through | Failure | None]:
        """Look at one PgBouncer: its admin console and, when the request is a full one, a query through it."""

    async def command(self, request: InstanceRequest, verb: Verb) -> Failure | None:
        """Give a command at the admin console; None when it was carried out. A database that is paused already,
        or is not paused, counts as done."""

    async def cancel(self, request: ServerRequest, task: CancelTask) -> Cancelled | Failure:
        """End one statement, or one session between two statements: only while it is that very one."""

    async def analyze(self, request: ServerRequest, task: AnalyzeTask) -> Analyzed | Failure:
        """Collect statistics of tables anew, within the time of the task."""

    async def close(self) -> None:
        """Close every connection."""


class Caches(Protocol):
    """Redis nodes, on connections of the operator's own. No call raises for what the network or a node does; looks and
    commands have the time limit of their request, and work ends soon after the time of its task."""

    async def node(self, request: NodeRequest) -> Node | CacheFailure:
        """Look at a node."""

    async def watch(self, request: NodeRequest) -> None:
        """Keep an idle connection to the node, and return when it breaks, or cannot be made."""

    async def command(
        self, request: NodeRequest, command: NodeCommand, target: tuple[str, int] | None
    ) -> CacheFailure | None:
        """Give a command; None when it was carried out. `target` is the address and port of the command's target."""

    async def scan(self, request: NodeRequest, task: ScanTask) -> ScanResult:
        """Do a part of a scan."""

    async def delete(self, request: NodeRequest, task: DeleteTask) -> DeleteResult:
        """Do a part of a flush."""

    async def copy(self, request: NodeRequest, task: CopyTask) -> CopyResult:
        """Do a part of a warm-up by copies."""

    async def close(self) -> None:
        """Close every connection."""


class CacheTables(Protocol):
    """Tables of PostgreSQL levels. No call raises for what the network or the server does."""

    async def table(self, request: TableRequest) -> Table | CacheFailure:
        """Look at the table; make it, or bring it to the newest layout, when that is due."""

    async def work(self, request: TableRequest, task: TableTask) -> TableResult:
        """Do a part of some work. Ends soon after the time of the task."""

    async def close(self) -> None:
        """Close every connection."""


class Models(Protocol):
    """Models and the gateways in front of them, by HTTP. No call raises for what the network or a server does, and
    each has the time limit of its request."""

    async def probe(self, request: ModelProbeRequest) -> ModelFinding:
        """Ask a model for one short completion, as a stream."""

    async def replicas(self, request: ReplicaRequest) -> tuple[ReplicaFinding, ...] | str:
        """Send a marked request to every replica at once; a string says why no replica is known."""

    async def close(self) -> None:
        """Close every connection."""


class Signals(Protocol):
    """Receivers of signals: webhooks and Redis Streams."""

    async def send(self, request: SignalRequest) -> str | None:
        """Tell a receiver; None when it took the signal, else why not, with nothing secret in it. Never raises for what
        the network or the receiver does, and ends with the time limit of the request."""

    async def close(self) -> None:
        """Close every connection."""
