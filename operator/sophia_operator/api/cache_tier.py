"""CacheTier: one level of a cache, and the policy of what may live in it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, ValidationInfo, field_validator, model_validator

from sophia_operator.api.cache_flush import Flush
from sophia_operator.api.cache_tier_rules import (
    NAMESPACES,
    OBJECT,
    SPEC,
    problem_of_names,
    problem_of_prefixes,
    problem_of_spec,
)
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.api.common import SET_LIST as _SET
from sophia_operator.api.common import ApiModel, DnsLabel, joined, map_list, rules
from sophia_operator.api.named import NAMED, NamedObject, ParentName
from sophia_operator.api.redis_level import RedisLevel

MAX_NAMESPACES: Final = 32


class CacheLevel(StrEnum):
    """Where a level keeps its entries."""

    MEMORY = "Memory"
    REDIS = "Redis"
    POSTGRESQL = "PostgreSQL"


class WriteStrategy(StrEnum):
    """What clients are told to do when they write."""

    WRITE_THROUGH = "WriteThrough"  # to the origin and to the cache, before the write counts
    WRITE_BACK = "WriteBack"  # to the cache, and later to the origin
    WRITE_AROUND = "WriteAround"  # to the origin alone; reads fill the cache


#: Parts of a prefix; the generation, `g1` or `g1r7`, comes after it.
_PREFIX: Final = r"^[A-Za-z0-9][-A-Za-z0-9._]*(:[A-Za-z0-9][-A-Za-z0-9._]*)*$"
Prefix = Annotated[str, Field(pattern=_PREFIX, min_length=1, max_length=64)]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9._]*$", min_length=1, max_length=63)]


class CacheNamespace(ApiModel):
    """Entries that belong together: their keys begin with the same prefix and a generation."""

    name: DnsLabel = Field(description="Name of the namespace.")
    prefix: Prefix = Field(description="Beginning of its keys, without the colon that follows it.")
    ttl_seconds: int = Field(
        3600, ge=1, le=31_536_000, description="Life of an entry, in seconds; an entry without one is given it."
    )
    max_memory_megabytes: int | None = Field(
        None,
        ge=1,
        le=1_048_576,
        description="Quota, in MiB; above it the entries that were not used for longest are evicted.",
    )
    tags: list[Tag] = Field(
        default_factory=list, max_length=16, json_schema_extra=_SET, description="Tags to flush it by."
    )
    hit_ratio_query: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="PromQL query of its hit ratio, from 0 to 1; without: not known.",
    )


class Invalidation(StrEnum):
    """How entries in the memory of clients are made invalid."""

    CLIENT_TRACKING = "ClientTracking"  # Redis tells clients of keys that they read and that changed
    NONE = "None"  # by their TTL alone


class MemoryLevel(ApiModel):
    """Policy for a cache in the memory of each client; there is no server."""

    max_entries: int = Field(1000, ge=1, le=10_000_000, description="Most entries in one process.")
    ttl_seconds: int = Field(300, ge=1, le=86_400, description="Longest life of an entry, in seconds.")
    invalidation: Invalidation = Field(
        Invalidation.CLIENT_TRACKING,
        description="How clients learn of changes; ClientTracking needs Redis next.",
    )


class PoolRef(ApiModel):
    """A ConnectionPool."""

    name: ParentName = Field(description="Name of the ConnectionPool, in the tier's namespace.")


class PostgreSQLLevel(ApiModel):
    """A table in the database behind a pool."""

    pool_ref: PoolRef = Field(description="The ConnectionPool that leads to the database.")
    table: str = Field(
        "sophia_cache",
        pattern=r"^[a-z_][a-z0-9_]*$",
        min_length=1,
        max_length=48,
        description="Name of the table; the operator makes it.",
    )
    unlogged: bool = Field(
        True,
        description="Whether the table is unlogged: quicker to write, empty after a crash of the server and not on "
        "standbys. Decided when the table is made.",
    )


class CacheHealthCheck(ApiModel):
    """How the operator looks at the level, on connections of its own."""

    interval_seconds: int = Field(30, ge=1, le=3600, description="Time between two full checks, in seconds.")
    max_latency_ms: int | None = Field(
        None,
        ge=1,
        le=60_000,
        description="A check that takes longer is slow, in milliseconds; without: 5 for Redis, 20 for PostgreSQL.",
    )


class ScanPolicy(ApiModel):
    """How keys are looked over for their TTLs and quotas."""

    interval_seconds: int = Field(300, ge=5, le=86_400, description="Time between two scans, in seconds.")
    keys_per_second: int = Field(10_000, ge=10, le=1_000_000, description="Most keys looked at in a second.")
    sampled_keys: int = Field(
        2000, ge=10, le=1_000_000, description="Keys of a namespace whose memory is measured in one scan."
    )


_ONE_LOAD = "origin needs poolRef or query, not both"
_LOADS = "origin.slowAbovePercent must be below origin.pauseAbovePercent"


class Origin(ApiModel):
    """What answers when the cache does not: flushes and warm-ups slow down, and pause, when it is busy."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            ("has(self.poolRef) != has(self.query)", _ONE_LOAD),
            ("self.slowAbovePercent < self.pauseAbovePercent", _LOADS),
        )
    }

    pool_ref: PoolRef | None = Field(None, description="A ConnectionPool, whose utilization is the load.")
    query: str | None = Field(None, min_length=1, max_length=4096, description="PromQL query of the load, in percent.")
    slow_above_percent: int = Field(60, ge=1, le=99, description="Load above which work slows down, in percent.")
    pause_above_percent: int = Field(85, ge=2, le=100, description="Load above which work pauses, in percent.")

    @model_validator(mode="after")
    def _possible(self) -> Origin:
        if (self.pool_ref is None) == (self.query is None):
            raise ValueError(_ONE_LOAD)
        if self.slow_above_percent >= self.pause_above_percent:
            raise ValueError(_LOADS)
        return self


