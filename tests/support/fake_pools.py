"""PostgreSQL servers and PgBouncers in memory, which refuse what the real ones refuse. Implements ports.Pools.

PgBouncers are the pods of pools in the cluster in memory. Each has mounted the files of its Secret as they were when
it started or when it was last poked, and has loaded what was mounted when it started or was last told to reload.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sophia_operator.core.pool import names
from sophia_operator.core.pool.activity import Activity, Session, Unseen
from sophia_operator.core.pool.findings import (
    Backends,
    Console,
    Failure,
    Fault,
    InstanceRequest,
    Server,
    ServerConnection,
    ServerRequest,
    ServerRole,
    Statement,
    Through,
    Verb,
)
from sophia_operator.core.pool.tasks import Analyzed, AnalyzeTask, Cancelled, CancelTask, ServerTask
from sophia_operator.ports import Object
from tests.support.fake_cluster import FakeCluster

USER: Final = "app"
_DOWN: Final = Failure(Fault.UNREACHABLE, "connection refused")


@dataclass(eq=False)
class Host:
    """A PostgreSQL server."""

    identity: str
    role: ServerRole = ServerRole.PRIMARY
    up: bool = True
    address: str = "10.1.0.1"
    password: str = "pw-one"
    databases: frozenset[str] = frozenset({"orders"})
    max_connections: int = 100
    backends: tuple[Backends, ...] = ()
    #: What runs for long, or is waited for; what is ended goes.
    sessions: tuple[Session, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    #: Processes whose statements go on although they are told to end.
    deaf: frozenset[int] = frozenset()
    #: Users whose statements the pool's user may not end.
    untouchable: frozenset[str] = frozenset()
    #: By table: whether the pool's user owns it.
    tables: Mapping[str, bool] = field(default_factory=lambda: {"public.item": True, "public.theirs": False})
    analyzed: list[str] = field(default_factory=list)


@dataclass
class Link:
    """A server connection that an instance holds for clients."""

    host: Host
    identity: str
    made: datetime
    closing: bool = False

    @property
    def alive(self) -> bool:
        """Whether the server is still the one that it was made to."""
        return self.host.up and self.host.identity == self.identity


@dataclass
class Bouncer:
    """A PgBouncer."""

    uid: str
    mounted: Mapping[str, str]
    loaded: Mapping[str, str]
    poked: str | None
    links: list[Link] = field(default_factory=list)
    check: Link | None = None
    paused: bool = False
    silent: bool = False
    #: Clients that wait for a server connection.
    waiting: int = 0

    @property
    def config(self) -> str:
        """What it is configured by, with everything that is included."""
        return "\n".join(text for name, text in sorted(self.loaded.items()) if name.endswith(".ini"))

    @property
    def marker(self) -> str | None:
        """Hash of the configuration that is loaded."""
        found = re.search(rf"^{names.MARKER_DATABASE} = .*dbname='([^']+)'", self.config, re.MULTILINE)
        return found.group(1) if found else None

    def password_of(self, user: str) -> str | None:
        """From the list of users that is loaded."""
        found = re.search(rf'^"{re.escape(user)}" "(.*)"$', self.loaded["userlist.txt"], re.MULTILINE)
        return found.group(1) if found else None

    def lets_in(self, user: str, password: str) -> bool:
        """Whether the user may log in with that password, which stands in the list itself or as a SCRAM secret."""
        known = self.password_of(user)
        if known is None or not known.startswith("SCRAM-SHA-256$"):
            return known == password
        _, rounds, salt, stored, _ = re.split("[$:]", known)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
        return hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest() == base64.b64decode(stored)


@dataclass
class FakePools:
    """The servers by the names that the operator and instances know them by, and the instances by pod."""

    cluster: FakeCluster
    clock: Callable[[], datetime]
    hosts: dict[str, Host] = field(default_factory=lambda: {"db": Host("A1")})
    bouncers: dict[str, Bouncer] = field(default_factory=dict)
    #: Commands in their order, by the name of the pod.
    given: list[tuple[str, Verb]] = field(default_factory=list)
    #: What was asked, in its order.
    asked: list[str] = field(default_factory=list)
    #: Called before each command; may end the process.
    hook: Callable[[str, Verb], None] = lambda *_: None
    #: Called before each task of an act; may end the process.
    task_hook: Callable[[ServerTask], None] = lambda _: None
    #: Statements that were told to end, in their order.
    told: list[CancelTask] = field(default_factory=list)
    #: ANALYZE takes until it is set.
    analyzing: asyncio.Event | None = None
    #: Called before each look at a server, and may wait.
    before_server: Callable[[], object] | None = None
    #: Watches that stand.
    watches: dict[asyncio.Task[object], Host] = field(default_factory=dict)
    closed: bool = False

    # What the operator calls

    async def server(self, request: ServerRequest) -> Server | Failure:
        """As in ports.Pools."""
        await asyncio.sleep(0)
        self.asked.append("server")
        host = self._reach(request)
        if isinstance(host, Failure):
            return host
        counted = tuple(
            Backends(USER, "orders", self._address(name), "", len(b.links)) for name, b in self._running() if b.links
        )
        return Server(
            role=host.role,
            address=host.address,
            version="15.5",
            identity=host.identity,
            max_connections=host.max_connections,
            reserved_connections=3,
            backends=(*host.backends, *counted),
            lag_seconds=None if host.role is ServerRole.PRIMARY else 0.0,
            connect_ms=3.0,
            query_ms=1.0,
            activity=Activity(host.sessions, host.unseen),
        )

    async def watch(self, request: ServerRequest) -> None:
        """As in ports.Pools."""
        host = self._reach(request)
        if isinstance(host, Failure):
            return
        task, identity = asyncio.current_task(), host.identity
        assert task is not None
        self.watches[task] = host
        try:
            while host.up and host.identity == identity and not self.closed:
                await asyncio.sleep(0)
        finally:
            del self.watches[task]

    async def insights(self, request: ServerRequest) -> tuple[Statement, ...] | str:
        """As in ports.Pools."""
        await asyncio.sleep(0)
        host = self._reach(request)
        return host.message if isinstance(host, Failure) else "pg_stat_statements is not installed"

    async def instance(self, request: InstanceRequest) -> tuple[Console | Failure, Through | Failure | None]:
        """As in ports.Pools."""
        await asyncio.sleep(0)
        self.asked.append(f"{request.name} {'full' if request.full else 'console'}")
        bouncer = self._instance(request)
        if isinstance(bouncer, Failure):
            return bouncer, None
        self._work(bouncer)
        return self._console(bouncer, full=request.full), self._through(bouncer) if request.full else None

    async def command(self, request: InstanceRequest, verb: Verb) -> Failure | None:
        """As in ports.Pools."""
        await asyncio.sleep(0)
        self.hook(request.name, verb)
        bouncer = self._instance(request)
        if isinstance(bouncer, Failure):
            return bouncer
        self.given.append((request.name, verb))
        match verb:
            case Verb.RELOAD:
                bouncer.loaded = bouncer.mounted
            case Verb.RECONNECT:
                bouncer.links, bouncer.check = [replace(k, closing=True) for k in bouncer.links], None
            case Verb.KILL:
                bouncer.links, bouncer.paused = [], True
            case Verb.PAUSE:
                bouncer.paused = True
            case Verb.RESUME:
                bouncer.paused = False
        return None

    async def cancel(self, request: ServerRequest, task: CancelTask) -> Cancelled | Failure:
        """As in ports.Pools: another statement, or another session, of the same process is left alone."""
        await asyncio.sleep(0)
        self.task_hook(task)
        host = self._reach(request)
        if isinstance(host, Failure):
            return host
        self.told.append(task)
        wanted = (task.pid, task.started_at, task.since, task.idle)
        found = next((s for s in host.sessions if (s.pid, s.started_at, s.since, s.idle) == wanted), None)
        if found is None or (found.idle and found.username != USER):
            return Cancelled.GONE
        if found.username in host.untouchable:
            return Cancelled.FORBIDDEN
        if found.pid not in host.deaf:
            # Who waited for it waits for it no longer.
            host.sessions = tuple(replace(s, waits=False) for s in host.sessions if s is not found)
        return Cancelled.TOLD

    async def analyze(self, request: ServerRequest, task: AnalyzeTask) -> Analyzed | Failure:
        """As in ports.Pools."""
        await asyncio.sleep(0)
        self.task_hook(task)
        host = self._reach(request)
        if isinstance(host, Failure):
            return host
        if host.role is ServerRole.STANDBY:
            return Analyzed(refused="it is a standby")
        wanted = [t for t, own in host.tables.items() if own] if task.table is None else [task.table]
        if task.table is not None and not host.tables.get(task.table):
            return Analyzed(refused=f"the user {USER} does not own table {task.table}, or there is none")
        if self.analyzing is not None:
            await self.analyzing.wait()
        host.analyzed += wanted
        return Analyzed(tuple(wanted)) if wanted else Analyzed(refused=f"the user {USER} owns no table")

    async def close(self) -> None:
        """As in ports.Pools."""
        self.closed = True

    # What happens around the operator

    def tick(self) -> None:
        """The kubelet looks at every pod: it starts new ones, and looks at the volumes of those that changed."""
        pods = {p["metadata"]["name"]: p for p in self.cluster.all("Pod") if _pool_of(p)}
        for gone in self.bouncers.keys() - pods.keys():
            del self.bouncers[gone]
        for name, pod in pods.items():
            files, poked = self._files(pod), (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_CONFIG)
            known = self.bouncers.get(name)
            if known is not None and known.uid != pod["metadata"]["uid"]:
                known = None
            if files is not None and known is None:
                self.bouncers[name] = Bouncer(pod["metadata"]["uid"], files, files, poked)
            elif files is not None and known is not None and known.poked != poked:
                known.mounted, known.poked = files, poked

    def fail_over(self, name: str = "db", identity: str = "B2") -> None:
        """The server dies, and another one answers at its name at once."""
        old = self.hosts[name]
        old.up = False
        self.hosts[name] = Host(identity, address="10.1.0.2", password=old.password, databases=old.databases)

    # How it works

    def _reach(self, request: ServerRequest) -> Host | Failure:
        host = self.hosts.get(request.host.split(".")[0])
        if host is None:
            return Failure(Fault.HOST_UNKNOWN, "Name or service not known")
        if not host.up:
            return _DOWN
        if (request.username, request.password) != (USER, host.password):
            return Failure(Fault.AUTHENTICATION_FAILED, "password authentication failed")
        if request.database not in host.databases:
            return Failure(Fault.DATABASE_NOT_FOUND, f'database "{request.database}" does not exist')
        return host

    def _running(self) -> list[tuple[str, Bouncer]]:
        return sorted(self.bouncers.items())

    def _address(self, name: str) -> str | None:
        pod = next(p for p in self.cluster.all("Pod") if p["metadata"]["name"] == name)
        address: str | None = pod["status"].get("podIP")
        return address

    def _instance(self, request: InstanceRequest) -> Bouncer | Failure:
        bouncer = self.bouncers.get(request.name)
        if bouncer is None or self._address(request.name) != request.address or request.port != names.PORT:
            return _DOWN
        if bouncer.silent:
            return Failure(Fault.TIMEOUT, "timeout")
        if request.admin_username != names.ADMIN or not bouncer.lets_in(names.ADMIN, request.admin_password):
            return Failure(Fault.AUTHENTICATION_FAILED, "password authentication failed")
        if f"\n{request.database} = " not in bouncer.config:
            return Failure(Fault.DATABASE_NOT_FOUND, f'no such database: "{request.database}"')
        return bouncer

    def _connect(self, bouncer: Bouncer) -> Link | None:
        """A new connection to whatever the name in the configuration stands for now."""
        found = re.search(r"host='([^']+)'", bouncer.config)
        host = self.hosts.get(found.group(1).split(".")[0]) if found else None
        if host is None or not host.up or bouncer.password_of(USER) != host.password:
            return None
        return Link(host, host.identity, self.clock())

    def _work(self, bouncer: Bouncer) -> None:
        """Connections end with their server, closing ones are closed, and clients open new ones."""
        bouncer.links = [k for k in bouncer.links if k.alive and not k.closing]
        if not bouncer.links and not bouncer.paused:
            made = self._connect(bouncer)
            bouncer.links = [made] if made is not None else []
        bouncer.waiting = 0 if bouncer.links or bouncer.paused else 1

    def _console(self, bouncer: Bouncer, *, full: bool) -> Console:
        links = tuple(ServerConnection("orders", "active", k.host.address, k.made, k.closing) for k in bouncer.links)
        size = re.search(r"pool_size=(\d+)", bouncer.config)
        return Console(
            version="1.22.0",
            config_hash=bouncer.marker,
            clients_active=1,
            clients_waiting=bouncer.waiting,
            servers_active=0,
            servers_idle=len(links),
            servers_other=0,
            servers_logging_in=0,
            longest_wait_seconds=0.0,
            pool_size=int(size.group(1)) if size else 0,
            paused=bouncer.paused,
            connections=links,
            transactions=1000 if full else None,
            queries=1000 if full else None,
            clients=1 if full else None,
        )

    def _through(self, bouncer: Bouncer) -> Through | Failure:
        if bouncer.check is None or not bouncer.check.alive:
            bouncer.check = self._connect(bouncer)
        if bouncer.check is None:
            return Failure(Fault.UNREACHABLE, "server login failed")
        host = bouncer.check.host
        return Through(host.role, host.address, host.identity, 3.0, 1.0)

    def _files(self, pod: Object) -> Mapping[str, str] | None:
        """What the pod's volume holds when the kubelet looks: without the Secret the pod does not start."""
        secret = self.cluster.find("Secret", names.config_secret(_pool_of(pod) or ""), pod["metadata"]["namespace"])
        if secret is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def _pool_of(pod: Object) -> str | None:
    label: str | None = pod["metadata"]["labels"].get(names.LABEL_POOL)
    return label
