"""What the operator saw of a ConnectionPool."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from sophia_operator.api.common import (
    ATOMIC_LIST,
    ApiModel,
    Hash,
    Message,
    ObjectName,
    Timestamp,
    UnsignedDecimalString,
    map_list,
)
from sophia_operator.api.conditions import Condition
from sophia_operator.api.recovery_action_status import Acts

MAX_INSTANCES: Final = 64
MAX_INSIGHTS: Final = 5
MAX_RECONNECTS: Final = 10
MAX_STATEMENTS: Final = 5


class ReconnectPhase(StrEnum):
    """Where a reconnect is."""

    WAITING = "Waiting"  # for a server of the right role
    RECONNECTING = "Reconnecting"  # instances are told to take new connections
    VERIFYING = "Verifying"  # through every instance


class Percentiles(ApiModel):
    """Latencies in milliseconds, of the operator's own checks; fractions below 10 ms."""

    p50: UnsignedDecimalString = Field(description="Half of the checks took at most so many milliseconds.")
    p95: UnsignedDecimalString = Field(description="95 % of the checks took at most so many milliseconds.")


class ServerStatus(ApiModel):
    """The server, as the operator's own connection saw it last."""

    address: str | None = Field(None, max_length=253, description="Address that answered.")
    role: str | None = Field(None, max_length=32, description="Primary, Standby, or ReadOnlyPrimary.")
    version: str | None = Field(None, max_length=64, description="Version of PostgreSQL.")
    #: Changes when another server, or the same one after a restart or a promotion, answers.
    identity: str | None = Field(None, max_length=128, description="Tells this run of this server from every other.")
    identity_since: Timestamp | None = Field(
        None, description="When the identity was seen to change; absent while it is the first one that was seen."
    )
    max_connections: int | None = Field(None, ge=0, description="Connections that the server allows.")
    replication_lag_seconds: int | None = Field(
        None, ge=0, description="How far a standby trails behind, in seconds, rounded up."
    )


class InstanceStatus(ApiModel):
    """One PgBouncer."""

    name: ObjectName = Field(description="Name of the pod.")
    ready: bool = Field(description="Whether the pod is ready.")
    version: str | None = Field(None, max_length=32, description="Version of PgBouncer.")
    role_correct: bool | None = Field(
        None, description="Whether the server behind it has the pool's role; absent while not known."
    )
    config_current: bool | None = Field(
        None, description="Whether it runs with the newest configuration; absent while not known."
    )
    in_use: int = Field(0, ge=0, description="Server connections that serve clients.")
    size: int = Field(0, ge=0, description="Server connections that it may open.")
    waiting: int = Field(0, ge=0, description="Clients that wait for a server connection.")
    clients: int = Field(0, ge=0, description="Connected clients.")
    message: str | None = Field(None, max_length=512, description="What is wrong with it.")


class ScorePart(ApiModel):
    """One part of the score."""

    name: str = Field(max_length=32, description="What is judged.")
    points: int = Field(ge=0, le=100, description="Points it has.")
    of: int = Field(ge=1, le=100, description="Points it could have.")
    why: str = Field("", max_length=256, description="Why not all.")


class BudgetHolder(ApiModel):
    """Somebody who holds connections of the same server."""

    name: str = Field(max_length=512, description="`namespace/name` of the pool, or `others`.")
    connections: int = Field(ge=0, description="Connections held.")


class BudgetStatus(ApiModel):
    """The pool's part of the server's connections."""

    wanted: int = Field(ge=0, description="Connections that the size asked for could take at most.")
    granted: int = Field(ge=0, description="Connections that the pool is held to.")
    available: int | None = Field(None, ge=0, description="What others leave of the server; absent while not known.")
    holders: list[BudgetHolder] = Field(
        default_factory=list, max_length=16, json_schema_extra=ATOMIC_LIST, description="Who holds the rest."
    )


class AutosizeStatus(ApiModel):
    """What sizing remembers."""

    size: int = Field(ge=0, description="Server connections that clients need, between size.min and size.max.")
    high_since: Timestamp | None = Field(None, description="Since when clients need more.")
    low_since: Timestamp | None = Field(None, description="Since when clients need less.")
    resized_at: Timestamp | None = Field(None, description="When the size last changed.")


class PauseStatus(ApiModel):
    """A pause for a planned switchover."""

    since: Timestamp = Field(description="When clients were told to wait.")
    until: Timestamp = Field(description="When the pause ends by itself.")
    over: bool = Field(False, description="Whether the pause ended by itself; spec.paused must become false first.")


class ReconnectStatus(ApiModel):
    """A reconnect that is under way."""

    phase: ReconnectPhase = Field(description="Waiting, Reconnecting or Verifying.")
    cause: str = Field(max_length=512, description="What started it.")
    started_at: Timestamp = Field(description="When it began.")
    attempt: int = Field(1, ge=1, description="Number of the try.")
    next_at: Timestamp | None = Field(None, description="When the next try is due.")
    server_at: Timestamp | None = Field(None, description="When a server of the right role was first seen.")
    told_at: Timestamp | None = Field(None, description="When instances were last told to reconnect.")
    identity: str | None = Field(None, max_length=128, description="Identity of the server that was verified before.")
    #: Connections from just before may have been made while an instance still resolved the name to the old server.
    confirmed_at: Timestamp | None = Field(
        None, description="When all instances first reached the server; they were told once more then."
    )


class PastReconnect(ApiModel):
    """A reconnect that ended."""

    cause: str = Field(max_length=512, description="What started it.")
    started_at: Timestamp = Field(description="When it began.")
    ended_at: Timestamp = Field(description="When every instance was verified.")
    server_at: Timestamp | None = Field(None, description="When a server of the right role was first seen.")
    attempts: int = Field(ge=1, description="Number of tries.")
    unverified: list[ObjectName] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=ATOMIC_LIST,
        description="Instances that were not ready, and were not told: those that come back with old connections are.",
    )


