"""What is asked of a PostgreSQL server and of PgBouncers, and what they answer. Times are UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sophia_operator.api.connection_pool import SslMode
from sophia_operator.core.pool.activity import Activity


class Fault(StrEnum):
    """Why there is no answer."""

    HOST_UNKNOWN = "HostUnknown"  # the name does not resolve
    UNREACHABLE = "Unreachable"  # refused, no route, or closed in the middle
    TIMEOUT = "Timeout"
    AUTHENTICATION_FAILED = "AuthenticationFailed"  # SQLSTATE class 28
    DATABASE_NOT_FOUND = "DatabaseNotFound"  # 3D000
    TLS_REQUIRED = "TlsRequired"  # the server wants TLS, and the client was told not to
    TLS_UNAVAILABLE = "TlsUnavailable"  # the client wants TLS, and the server has none
    TLS_UNTRUSTED = "TlsUntrusted"  # the certificate cannot be verified
    TOO_MANY_CONNECTIONS = "TooManyConnections"  # 53300
    STARTING = "Starting"  # 57P03: the server starts, or shuts down
    OTHER = "Other"


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. The message is the server's or the client library's, without anything secret."""

    fault: Fault
    message: str


class ServerRole(StrEnum):
    """What a server can do."""

    PRIMARY = "Primary"  # takes writes
    READ_ONLY_PRIMARY = "ReadOnlyPrimary"  # not in recovery, but transactions are read-only by default
    STANDBY = "Standby"  # in recovery


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """Where and as whom to connect."""

    host: str
    port: int
    database: str
    ssl_mode: SslMode
    username: str
    password: str = field(repr=False)
    ca: str | None = field(default=None, repr=False)
    timeout_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Backends:
    """Sessions of one user at one database from one address, as pg_stat_activity shows them."""

    username: str
    database: str
    #: None when it cannot be seen, or for a local connection.
    address: str | None
    application: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answered on a new connection of the operator's own."""

    role: ServerRole
    address: str | None
    version: str
    #: Tells this run of this server: changes with another server, a restart, and a promotion.
    identity: str
    max_connections: int
    #: Connections that ordinary users cannot have.
    reserved_connections: int
    backends: tuple[Backends, ...]
    #: None on a primary, or when a standby has not replayed anything yet.
    lag_seconds: float | None
    connect_ms: float
    query_ms: float
    #: What its sessions do for long.
    activity: Activity = field(default_factory=Activity)


@dataclass(frozen=True, slots=True)
class ServerFinding:
    """What a check of the server found, and when."""

    at: datetime
    answer: Server | Failure


@dataclass(frozen=True, slots=True)
class InstanceRequest:
    """Which PgBouncer to look at. A `full` look also goes through it, and asks for STATS, LISTS and CONFIG."""

    name: str
    address: str
    port: int
    #: Name of the database, in PgBouncer's configuration, that clients use, and that for checks.
    database: str
    check_database: str
    admin_username: str
    admin_password: str = field(repr=False)
    full: bool = True
    timeout_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class ServerConnection:
    """One connection of an instance to the server, from SHOW SERVERS."""

    database: str
    state: str
    address: str
    connected_at: datetime
    #: Whether it will be closed when its client leaves it.
    closing: bool
    #: Process of the server behind it; None when it is not known.
    pid: int | None = None
    #: When a client last asked something on it; None when it is not known.
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Console:
    """What the admin console of an instance shows about the database that clients use."""

    version: str
    #: Hash of the configuration that is loaded, from the marker in SHOW DATABASES.
    config_hash: str | None
    clients_active: int
    clients_waiting: int
    servers_active: int
    servers_idle: int
    #: Servers that are neither: used, tested, logging in, or being cancelled.
    servers_other: int
    servers_logging_in: int
    #: How long the first client in the queue has waited.
    longest_wait_seconds: float
    pool_size: int
    paused: bool
    connections: tuple[ServerConnection, ...] = ()
    #: Totals since the start; None when they were not asked for.
    transactions: int | None = None
    queries: int | None = None
    #: From SHOW LISTS; None when it was not asked for.
    clients: int | None = None
    #: From SHOW CONFIG; empty when it was not asked for.
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Through:
    """A query that went through an instance to the server, on the pool that is kept for checks."""

    role: ServerRole
    address: str | None
    identity: str
    connect_ms: float
    query_ms: float


@dataclass(frozen=True, slots=True)
class InstanceFinding:
    """What a look at one instance found, and when. `through` is that of the last full look, `through_at` its time."""

    at: datetime
    uid: str
    console: Console | Failure
    through: Through | Failure | None = None
    through_at: datetime | None = None
    #: What SHOW STATS counted at the full look before.
    transactions_before: int | None = None
    #: Server connections opened since the full look before.
    opened: int | None = None


class Verb(StrEnum):
    """Commands of the admin console that the operator gives."""

    RELOAD = "RELOAD"
    RECONNECT = "RECONNECT"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    KILL = "KILL"


@dataclass(frozen=True, slots=True)
class Command:
    """A command to one instance. All but RELOAD name the database that clients use."""

    instance: str
    verb: Verb


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of a command."""

    at: datetime
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A row of pg_stat_statements; numbers are totals."""

    query_id: str
    text: str
    calls: int
    total_ms: float
    rows: int


@dataclass(frozen=True, slots=True)
class InsightsFinding:
    """What pg_stat_statements showed. `missing` says why it shows nothing, and what to do."""

    at: datetime
    statements: tuple[Statement, ...] = ()
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class PoolNeeds:
    """Requests that are due in this pass."""

    server: bool = False
    #: Names of instances, and whether the look is a full one.
    instances: Mapping[str, bool] = field(default_factory=dict)
    insights: bool = False

    def __bool__(self) -> bool:
        return self.server or bool(self.instances) or self.insights
