"""What is asked of Redis nodes, and what they answer. Times are UTC, sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache.faults import CacheFailure
from sophia_operator.core.cache.table import TableResult, TableTask


@dataclass(frozen=True, slots=True)
class NodeTls:
    """TLS to a node. The certificate is checked for `server_name`; `ca` is in PEM form, None: those of the system."""

    server_name: str
    ca: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NodeRequest:
    """Which node, and as whom. `name` is the pod's."""

    name: str
    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: NodeTls | None = None
    #: Names of settings to be read with CONFIG GET.
    settings: tuple[str, ...] = ()
    #: Whether to write, read and delete a key of the operator's own as well, where the node accepts writes.
    full: bool = True
    timeout_seconds: float = 2.0
    #: Of work on keys: the run that it was decided for, None for any. A cursor means nothing to another one.
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReplicaLink:
    """A replica, as its primary sees it in INFO replication."""

    address: str
    port: int
    online: bool
    offset: int
    lag_seconds: int


@dataclass(frozen=True, slots=True)
class Node:
    """A node that answered: from INFO, CONFIG GET and the operator's own key."""

    role: NodeRole
    #: As in `redis 7.0.15`, `valkey 8.1.1`.
    version: str
    run_id: str
    #: Identity of the history that it holds, and how far it holds it.
    replication_id: str
    offset: int
    #: Of a replica: whom it follows, and whether the link stands and no sync is under way.
    primary_host: str | None
    primary_port: int | None
    link_up: bool
    #: Of a replica whose link is down: for how long it has been.
    link_down_seconds: int | None
    #: Of a primary.
    replicas: tuple[ReplicaLink, ...]
    #: `no-failover` but while FAILOVER is under way.
    failover_state: str
    loading: bool
    used_memory: int
    max_memory: int
    keys: int
    hits: int
    misses: int
    evicted: int
    clients: int
    #: CONFIG GET, as far as asked for.
    settings: Mapping[str, str] = field(default_factory=dict)
    #: Time of PING, and of the write, read and delete together; None when not asked for, or not possible here.
    ping_ms: float = 0.0
    check_ms: float | None = None
    #: Of a replica: for how long it heard nothing from its primary (master_last_io_seconds_ago).
    link_idle_seconds: int | None = None
    #: Why the write, the read or the delete failed; the node answered all the same.
    check_failure: CacheFailure | None = None


@dataclass(frozen=True, slots=True)
class NodeFinding:
    """What a look at a node found, and when. Of another pod of the same name nothing counts."""

    at: datetime
    uid: str
    answer: Node | CacheFailure
    #: The last answer of this pod that was none of failure, and when: what is known of a node that is lost.
    last: Node | None = None
    last_at: datetime | None = None
    #: When the last full look at this pod was, whether it answered or not.
    full_at: datetime | None = None


class NodeVerb(StrEnum):
    """Commands that the operator gives to nodes."""

    PROMOTE = "Promote"  # REPLICAOF NO ONE
    #: REPLICAOF <target address> <port>; without a target names.FENCE_HOST names.FENCE_PORT: nobody is followed.
    FOLLOW = "Follow"
    HAND_OVER = "HandOver"  # FAILOVER TO <target address> <port> TIMEOUT <ms>: pauses writes until the target has all
    CANCEL_HAND_OVER = "CancelHandOver"  # FAILOVER ABORT
    CONFIGURE = "Configure"  # CONFIG SET of `settings`, all in one
    #: ACL SETUSER <user> #<hash> for each of `passwords`, beside those that it has; CONFIG SET masterauth.
    ADD_PASSWORDS = "AddPasswords"
    PURGE_MEMORY = "PurgeMemory"  # MEMORY PURGE: what holds no entries goes back to the system
    DISCONNECT_CLIENTS = "DisconnectClients"  # CLIENT KILL TYPE normal: so that they look up the Service anew


@dataclass(frozen=True, slots=True)
class NodeCommand:
    """A command to one node."""

    node: str
    verb: NodeVerb
    #: Name of the node to follow, or to hand over to.
    target: str | None = None
    settings: tuple[tuple[str, str], ...] = ()
    #: Users, and what each may log in with from now on.
    passwords: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class NodeCommandResult:
    """What came of a command."""

    at: datetime
    failure: CacheFailure | None = None


