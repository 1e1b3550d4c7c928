"""What the operator saw of a CacheTier."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from sophia_operator.api.common import (
    ATOMIC_LIST,
    ApiModel,
    DnsLabel,
    Hash,
    Message,
    ObjectName,
    Timestamp,
    map_list,
)
from sophia_operator.api.conditions import Condition
from sophia_operator.api.connection_pool_status import Percentiles, ScorePart
from sophia_operator.api.recovery_action_status import Acts

MAX_NODES: Final = 8
MAX_PAST: Final = 10
MAX_WARM_UPS: Final = 8


class NodeRole(StrEnum):
    """What a node is, as it says itself."""

    PRIMARY = "Primary"  # accepts writes
    REPLICA = "Replica"


class NodeStatus(ApiModel):
    """One node of a Redis level."""

    name: ObjectName = Field(description="Name of the pod; `external` for an adopted Redis.")
    role: NodeRole | None = Field(None, description="Primary or Replica, as it said itself; absent while not known.")
    ready: bool = Field(description="Whether its pod is ready; for an adopted Redis: whether it answers.")
    synced: bool | None = Field(
        None, description="Of a replica: whether it has all that the primary has; absent while not known."
    )
    version: str | None = Field(None, max_length=64, description="Server and version, as in `redis 7.0.15`.")
    run_id: str | None = Field(None, max_length=64, description="Tells this run of its process from every other.")
    config_current: bool | None = Field(
        None, description="Whether every live setting is as wanted; absent while not known."
    )
    used_memory_megabytes: int | None = Field(None, ge=0, description="Memory that it uses, in MiB.")
    lag_bytes: int | None = Field(None, ge=0, description="Of a replica: how far it trails behind, in bytes.")
    message: str | None = Field(None, max_length=512, description="What is wrong with it.")


class FailoverPhase(StrEnum):
    """Where a change of the primary is."""

    FENCING = "Fencing"  # waiting until the old primary is known to accept no write any more
    PROMOTING = "Promoting"  # a replica is told to become the primary
    SWITCHING = "Switching"  # a living primary hands over to a replica


class FailoverStatus(ApiModel):
    """A change of the primary that is under way."""

    phase: FailoverPhase = Field(description="Fencing, Promoting or Switching.")
    cause: str = Field(max_length=512, description="What started it.")
    planned: bool = Field(description="Whether the old primary lives and hands over: nothing is lost then.")
    from_node: ObjectName | None = Field(None, description="The old primary.")
    to_node: ObjectName | None = Field(None, description="The new one.")
    started_at: Timestamp = Field(description="When it began.")
    told_at: Timestamp | None = Field(None, description="When a node was last told.")
    detached_at: Timestamp | None = Field(
        None, description="Since when no node that answers follows the old primary; absent while one does."
    )
    attempt: int = Field(1, ge=1, description="Number of the try.")
    lost_bytes: int | None = Field(
        None, ge=0, description="What the new primary lacks at least, in bytes, as far as known when it was told."
    )


class PastFailover(ApiModel):
    """A change of the primary that ended."""

    cause: str = Field(max_length=512, description="What started it.")
    planned: bool = Field(description="Whether the old primary lived and handed over.")
    from_node: ObjectName | None = Field(None, description="The old primary.")
    to_node: ObjectName = Field(description="The new one.")
    started_at: Timestamp = Field(description="When it began.")
    ended_at: Timestamp = Field(description="When the new primary was seen to be one.")
    lost_bytes: int | None = Field(
        None,
        ge=0,
        description="How much of the old primary's stream the new one did not have, in bytes; absent if not known.",
    )


class NamespaceStatus(ApiModel):
    """One namespace, as the last scan found it."""

    name: DnsLabel = Field(description="Name of the namespace.")
    generation: int = Field(1, ge=1, description="Generation in use, as in the `g1` of its keys.")
    keys: int | None = Field(None, ge=0, description="Keys; absent while not known.")
    used_bytes: int | None = Field(None, ge=0, description="Memory of its entries in bytes, estimated from a sample.")
    quota_percent: int | None = Field(None, ge=0, description="Share of its quota that it uses, in percent.")
    without_ttl_keys: int | None = Field(None, ge=0, description="Keys that had no TTL when they were looked at.")
    ttls_given: int = Field(0, ge=0, description="TTLs that the last scan gave.")
    evicted: int = Field(0, ge=0, description="Keys that the last eviction took away.")
    hit_ratio_percent: int | None = Field(None, ge=0, le=100, description="Hit ratio, in percent, where known.")
    scanned_at: Timestamp | None = Field(None, description="When the scan ended.")


class FlushPhase(StrEnum):
    """Where a flush is."""

    RUNNING = "Running"
    PAUSED = "Paused"  # the origin is too busy, or the tier is paused
    DONE = "Done"
    STOPPED = "Stopped"  # as asked for
    REFUSED = "Refused"  # nothing was deleted; the message says why


class FlushStatus(ApiModel):
    """A flush: under way, or ended."""

    name: DnsLabel = Field(description="Name of the flush.")
    what: str = Field(max_length=512, description="What it takes away, in words.")
    phase: FlushPhase = Field(description="Running, Paused, Done, Stopped or Refused.")
    patterns: list[Annotated[str, Field(max_length=320)]] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=ATOMIC_LIST,
        description="Patterns of keys that it takes away, fixed when it began.",
    )
    node: str | None = Field(None, max_length=128, description="Run of the node that the cursor is of.")
    cursor: str | None = Field(None, max_length=32, description="Where it stands; absent before and after.")
    scanned: int = Field(0, ge=0, description="Keys looked at.")
    deleted: int = Field(0, ge=0, description="Keys deleted.")
    keys_per_second: int = Field(0, ge=0, description="Rate that it is held to now.")
    message: Message = Field("", description="Why it is slowed down, paused or refused.")
    started_at: Timestamp = Field(description="When it began.")
    ended_at: Timestamp | None = Field(None, description="When it ended.")


class WarmUpPhase(StrEnum):
    """Where a warm-up is."""

    RUNNING = "Running"
    PAUSED = "Paused"
    DONE = "Done"
    FAILED = "Failed"


class WarmUpStatus(ApiModel):
    """A warm-up of one release's own generation."""

    release: ObjectName = Field(description="Name of the Release.")
    phase: WarmUpPhase = Field(description="Running, Paused, Done or Failed.")
    percent: int = Field(0, ge=0, le=100, description="How much is done, in percent.")
    cursor: str | None = Field(None, max_length=32, description="Where it stands.")
    node: str | None = Field(None, max_length=128, description="Run of the node that the cursor is of.")
    warmed: int = Field(0, ge=0, description="Entries copied, or requests answered.")
    failed: int = Field(0, ge=0, description="Requests that failed.")
    total: int | None = Field(None, ge=0, description="How many there are; absent while not known.")
    message: Message = Field("", description="Why it is slowed down or paused, or how it failed.")
    started_at: Timestamp = Field(description="When it began.")
    ended_at: Timestamp | None = Field(None, description="When it ended.")