class StatementInsight(ApiModel):
    """A statement that stands out."""

    query_id: str = Field(max_length=32, description="Identifier in pg_stat_statements.")
    calls: int = Field(ge=0, description="Number of calls.")
    mean_ms: UnsignedDecimalString = Field(description="Time of a call on average, in milliseconds.")
    rows_per_call: UnsignedDecimalString = Field(description="Rows of a call on average.")
    text: str = Field(max_length=200, description="The statement without its values, cut short.")
    follows: str | None = Field(
        None, max_length=32, description="Identifier of the statement whose rate an N+1 suspect follows."
    )


class InsightsStatus(ApiModel):
    """What pg_stat_statements shows."""

    available: bool = Field(description="Whether the extension answers.")
    message: Message = Field("", description="Why not, and what to do.")
    looked_at: Timestamp | None = Field(None, description="When it was looked at.")
    slow: list[StatementInsight] = Field(
        default_factory=list,
        max_length=MAX_INSIGHTS,
        json_schema_extra=ATOMIC_LIST,
        description="Statements slower than the threshold on average, the most costly ones first.",
    )
    repeated: list[StatementInsight] = Field(
        default_factory=list,
        max_length=MAX_INSIGHTS,
        json_schema_extra=ATOMIC_LIST,
        description="Suspects of N+1: one row a call, called at a rate that follows another statement's.",
    )


class RunningStatement(ApiModel):
    """A statement that has run for long, or that others wait for."""

    pid: int = Field(ge=1, description="Process of the server that runs it.")
    since: Timestamp = Field(description="When it began.")
    session_since: Timestamp | None = Field(None, description="When its session began.")
    blocks: int = Field(0, ge=0, description="How many others wait for it.")
    waits: bool = Field(False, description="Whether it waits for a lock itself.")
    idle: bool = Field(False, description="Whether it is over, and its session keeps what others wait for.")
    query_id: str | None = Field(
        None, max_length=32, description="Identifier in pg_stat_statements, or a hash of the text without its values."
    )
    text: str = Field("", max_length=200, description="The statement without its values, cut short.")


class BindingRef(ApiModel):
    """Where applications find how to connect, as the Service Binding specification says."""

    name: ObjectName = Field(description="Name of the Secret.")


class ConnectionPoolStatus(ApiModel):
    """What the operator saw; all of it can be rebuilt."""

    observed_generation: int = Field(0, ge=0, description="Generation that this status speaks of.")
    instances: int = Field(0, ge=0, description="Instances that exist.")
    ready_instances: int = Field(0, ge=0, description="Instances that are ready.")
    selector: str | None = Field(None, max_length=512, description="Label selector of the pods, for scaling.")
    ready: str | None = Field(None, max_length=16, description="Ready instances of those wanted, as in `2/2`.")
    usage: str | None = Field(None, max_length=32, description="Server connections in use of those allowed.")
    size: int = Field(0, ge=0, description="Server connections that all instances together may open.")
    in_use: int = Field(0, ge=0, description="Server connections that serve clients.")
    waiting: int = Field(0, ge=0, description="Clients that wait for a server connection.")
    utilization_percent: int | None = Field(
        None, ge=0, le=100, description="Share of the connections in use, in percent."
    )
    hit_percent: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Share of the requests that were served without opening a connection, in percent.",
    )
    score: int | None = Field(None, ge=0, le=100, description="Health from 0 to 100; the parts add up to it.")
    score_parts: list[ScorePart] = Field(
        default_factory=list, max_length=8, json_schema_extra=map_list("name"), description="Parts of the score."
    )
    connect_ms: Percentiles | None = Field(None, description="Time to connect through the instances, in milliseconds.")
    query_ms: Percentiles | None = Field(None, description="Time of a query through the instances, in milliseconds.")
    server: ServerStatus | None = Field(None, description="The server, as seen last.")
    members: list[InstanceStatus] = Field(
        default_factory=list,
        max_length=MAX_INSTANCES,
        json_schema_extra=map_list("name"),
        description="Each PgBouncer.",
    )
    binding: BindingRef | None = Field(None, description="Secret with what applications need to connect.")
    config_hash: Hash | None = Field(None, description="Configuration that the instances should run with.")
    target: Hash | None = Field(
        None, description="Hash of where and as whom the instances connect: a new one only once it was seen to work."
    )
    budget: BudgetStatus | None = Field(None, description="The pool's part of the server's connections.")
    autosize: AutosizeStatus | None = Field(None, description="What sizing remembers.")
    pause: PauseStatus | None = Field(None, description="The pause for a planned switchover.")
    reconnect: ReconnectStatus | None = Field(None, description="The reconnect that is under way.")
    reconnects: list[PastReconnect] = Field(
        default_factory=list,
        max_length=MAX_RECONNECTS,
        json_schema_extra=ATOMIC_LIST,
        description="Reconnects that ended, the newest last.",
    )
    insights: InsightsStatus | None = Field(None, description="What pg_stat_statements shows.")
    statements: list[RunningStatement] = Field(
        default_factory=list,
        max_length=MAX_STATEMENTS,
        json_schema_extra=ATOMIC_LIST,
        description="Statements that run for long in the pool's database, or that others wait for, as seen last.",
    )
    statements_note: Message = Field(
        "", description="What others wait for and the pool's user may not see, and what to do."
    )
    acts: Acts
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("type"),
        description="Conditions of the pool.",
    )