@dataclass(frozen=True, slots=True)
class NamespaceRule:
    """What a scan does with the keys of one namespace."""

    name: str
    #: The keys begin with it, colon included.
    prefix: str
    ttl_seconds: int
    #: Keys that were idle for at least so long are evicted; None: no key is.
    evict_idle_seconds: int | None = None
    #: Of those that were idle for less than twice as long, or than a second, only this part is, from 0 to 1.
    evict_share: float = 1.0
    #: The part evicts no more bytes than that, but for those of the last key, and of that part; None: all there are.
    evict_bytes: int | None = None
    evict_share_bytes: int | None = None
    #: Whether keys that have no TTL are given one. That makes a key young: what may be evicted is left alone before.
    gives_ttls: bool = True
    #: Part of its keys whose memory and idle time are measured, from 0 to 1; None: that of the task.
    sample: float | None = None


@dataclass(frozen=True, slots=True)
class ScanTask:
    """A part of a scan of all keys: gives missing TTLs, evicts what is to be evicted, and counts."""

    cursor: str
    rules: tuple[NamespaceRule, ...]
    keys_per_second: int
    #: Part of the keys whose memory and idle time are measured, from 0 to 1.
    sample: float
    #: The part ends after so long.
    seconds: float


@dataclass(frozen=True, slots=True)
class NamespaceCount:
    """What a part of a scan counted of a namespace. `idle` has, for sampled keys, bytes by the whole seconds of idle
    time rounded down to a power of two (0 for less than one, and for a key that was given a TTL, which made it young);
    empty where Redis does not tell idle times (LFU).

    A key that was evicted counts in `evicted`, `evicted_bytes` and `evicted_share_bytes` alone.
    """

    keys: int = 0
    without_ttl: int = 0
    ttls_given: int = 0
    evicted: int = 0
    evicted_bytes: int = 0
    evicted_share_bytes: int = 0
    sampled: int = 0
    sampled_bytes: int = 0
    idle: Mapping[int, int] = field(default_factory=dict)
    #: Keys by the generation in their name, as in {"g1": 10, "g1r7": 5}; at most 64 generations.
    generations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a part of a scan did. `cursor` is where it goes on, None when it is through."""

    cursor: str | None
    scanned: int
    seconds: float
    namespaces: Mapping[str, NamespaceCount] = field(default_factory=dict)
    unclaimed: int = 0
    failure: CacheFailure | None = None


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """A part of a flush: UNLINK, in small batches, every key that matches one of the patterns (as of SCAN MATCH).

    No key that does not begin with one of `allowed` is deleted, whatever the patterns say. With
    `everything`, FLUSHALL ASYNC instead.
    """

    cursor: str
    patterns: tuple[str, ...]
    allowed: tuple[str, ...]
    keys_per_second: int
    seconds: float
    everything: bool = False
    #: Name of the flush: tells its parts from those of another one with the same patterns.
    name: str = ""


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a part of a flush did. `cursor` is where it goes on, None when it is through."""

    cursor: str | None
    scanned: int
    deleted: int
    seconds: float
    failure: CacheFailure | None = None


@dataclass(frozen=True, slots=True)
class CopyTask:
    """A part of a warm-up: COPY, with its TTL, every key that begins with a source prefix to the target prefix, unless
    the target is there."""

    cursor: str
    #: (source prefix, target prefix), as in ("emb:g1r6:", "emb:g1r7:").
    prefixes: tuple[tuple[str, str], ...]
    keys_per_second: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What a part of a warm-up did. `position` is roughly how far the cursor is through all keys, from 0 to 1."""

    cursor: str | None
    scanned: int
    copied: int
    seconds: float
    position: float
    failure: CacheFailure | None = None


@dataclass(frozen=True, slots=True)
class RequestsTask:
    """A part of a warm-up by requests: GET the paths from `first` on, of the list at `list_url`, from `base_url`."""

    list_url: str
    base_url: str
    first: int
    requests_per_second: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RequestsResult:
    """What a part of a warm-up by requests did. `next` is where it goes on, None when it is through."""

    next: int | None
    total: int
    answered: int
    failed: int
    seconds: float
    failure: CacheFailure | None = None


Task = ScanTask | DeleteTask | CopyTask | RequestsTask | TableTask
TaskResult = ScanResult | DeleteResult | CopyResult | RequestsResult | TableResult


@dataclass(frozen=True, slots=True)
class TaskFinding:
    """What came of the last part of a piece of work, and when. It is told apart by the task that it answers."""

    at: datetime
    task: Task
    result: TaskResult
    #: Run of the node that did it.
    node: str
    #: How many parts of this work failed, one after the other, this one included (`work.keeping.keep` counts them).
    failures: int = 0


@dataclass(frozen=True, slots=True)
class TierNeeds:
    """Looks that are due in this pass: names of nodes and whether the look is a full one, the table, the origin's load,
    and names of namespaces whose hit ratio is to be asked for."""

    nodes: Mapping[str, bool] = field(default_factory=dict)
    table: bool = False
    load: bool = False
    hit_ratios: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nodes) or self.table or self.load or bool(self.hit_ratios)
