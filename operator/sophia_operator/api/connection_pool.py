"""ConnectionPool: a fleet of PgBouncers in front of one database of a PostgreSQL server."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field, field_validator, model_validator

from sophia_operator.api.common import PRESERVE_UNKNOWN, ApiModel, ObjectName, rules
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.api.named import NamedObject
from sophia_operator.api.parameter_table import MAX_VALUE_LENGTH
from sophia_operator.api.pod_settings import PodSettings
from sophia_operator.api.pool_parameters import MAX_PARAMETERS, described, problem, rules_of_parameters
from sophia_operator.api.secret_refs import CaRef, SecretKey

#: PostgreSQL cuts longer names short (NAMEDATALEN).
_MAX_DATABASE_NAME: Final = 63
#: Databases that every PgBouncer of a pool has beside that of users: its console, one for checks, and a marker.
RESERVED_DATABASES: Final = ("pgbouncer", "sophia-check", "sophia-config")


class PoolRole(StrEnum):
    """What clients of the pool need the server to be."""

    READ_WRITE = "ReadWrite"
    READ_ONLY = "ReadOnly"


class PoolMode(StrEnum):
    """When a server connection goes back to the pool."""

    TRANSACTION = "Transaction"
    SESSION = "Session"
    STATEMENT = "Statement"


class SslMode(StrEnum):
    """How connections to the server are encrypted, as libpq's sslmode."""

    DISABLE = "Disable"
    PREFER = "Prefer"
    REQUIRE = "Require"
    VERIFY_CA = "VerifyCA"
    VERIFY_FULL = "VerifyFull"


class CredentialsRef(ApiModel):
    """A Secret with the user that the pool connects to the server as."""

    name: ObjectName = Field(description="Name of the Secret, in the pool's namespace.")
    username_key: SecretKey = Field("username", description="Key of the user's name.")
    password_key: SecretKey = Field("password", description="Key of the password.")


_CA = "database.sslMode VerifyCA and VerifyFull need database.caSecretRef"
_RESERVED_DATABASE = (
    f"database.name must not be {', '.join(RESERVED_DATABASES[:-1])} or {RESERVED_DATABASES[-1]}: "
    "PgBouncer and the operator need these names; rename the database"
)
_WITH_PORT = "^[^:]*:[0-9]*$"
_HOST_ALONE = "database.host must be a name or an address alone: write the port into database.port"
#: A host name or an IP address; underscores are not part of either.
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?\.?$", min_length=1, max_length=253)]


class Database(ApiModel):
    """The database behind the pool."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            ("!(self.sslMode in ['VerifyCA', 'VerifyFull']) || has(self.caSecretRef)", _CA),
            (f"!(self.name in {list(RESERVED_DATABASES)})", _RESERVED_DATABASE),
            (f"!self.host.matches('{_WITH_PORT}')", _HOST_ALONE),
        )
    }

    host: Host = Field(description="Host name or IP address of the server. Names are resolved anew each time.")
    port: int = Field(5432, ge=1, le=65_535, description="Port of the server.")
    name: str = Field(
        min_length=1,
        max_length=_MAX_DATABASE_NAME,
        # PgBouncer 1.18 takes no other names in its configuration, quoted or not.
        pattern=r"^[-A-Za-z0-9_.]+$",
        description="Name of the database: letters, digits, and `-`, `_`, `.`.",
    )
    ssl_mode: SslMode = Field(
        SslMode.PREFER, description="How connections to the server are encrypted, as libpq's sslmode."
    )
    credentials_secret_ref: CredentialsRef = Field(description="Secret with the user's name and password.")
    ca_secret_ref: CaRef | None = Field(None, description="Secret with the certificates to verify the server with.")

    @model_validator(mode="after")
    def _possible(self) -> Database:
        if self.ssl_mode in (SslMode.VERIFY_CA, SslMode.VERIFY_FULL) and self.ca_secret_ref is None:
            raise ValueError(_CA)
        if self.name in RESERVED_DATABASES:
            raise ValueError(_RESERVED_DATABASE)
        if re.fullmatch(_WITH_PORT, self.host):
            raise ValueError(_HOST_ALONE)
        return self


Connections = Annotated[int, Field(ge=1, le=10_000)]
_LEAST_SIZE: Final = 5
_MIN_MAX = f"size.min must be at most size.max; it is {_LEAST_SIZE} unless set"


class PoolSize(ApiModel):
    """Server connections of the whole pool: what all its instances may open together."""

    model_config = ApiModel.model_config | {"json_schema_extra": rules(("self.min <= self.max", _MIN_MAX))}

    min: Connections = Field(_LEAST_SIZE, description="Least number of server connections; so many are kept open.")
    max: Connections = Field(20, description="Largest number of server connections.")
    reserve: int = Field(
        0, ge=0, le=10_000, description="Further connections for clients that have waited for five seconds."
    )

    @model_validator(mode="after")
    def _in_order(self) -> PoolSize:
        if self.min > self.max:
            raise ValueError(_MIN_MAX)
        return self


class PoolHealthCheck(ApiModel):
    """How the operator looks at the server and the instances, on connections of its own."""

    interval_seconds: int = Field(60, ge=1, le=3600, description="Time between two full checks, in seconds.")
    slow_threshold_ms: int = Field(
        100,
        ge=1,
        le=600_000,
        description="A check, or a statement on average, that takes longer is slow, in milliseconds.",
    )
    max_replication_lag_seconds: int = Field(
        30,
        ge=1,
        le=86_400,
        description="A ReadOnly pool whose standby trails further behind is not healthy, in seconds.",
    )


_ONE_BUDGET = "budget needs maxServerConnections or sharePercent, not both"


class Budget(ApiModel):
    """The most that the pool may take of the server, whatever its size asks for."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(("has(self.maxServerConnections) != has(self.sharePercent)", _ONE_BUDGET))
    }

    max_server_connections: Connections | None = Field(None, description="Number of connections.")
    share_percent: int | None = Field(
        None, ge=1, le=100, description="Share of the connections that the server has for ordinary users, in percent."
    )

    @model_validator(mode="after")
    def _either(self) -> Budget:
        if (self.max_server_connections is None) == (self.share_percent is None):
            raise ValueError(_ONE_BUDGET)
        return self