class TierBinding(ApiModel):
    """What applications need."""

    name: ObjectName = Field(description="Name of the Secret, as the Service Binding specification says.")
    config_map_name: ObjectName = Field(description="Name of the ConfigMap with the chain, in chain.json.")


class CacheTierStatus(ApiModel):
    """What the operator saw; all of it can be rebuilt."""

    observed_generation: int = Field(0, ge=0, description="Generation that this status speaks of.")
    replicas: int = Field(0, ge=0, description="Nodes that exist.")
    ready: str | None = Field(None, max_length=16, description="Ready nodes of those wanted, as in `2/2`.")
    selector: str | None = Field(None, max_length=512, description="Label selector of the nodes.")
    primary: ObjectName | None = Field(None, description="The node that accepts writes, as it said itself.")
    #: Of the newest primary that was seen: tells whether a node is that one, or was started anew.
    primary_run_id: str | None = Field(None, max_length=64, description="Run of the primary's process.")
    #: True only when the primary was seen to be so, and written down as False before it is told otherwise.
    guarded: bool = Field(False, description="Whether the primary refuses writes by itself while it has no replica.")
    #: What the StatefulSet is given. More than the spec asks for while the primary is among those that are to go.
    scale: int | None = Field(None, ge=0, description="Nodes that there should be now.")
    nodes: list[NodeStatus] = Field(
        default_factory=list, max_length=MAX_NODES, json_schema_extra=map_list("name"), description="Each node."
    )
    failover: FailoverStatus | None = Field(None, description="The change of the primary that is under way.")
    failovers: list[PastFailover] = Field(
        default_factory=list,
        max_length=MAX_PAST,
        json_schema_extra=ATOMIC_LIST,
        description="Changes of the primary that ended, the newest last.",
    )
    used: str | None = Field(None, max_length=32, description="Memory in use of that allowed, as in `12Mi/256Mi`.")
    keys: int | None = Field(None, ge=0, description="Keys in all, those of no namespace too.")
    unclaimed_keys: int | None = Field(None, ge=0, description="Keys of no namespace, which are left alone.")
    hit_ratio_percent: int | None = Field(
        None, ge=0, le=100, description="Hit ratio over the last checks, in percent; absent while nobody reads."
    )
    namespaces: list[NamespaceStatus] = Field(
        default_factory=list, max_length=32, json_schema_extra=map_list("name"), description="Each namespace."
    )
    scanned_at: Timestamp | None = Field(None, description="When the last scan ended.")
    first_generation: int = Field(
        1, ge=1, description="Generation that a new namespace begins with: none that was flushed before."
    )
    flush: FlushStatus | None = Field(None, description="The flush that is under way.")
    flushes: list[FlushStatus] = Field(
        default_factory=list,
        max_length=MAX_PAST,
        json_schema_extra=ATOMIC_LIST,
        description="Flushes that ended, the newest last.",
    )
    warm_ups: list[WarmUpStatus] = Field(
        default_factory=list,
        max_length=MAX_WARM_UPS,
        json_schema_extra=map_list("release"),
        description="Warm-ups of the releases that are there.",
    )
    acts: Acts
    latency_ms: Percentiles | None = Field(None, description="Time of a check, in milliseconds.")
    score: int | None = Field(None, ge=0, le=100, description="Health from 0 to 100; the parts add up to it.")
    score_parts: list[ScorePart] = Field(
        default_factory=list, max_length=8, json_schema_extra=map_list("name"), description="Parts of the score."
    )
    chain: list[ObjectName] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra=ATOMIC_LIST,
        description="This tier and those below it, in the order in which they are asked.",
    )
    binding: TierBinding | None = Field(None, description="What applications need.")
    config_hash: Hash | None = Field(None, description="Live settings that nodes should have.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=16, json_schema_extra=map_list("type"), description="Conditions of the tier."
    )
