"""Redis nodes in memory, which refuse what real ones refuse. Implements ports.Caches.

Replication is that of cache_nodes.Net, where a write is tried at every process all the time: whoever lets two accept
writes, one after the other and back, is found out. A process has the files of its pod's Secret as they were when it
started.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache import conf, names
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import (
    CopyResult,
    CopyTask,
    DeleteResult,
    DeleteTask,
    Node,
    NodeCommand,
    NodeRequest,
    NodeVerb,
    ScanResult,
    ScanTask,
)
from sophia_operator.ports import Object
from tests.support.cache_nodes import TICK, Net, Redis
from tests.support.cache_work_keys import Entry, Keys
from tests.support.fake_cluster_nodes import NodePods, Run

OPERATOR: Final = "operator"
_DOWN: Final = CacheFailure(CacheFault.REFUSED, "connection refused")
_SILENT: Final = CacheFailure(CacheFault.TIMEOUT, "no answer within 2 s")
_ANOTHER_RUN: Final = CacheFailure(CacheFault.UNREACHABLE, "it was started anew since it was looked at")
_WRONG: Final = CacheFailure(CacheFault.AUTHENTICATION_FAILED, "invalid username-password pair or user is disabled.")


@dataclass
class Process:
    """A server: what Net says of its replication, and the rest of it."""

    redis: Redis
    began: datetime
    users: str
    settings: dict[str, str]
    #: Another Redis than those of pods lets in whoever has this password.
    password: str | None = None

    def lets_in(self, request: NodeRequest) -> bool:
        """Whether the user may log in."""
        given = request.password or ""
        if self.password is not None:
            return given == self.password
        digest = hashlib.sha256(given.encode()).hexdigest()
        return (
            re.search(rf"^user {re.escape(request.username or 'default')} on .*#{digest} ", self.users, re.M)
            is not None
        )

    def add(self, passwords: Iterable[tuple[str, str]]) -> None:
        """Users get passwords beside those that they have."""
        for user, password in passwords:
            assert f"user {user} on " in self.users
            digest = hashlib.sha256(password.encode()).hexdigest()
            self.users = self.users.replace(f"user {user} on ", f"user {user} on #{digest} ")


@dataclass
class FakeNodes(NodePods):
    """Pods whose processes are in memory."""

    net: Net = field(default_factory=Net)
    #: The newest process by the uid of its pod.
    processes: dict[str, Process] = field(default_factory=dict)
    _made: int = 0

    def new_address(self, number: int) -> str:
        """As in NodePods."""
        return f"10.3.0.{number + 1}"

    def start(self, pod: Object, files: Mapping[str, str]) -> None:
        """As in NodePods."""
        self._made += 1
        address = self.address(pod)
        assert address is not None
        redis = Redis(f"run-{self._made}", address, pod["metadata"]["name"], down_since=self.net.now)
        self.net.processes.append(redis)
        self.processes[pod["metadata"]["uid"]] = Process(
            redis, self.clock(), files[conf.USERS], _settings(files[conf.CONF])
        )

    def end(self, pod: Object) -> None:
        """As in NodePods."""
        process = self.processes.get(pod["metadata"]["uid"])
        if process is not None and process.redis.alive:
            self.net.kill(process.redis)

    def run_of(self, pod: Object) -> Run | None:
        """As in NodePods."""
        process = self.processes.get(pod["metadata"]["uid"])
        if process is None:
            return None
        return Run(process.began, ready=not process.redis.frozen, over=not process.redis.alive)

    def process(self, name: str) -> Process:
        """The newest process of that pod."""
        return self.processes[self.pod(name)["metadata"]["uid"]]

    def advance(self, seconds: float) -> None:
        """So much time goes by for processes."""
        for _ in range(round(seconds / TICK)):
            self.net.tick()


@dataclass
class FakeCaches:
    """Implements ports.Caches."""

    nodes: FakeNodes
    clock: Callable[[], datetime]
    #: Redis servers that are no pods, by their host.
    others: dict[str, Process] = field(default_factory=dict)
    #: What clients have written, at whichever node: replicas have it as well.
    entries: dict[str, Entry] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    given: list[tuple[str, NodeVerb]] = field(default_factory=list)
    #: Called before each command; may end the process.
    hook: Callable[[str, NodeVerb], None] = lambda *_: None
    watches: set[asyncio.Task[object]] = field(default_factory=set)
    closed: bool = False

    async def node(self, request: NodeRequest) -> Node | CacheFailure:
        """As in ports.Caches."""
        await asyncio.sleep(0)
        self.asked.append(f"{request.name}{' full' if request.full else ''}")
        found = self._reach(request)
        if isinstance(found, CacheFailure):
            return found
        node = self.nodes.net.look(found.redis)
        known = {**found.settings, names.MIN_REPLICAS: node.settings[names.MIN_REPLICAS]}
        settings = {name: known[name] for name in request.settings if name in known}
        accepts = request.full and node.role is NodeRole.PRIMARY
        maximum = int(found.settings.get("maxmemory", "0"))
        return replace(
            node,
            settings=settings,
            keys=len(self.entries),
            max_memory=maximum,
            check_ms=0.5 if accepts and self._accepts(found.redis) else None,
            check_failure=None if not accepts or self._accepts(found.redis) else _NO_REPLICAS,
        )

    async def watch(self, request: NodeRequest) -> None:
        """As in ports.Caches."""
        found = self._reach(request)
        if isinstance(found, CacheFailure):
            return
        task = asyncio.current_task()
        assert task is not None
        self.watches.add(task)
        try:
            while found.redis.alive and not self.closed:
                await asyncio.sleep(0)
        finally:
            self.watches.discard(task)

    async def command(
        self, request: NodeRequest, command: NodeCommand, target: tuple[str, int] | None
    ) -> CacheFailure | None:
        """As in ports.Caches."""
        await asyncio.sleep(0)
        self.hook(request.name, command.verb)
        found = self._reach(request)
        if isinstance(found, CacheFailure):
            return found
        self.given.append((request.name, command.verb))
        said = self._obey(found, command, target)
        return None if said is None else CacheFailure(CacheFault.OTHER, said)

    async def scan(self, request: NodeRequest, task: ScanTask) -> ScanResult:
        """As in ports.Caches."""
        await asyncio.sleep(0)
        found = self._reach(request)
        if isinstance(found, CacheFailure):
            return ScanResult(task.cursor, 0, 0.0, failure=found)
        rules = tuple(replace(r, sample=task.sample if r.sample is None else r.sample) for r in task.rules)
        return self._keys(found).look_over(replace(task, rules=rules), self.nodes.net.now)

    async def delete(self, request: NodeRequest, task: DeleteTask) -> DeleteResult:
        """As in ports.Caches."""
        await asyncio.sleep(0)
        found = self._reach(request)
        if isinstance(found, CacheFailure):
            return DeleteResult(task.cursor, 0, 0, 0.0, found)
        return self._keys(found).delete(task)

    async def copy(self, request: NodeRequest, task: CopyTask) -> CopyResult:
        """As in ports.Caches."""
        await asyncio.sleep(0)
        found = self._reach(request)
        if isinstance(found, CacheFailure):
            return CopyResult(task.cursor, 0, 0, 0.0, 0.0, found)
        return self._keys(found).copy(task, self.nodes.net.now)

    async def close(self) -> None:
        """As in ports.Caches."""
        self.closed = True

    # What clients do

    def write(self, prefix: str, number: int, size: int = 1000) -> None:
        """Clients write so many entries without a TTL."""
        for index in range(number):
            self.entries[f"{prefix}doc-{index}"] = Entry(size, self.nodes.net.now, self.nodes.net.now)

    # How it works

    def _keys(self, process: Process) -> Keys:
        return Keys(process.redis.run_id, self.entries)

    def _accepts(self, redis: Redis) -> bool:
        return not redis.min_replicas or redis.good >= redis.min_replicas

    def _reach(self, request: NodeRequest) -> Process | CacheFailure:
        other = self.others.get(request.host.split(".")[0])
        there = [p for p in self.nodes.processes.values() if p.redis.alive and p.redis.address == request.host]
        found = other or next(iter(there), None)
        if found is None or not found.redis.alive or request.port != names.PORT:
            return _DOWN
        if found.redis.frozen or not self.nodes.net.reaches(OPERATOR, found.redis.machine):
            return _SILENT
        if request.run_id not in (None, found.redis.run_id):
            return _ANOTHER_RUN
        return found if found.lets_in(request) else _WRONG

    def _obey(self, process: Process, command: NodeCommand, target: tuple[str, int] | None) -> str | None:
        net, redis = self.nodes.net, process.redis
        match command.verb:
            case NodeVerb.HAND_OVER:
                return net.hand_over(redis, net.at(target[0]) if target is not None else None)
            case NodeVerb.CANCEL_HAND_OVER:
                return net.cancel(redis)
            case NodeVerb.CONFIGURE:
                wanted = dict(command.settings)
                redis.min_replicas = int(wanted.pop(names.MIN_REPLICAS, redis.min_replicas))
                process.settings |= wanted
            case NodeVerb.ADD_PASSWORDS:
                process.add(command.passwords)
            case NodeVerb.PROMOTE | NodeVerb.FOLLOW if redis.state != "no-failover":
                return "REPLICAOF not allowed while failing over."
            case NodeVerb.PROMOTE if redis.role is NodeRole.REPLICA:
                net.make_primary(redis)
            case NodeVerb.FOLLOW:
                net.make_replica(redis, *(target or (names.FENCE_HOST, names.FENCE_PORT)))
            case _:
                pass
        return None


_NO_REPLICAS: Final = CacheFailure(CacheFault.NO_REPLICAS, "Not enough good replicas to write.")


def _settings(text: str) -> dict[str, str]:
    """redis.conf, with what Redis has without it."""
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {names.MIN_REPLICAS_LAG: "10"} | {name: value.strip('"') for name, _, value in lines}