class Autosize(ApiModel):
    """Sizing between size.min and size.max by what clients need."""

    enabled: bool = Field(True, description="Whether to; else the pool has size.max.")
    target_utilization_percent: int = Field(
        80, ge=10, le=100, description="Share of the server connections in use at which the pool grows, in percent."
    )


class ClientTls(ApiModel):
    """TLS between clients and the pool."""

    secret_name: ObjectName = Field(description="Secret of type kubernetes.io/tls with the pool's certificate.")
    required: bool = Field(True, description="Whether clients without TLS are refused.")


class PoolPodTemplate(PodSettings):
    """What of an instance's pod users may decide."""

    resources: dict[str, Any] = Field(
        default_factory=dict, json_schema_extra=PRESERVE_UNKNOWN, description="Resources of the container."
    )


_SIZE_OF_INSTANCES = "size.max must be at least instances: each instance needs a server connection"


ParameterValue = Annotated[str, Field(max_length=MAX_VALUE_LENGTH)]


class ConnectionPoolSpec(ApiModel):
    """Which database, for whom, and how large."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (f"(has(self.size) ? self.size.max : {PoolSize().max}) >= self.instances", _SIZE_OF_INSTANCES),
        )
    }

    database: Database = Field(description="The database behind the pool.")
    role: PoolRole = Field(PoolRole.READ_WRITE, description="What clients need the server to be: ReadWrite, a primary.")
    mode: PoolMode = Field(PoolMode.TRANSACTION, description="When a server connection goes back to the pool.")
    instances: int = Field(2, ge=0, le=50, description="Number of PgBouncers.")
    size: PoolSize = Field(default_factory=PoolSize, description="Server connections of the whole pool.")
    max_clients: int = Field(1000, ge=1, le=50_000, description="Most client connections of one instance.")
    connect_timeout_seconds: int = Field(
        30, ge=1, le=600, description="Time after which an attempt to connect to the server is given up, in seconds."
    )
    idle_timeout_seconds: int = Field(
        300,
        ge=0,
        le=86_400,
        description="Time after which an unused server connection is closed, in seconds; 0: never.",
    )
    query_timeout_seconds: int = Field(
        0, ge=0, le=86_400, description="Time after which a query is cancelled, in seconds; 0: never."
    )
    parameters: dict[str, ParameterValue] = Field(
        default_factory=dict,
        json_schema_extra={"maxProperties": MAX_PARAMETERS} | rules(*rules_of_parameters()),
        description=described(),
    )
    tls: ClientTls | None = Field(None, description="TLS between clients and the pool; without: none.")
    health_check: PoolHealthCheck = Field(
        default_factory=PoolHealthCheck, description="How the server and the instances are looked at."
    )
    budget: Budget | None = Field(
        None, description="The most that the pool may take of the server; without: what others leave."
    )
    autosize: Autosize = Field(default_factory=Autosize, description="Sizing by what clients need.")
    paused: bool = Field(
        False,
        description="Let clients wait, for a planned switchover. Ends by itself after 120 seconds; "
        "set it to false and to true again to pause anew.",
    )
    template: PoolPodTemplate = Field(default_factory=PoolPodTemplate, description="What users decide of the pods.")
    image: str | None = Field(
        None, min_length=1, max_length=512, description="Image of PgBouncer; without: the operator's default."
    )
    image_pull_policy: str | None = Field(
        None, pattern="^(Always|IfNotPresent|Never)$", max_length=12, description="When the image is pulled."
    )

    @field_validator("parameters")
    @classmethod
    def _parameters_are_known(cls, parameters: dict[str, str]) -> dict[str, str]:
        if found := problem(parameters):
            raise ValueError(found)
        return parameters

    @model_validator(mode="after")
    def _parts_fit(self) -> ConnectionPoolSpec:
        if self.size.max < self.instances:
            raise ValueError(_SIZE_OF_INSTANCES)
        return self


class ConnectionPool(NamedObject):
    """PgBouncers in front of a PostgreSQL database: sized, checked by role, and reconnected."""

    kind: str = Field(description="ConnectionPool.")
    spec: ConnectionPoolSpec = Field(description="Which database, for whom, and how large.")
    status: ConnectionPoolStatus = Field(default_factory=ConnectionPoolStatus, description="What the operator saw.")
