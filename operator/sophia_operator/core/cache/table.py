"""What is asked of the table of a PostgreSQL level, and what it answers. Times are UTC, sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sophia_operator.core.cache.faults import CacheFailure


@dataclass(frozen=True, slots=True)
class TableRequest:
    """Which table, and how to get to it: through the pool, as applications do."""

    host: str
    port: int
    database: str
    username: str
    table: str
    unlogged: bool
    password: str = field(repr=False)
    ca: str | None = field(default=None, repr=False)
    #: libpq's sslmode.
    ssl_mode: str = "disable"
    timeout_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class TableNamespace:
    """What a table holds of a namespace, without what has expired: exact for small tables, else estimated from a
    sample."""

    keys: int
    used_bytes: int
    without_ttl: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table that answered."""

    #: Version of its layout, as in 1.
    version: int
    #: Without those that have expired, which are in `expired`.
    keys: int
    #: On disk, with its indexes.
    used_bytes: int
    expired: int
    unlogged: bool
    namespaces: Mapping[str, TableNamespace] = field(default_factory=dict)
    #: Time to connect and ask, and of the write, read and delete of the operator's own entry.
    ping_ms: float = 0.0
    check_ms: float | None = None
    check_failure: CacheFailure | None = None


@dataclass(frozen=True, slots=True)
class TableFinding:
    """What a look at the table found, and when."""

    at: datetime
    answer: Table | CacheFailure


class TableWork(StrEnum):
    """Kinds of work at a table, all in batches of at most 1,000 rows."""

    SWEEP = "Sweep"  # delete what expired, and give TTLs to what has none
    EVICT = "Evict"  # delete what was not used for longest, of one namespace
    DELETE = "Delete"  # a flush


@dataclass(frozen=True, slots=True)
class TableTask:
    """A part of some work. A batch that finds its rows locked, or the database busy, leaves them for the next part."""

    work: TableWork
    rows_per_second: int
    seconds: float
    #: Where it goes on, as the part before said; "" at the beginning. It has a key in it, and keys may be secret: it
    #: stays in memory.
    cursor: str = field(default="", repr=False)
    #: What earlier parts of the same work did, by namespace: TTLs given by a sweep, rows taken away by an eviction. It
    #: is carried along, so that what came of a part may be looked at more than once.
    before: Mapping[str, int] = field(default_factory=dict)
    #: Of a sweep: TTL by the name of the namespace, in seconds.
    ttls: Mapping[str, int] = field(default_factory=dict)
    #: Of an eviction.
    namespaces: tuple[str, ...] = ()
    #: Of an eviction: how much is to go.
    evict_bytes: int = 0
    #: Of a flush: keys that match one of the patterns (as of Redis' SCAN MATCH) and begin with one of `allowed`.
    patterns: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    #: Of a flush: entries with that tag as well, if they begin with one of `allowed`.
    tag: str | None = None
    #: Of a flush: TRUNCATE.
    everything: bool = False
    #: Which table it is of, as the planner calls it: what came of work at another one counts for nothing.
    table: str = ""
    #: Name of the flush: tells its parts from those of another one of the same rows.
    name: str = ""


@dataclass(frozen=True, slots=True)
class TableResult:
    """What a part did. `cursor` is where the work goes on, None when it is through."""

    cursor: str | None = field(repr=False)
    scanned: int
    deleted: int
    ttls_given: int
    freed_bytes: int
    seconds: float
    failure: CacheFailure | None = None
    #: What it did, by namespace, as in TableTask.before.
    namespaces: Mapping[str, int] = field(default_factory=dict)
