"""What a pass over a CacheTier sees: frozen values, already parsed.

`None` always means "not there" or "not known yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.core.cache.findings import NodeCommandResult, NodeFinding, ScanResult, TaskFinding
from sophia_operator.core.cache.table import TableFinding
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.views import Blocker, PodProblem


@dataclass(frozen=True, slots=True)
class TierView:
    """A CacheTier."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    spec: CacheTierSpec
    status: CacheTierStatus


@dataclass(frozen=True, slots=True)
class TierAccess:
    """Everything secret that the tier works with. Never in a status, an event, a log or a metric."""

    #: The user that applications connect as. Of an adopted Redis: the one of the Secret that the spec names.
    client_username: str | None
    client_password: str | None = field(repr=False)
    #: Made by the operator, for managed nodes only.
    admin_password: str | None = field(default=None, repr=False)
    replicator_password: str | None = field(default=None, repr=False)
    prober_password: str | None = field(default=None, repr=False)
    #: What the admin's password was before somebody replaced it, the newest first: nodes that run have that one.
    earlier_admin_passwords: tuple[str, ...] = field(default=(), repr=False)
    #: Certificates to verify nodes with, in PEM form.
    ca: str | None = field(default=None, repr=False)
    #: Hash of the certificate that nodes show; a new one needs new pods.
    certificate_hash: str | None = None
    #: Of a PostgreSQL level: the content of the pool's binding Secret, by key. Its `username` and `password` are the
    #: client's above.
    pool_binding: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NodeView:
    """The pod of one node; for an adopted Redis, that Redis."""

    name: str
    uid: str
    address: str | None
    ready: bool
    terminating: bool
    #: Whether its template is the newest that the StatefulSet has.
    current: bool
    #: Value of the role label.
    role_label: str | None = None
    #: Whether its Redis process is known to have ended, by what the kubelet says; a container that runs again is new.
    ended: bool = False
    #: When its container was started, by what the kubelet says.
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NodesView:
    """The StatefulSet."""

    spec_replicas: int
    pods: int
    ready_pods: int
    #: Whether its status speaks of its newest generation.
    caught_up: bool
    #: Image in its pod template.
    image: str | None
    problem: PodProblem | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A tier below this one in the chain; `spec` is None when it is not there, or cannot be read."""

    name: str
    spec: CacheTierSpec | None
    #: Generation of each of its namespaces.
    generations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoundRelease:
    """A Release whose snapshot is bound to the tier with a generation of its own."""

    name: str
    service: str
    revision: int
    #: Whether it is to be warmed now: it has pods, and no traffic.
    warming: bool
    #: Revision of the release that serves meanwhile.
    before: int | None
    #: Where the new release alone answers, as in `http://shop-green.shop.svc:80`.
    url: str | None = None
    #: When its rollout began, the last time: it may be tried again.
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the origin is, in percent; None when that could not be found out, `message` says why."""

    at: datetime
    percent: float | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class HitRatio:
    """A namespace's hit ratio, from 0 to 1; None when there is none, `message` says why."""

    at: datetime
    ratio: float | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """A namespace whose keys are also those of a namespace of another tier, at the same server or in the same table."""

    namespace: str
    #: With its namespace, as in `shop/hot`.
    tier: str
    other: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found before and is remembered in memory, and when. A restart of the operator forgets it."""

    #: By the name of the pod.
    nodes: Mapping[str, NodeFinding] = field(default_factory=dict)
    table: TableFinding | None = None
    #: Milliseconds of the newest checks, the newest last.
    latencies_ms: tuple[float, ...] = ()
    #: (when, hits, misses) of the primary's newest full looks, of one run of its process, the newest last.
    totals: tuple[tuple[datetime, int, int], ...] = ()
    #: The newest commands to each node, by pod and verb.
    commands: Mapping[tuple[str, str], NodeCommandResult] = field(default_factory=dict)
    #: The parts of the scan under way, the newest last, and when it began.
    scan: tuple[ScanResult, ...] = ()
    scan_began_at: datetime | None = None
    scan_node: str | None = None
    #: The last parts of work, by kind: "scan", "flush", "warm:<release>", "sweep".
    tasks: Mapping[str, TaskFinding] = field(default_factory=dict)
    load: Load | None = None
    hit_ratios: Mapping[str, HitRatio] = field(default_factory=dict)
    #: When the connection that watches a node broke, by the name of the pod; absent while it stands, or none was made.
    broke_at: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TierObserved:
    """Everything else that a pass sees."""

    stateful_set: NodesView | None = None
    nodes: tuple[NodeView, ...] = ()
    #: None while a Secret, or a key of one, is missing: a blocker says which.
    access: TierAccess | None = None
    #: Tiers below, nearest first, until the chain ends, breaks, or comes back to a tier that is in it already.
    below: tuple[Link, ...] = ()
    #: Whether it comes back.
    cycle: bool = False
    releases: tuple[BoundRelease, ...] = ()
    kept: Kept = field(default_factory=Kept)
    blockers: tuple[Blocker, ...] = ()
    #: By the tier and its namespace.
    shared: tuple[SharedKeys, ...] = ()
    #: What recovery asks for.
    acts: tuple[ActRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class TierDesired:
    """What the cluster should hold, in the order to apply."""

    objects: tuple[Mapping[str, Any], ...] = ()