class WarmUpSource(StrEnum):
    """What a new release's own generation is filled from."""

    PREVIOUS_RELEASE = "PreviousRelease"  # copies of what the release before has
    HTTP_LIST = "HttpList"  # requests to the new release, from a list


class HttpList(ApiModel):
    """A list of requests."""

    url: str = Field(
        pattern=r"^https?://[^\s]+$",
        max_length=2048,
        description="Where the list is: one path a line, each asked for with GET from the new release.",
    )


_LIST = "warmUp.source HttpList needs warmUp.httpList, and only it has one"


class WarmUp(ApiModel):
    """How the generation of a new release is filled before it takes traffic."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(("(self.source == 'HttpList') == has(self.httpList)", _LIST))
    }

    source: WarmUpSource = Field(WarmUpSource.PREVIOUS_RELEASE, description="What it is filled from.")
    http_list: HttpList | None = Field(None, description="The list of requests.")
    max_per_second: int = Field(500, ge=1, le=100_000, description="Most entries, or requests, in a second.")

    @model_validator(mode="after")
    def _possible(self) -> WarmUp:
        if (self.source is WarmUpSource.HTTP_LIST) != (self.http_list is not None):
            raise ValueError(_LIST)
        return self


class CacheTierSpec(ApiModel):
    """Which level, and what may live in it."""

    model_config = ApiModel.model_config | {"json_schema_extra": rules(*SPEC)}

    level: CacheLevel = Field(description="Where the level keeps its entries.")
    next: ParentName | None = Field(
        None, description="Name of the tier that is asked when this one has no answer, in the same namespace."
    )
    namespaces: list[CacheNamespace] = Field(
        default_factory=list,
        max_length=MAX_NAMESPACES,
        json_schema_extra=map_list("name") | rules(*NAMESPACES),
        description="What may live in the cache. Keys of no namespace are counted and left alone.",
    )
    write_strategy: WriteStrategy = Field(
        WriteStrategy.WRITE_THROUGH, description="What clients are told to do when they write."
    )
    redis: RedisLevel | None = Field(None, description="The Redis of a Redis level.")
    memory: MemoryLevel | None = Field(None, description="The policy of a Memory level; its defaults when absent.")
    postgresql: PostgreSQLLevel | None = Field(None, description="The table of a PostgreSQL level.")
    health_check: CacheHealthCheck = Field(
        default_factory=CacheHealthCheck, description="How the operator looks at the level."
    )
    hit_ratio_target_percent: int = Field(
        85, ge=0, le=100, description="Hit ratio that the cache should have at least, in percent."
    )
    scan: ScanPolicy = Field(default_factory=ScanPolicy, description="How keys are looked over.")
    origin: Origin | None = Field(None, description="What answers when the cache does not.")
    warm_up: WarmUp | None = Field(None, description="How a new release's own generation is filled.")
    flush: Flush | None = Field(None, description="A flush to be done once. `kubectl sophia cache flush` writes it.")
    paused: bool = Field(
        False,
        description="Leave every key alone: no TTLs, no evictions, no flush, no warm-up. Failovers go on.",
    )

    @field_validator("namespaces")
    @classmethod
    def _prefixes_are_apart(cls, namespaces: list[CacheNamespace]) -> list[CacheNamespace]:
        if found := problem_of_prefixes([namespace.prefix for namespace in namespaces]):
            raise ValueError(found)
        return namespaces

    @model_validator(mode="after")
    def _parts_fit(self) -> CacheTierSpec:
        if found := problem_of_spec(self):
            raise ValueError(found)
        return self


class CacheTier(NamedObject):
    """One level of a cache: run or adopted, kept to its policy, flushed and warmed at a pace."""

    model_config = NamedObject.model_config | {"json_schema_extra": joined(NAMED, OBJECT)}

    kind: str = Field(description="CacheTier.")
    spec: CacheTierSpec = Field(description="Which level, and what may live in it.")
    status: CacheTierStatus = Field(default_factory=CacheTierStatus, description="What the operator saw.")

    @field_validator("spec")
    @classmethod
    def _names_fit(cls, spec: CacheTierSpec, info: ValidationInfo) -> CacheTierSpec:
        if found := problem_of_names(str(info.data.get("metadata", {}).get("name", "")), spec):
            raise ValueError(found)
        return spec
