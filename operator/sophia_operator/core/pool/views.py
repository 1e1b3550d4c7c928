"""What a pass over a ConnectionPool sees: frozen values, already parsed.

`None` always means "not there" or "not known yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.pool.findings import CommandResult, InsightsFinding, InstanceFinding, ServerFinding
from sophia_operator.core.pool.tasks import Acted
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.views import Blocker, PodProblem


@dataclass(frozen=True, slots=True)
class PoolView:
    """A ConnectionPool."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    spec: ConnectionPoolSpec
    status: ConnectionPoolStatus


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with those that vouch for it, and its private key, in PEM form."""

    chain: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """Everything secret that the pool works with. Never in a status, an event, a log or a metric."""

    #: The user that the pool connects to the server as, from the Secret that the spec names.
    username: str
    password: str = field(repr=False)
    #: The user that applications connect to the pool as; made by the operator, and stays when `password` changes.
    client_username: str
    client_password: str = field(repr=False)
    #: The user of the admin console and of the operator's checks through the instances; made by the operator.
    admin_password: str = field(repr=False)
    #: Certificates to verify the server with, in PEM form.
    ca: str | None = field(default=None, repr=False)
    #: What clients see of the pool, in PEM form; None while it is missing, or the spec names none.
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class InstanceView:
    """The pod of one PgBouncer."""

    name: str
    uid: str
    address: str | None
    ready: bool
    terminating: bool
    #: Whether its template is the newest that the Deployment has.
    current: bool
    #: Hash of the configuration that its volume was last made to look at.
    poked: str | None


@dataclass(frozen=True, slots=True)
class FleetView:
    """The Deployment of the PgBouncers."""

    spec_replicas: int
    pods: int
    ready_pods: int
    #: Whether its status speaks of its newest generation.
    caught_up: bool
    #: Image in its pod template.
    image: str | None
    problem: PodProblem | None = None
    #: Whether pods of an older template are still there.
    rolling: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What another pool holds of the same server."""

    namespace: str
    name: str
    username: str | None
    granted: int
    #: Addresses of its instances.
    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found before and is remembered in memory, and when. A restart of the operator forgets it."""

    server: ServerFinding | None = None
    #: By the name of the pod.
    instances: Mapping[str, InstanceFinding] = field(default_factory=dict)
    insights: tuple[InsightsFinding, ...] = ()  # the two newest, the newest last
    #: Milliseconds of the newest checks through instances, the newest last.
    connect_ms: tuple[float, ...] = ()
    query_ms: tuple[float, ...] = ()
    #: The newest commands to each instance, by pod and command, as in `("orders-pool-1", "RECONNECT")`.
    commands: Mapping[tuple[str, str], CommandResult] = field(default_factory=dict)
    #: When the connection that watches the server broke; None while it stands, or none was made.
    watch_broke_at: datetime | None = None
    #: What came of what acts do at the server.
    acted: Acted = field(default_factory=Acted)


@dataclass(frozen=True, slots=True)
class PoolObserved:
    """Everything else that a pass sees."""

    fleet: FleetView | None = None
    instances: tuple[InstanceView, ...] = ()
    #: None while a Secret, or a key of one, is missing: a blocker says which.
    access: Access | None = None
    claims: tuple[Claim, ...] = ()
    kept: Kept = field(default_factory=Kept)
    blockers: tuple[Blocker, ...] = ()
    #: What recovery asks for.
    acts: tuple[ActRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolDesired:
    """What the cluster should hold."""

    #: In the order to apply.
    objects: tuple[Mapping[str, Any], ...] = ()
    #: Hash of the configuration in it, as instances show it; None while it cannot be rendered.
    config_hash: str | None = None
