"""Redis processes, as far as replication goes: who accepts a write, who follows whom, and FAILOVER.

They refuse what Redis refuses. A write is tried at every process all the time, by clients that never let go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache import names
from sophia_operator.core.cache.findings import Node, ReplicaLink

#: One step of the world, in seconds.
TICK: Final = 0.1
LAG: Final = 5.0
#: A link on which nothing comes is closed after so long.
REPL_TIMEOUT: Final = 12.0
#: A replica that starts over takes so long to get everything.
FULL_SYNC: Final = 0.5


class BrokenError(AssertionError):
    """A rule was broken."""


@dataclass
class Redis:
    """A process."""

    run_id: str
    address: str
    machine: str
    log: list[int] = field(default_factory=list)
    replid: str = ""
    role: NodeRole = NodeRole.REPLICA
    follows: str = names.FENCE_HOST
    follows_port: int = names.FENCE_PORT
    min_replicas: int = 1
    alive: bool = True
    frozen: bool = False
    #: Of a replica.
    link: Redis | None = None
    heard_at: float = 0.0
    down_since: float = 0.0
    sync_until: float | None = None
    slow: bool = False
    #: Of a primary: its replicas, by run, and when it heard from them.
    acks: dict[str, tuple[Redis, float]] = field(default_factory=dict)
    good: int = 0
    good_at: float = 0.0
    state: str = "no-failover"
    target: Redis | None = None
    failing_since: float = 0.0
    #: Tells one time of being a primary from every other.
    term: int = 0

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass
class Net:
    """All processes, and who reaches whom."""

    now: float = 0.0
    processes: list[Redis] = field(default_factory=list)
    cuts: set[frozenset[str]] = field(default_factory=set)
    #: Writes, in order, and who is the newest to have accepted one.
    writes: int = 0
    acked: list[int] = field(default_factory=list)
    last_term: int = 0
    terms_seen: set[int] = field(default_factory=set)
    terms: int = 0
    #: The answers to so many PSYNC FAILOVER get lost.
    lose_takeovers: int = 0
    on_write: Callable[[Redis], None] | None = None

    def reaches(self, a: str, b: str) -> bool:
        return a == b or frozenset((a, b)) not in self.cuts

    def at(self, address: str) -> Redis | None:
        return next((p for p in self.processes if p.alive and p.address == address), None)

    def talk(self, a: Redis, b: Redis) -> bool:
        return a.alive and b.alive and not a.frozen and not b.frozen and self.reaches(a.machine, b.machine)

    def tick(self) -> None:
        self.now += TICK
        self.processes = [p for p in self.processes if p.alive]
        for process in self.processes:
            if not process.frozen:
                self._replicate(process)
        for process in self.processes:
            if not process.frozen:
                self._count(process)
                self._fail_over(process)
                self._write(process)

    def kill(self, process: Redis) -> None:
        process.alive = False
        for other in self.processes:
            # The kernel says so to those that it reaches.
            if other.link is process and self.reaches(other.machine, process.machine):
                self._unlink(other)
            if process.run_id in other.acks and self.reaches(other.machine, process.machine):
                del other.acks[process.run_id]
                self._recount(other)

    # -- replication

    def _unlink(self, replica: Redis) -> None:
        head = replica.link
        if head is None:
            return
        replica.link, replica.down_since, replica.sync_until = None, self.now, None
        if head.alive and self.reaches(head.machine, replica.machine):
            head.acks.pop(replica.run_id, None)
            self._recount(head)

    def _replicate(self, replica: Redis) -> None:
        if replica.role is not NodeRole.REPLICA:
            return
        head = replica.link
        if head is None:
            if replica.state == "no-failover":
                self._connect(replica)
            return
        if head.role is NodeRole.REPLICA and head.link is None and self.talk(replica, head):
            self._unlink(replica)
            return
        if not self.talk(replica, head):
            if self.now - replica.heard_at > REPL_TIMEOUT or (not head.alive and self._knows(replica, head)):
                self._unlink(replica)
            return
        replica.heard_at = self.now
        head.acks[replica.run_id] = (replica, self.now)
        missing = head.log[len(replica.log) :]
        # While the primary waits for it, nothing is added, and it catches up.
        most = len(missing) if not replica.slow else 5 if head.state != "no-failover" else round(self.now / TICK) % 2
        replica.log += missing[:most]

    def _knows(self, a: Redis, b: Redis) -> bool:
        return self.reaches(a.machine, b.machine)

    def _connect(self, replica: Redis) -> None:
        head = self.at(replica.follows) if replica.follows_port != names.FENCE_PORT else None
        if head is None or head is replica or not self.talk(replica, head):
            replica.sync_until = None
            return
        if head.role is NodeRole.REPLICA and (head.link is None or head.link is replica):
            return  # NOMASTERLINK
        if replica.log != head.log[: len(replica.log)] or not replica.log:
            if replica.sync_until is None:
                replica.sync_until = self.now + FULL_SYNC
            if self.now < replica.sync_until:
                return
            replica.log = list(head.log)
        replica.sync_until, replica.replid, replica.link = None, head.replid, head
        replica.heard_at = self.now
        head.acks[replica.run_id] = (replica, self.now)
        self._recount(head)

    def _count(self, head: Redis) -> None:
        for run, (replica, at) in list(head.acks.items()):
            closed = replica.link is not head and self.reaches(head.machine, replica.machine)
            if closed or self.now - at > REPL_TIMEOUT:
                del head.acks[run]
                self._recount(head)
        if self.now - head.good_at >= 1:
            self._recount(head)

    def _recount(self, head: Redis) -> None:
        head.good = sum(1 for _, at in head.acks.values() if self.now - at <= LAG)
        head.good_at = self.now

    # -- roles

    def make_primary(self, process: Redis) -> None:
        self._unlink(process)
        process.role, process.state, process.target = NodeRole.PRIMARY, "no-failover", None
        self.terms += 1
        process.term = self.terms
        process.replid = f"h{self.terms}"
        process.acks.clear()
        self._recount(process)

    def chosen(self, run_id: str | None) -> None:
        """An old primary that is chosen anew may accept writes after those in between, and none of these any more."""
        for process in self.processes:
            if process.run_id == run_id and process.term != self.last_term and process.role is NodeRole.PRIMARY:
                self.terms += 1
                process.term = self.terms

    def make_replica(self, process: Redis, address: str, port: int) -> None:
        if process.role is NodeRole.REPLICA and (process.follows, process.follows_port) == (address, port):
            return
        self._unlink(process)
        process.role, process.follows, process.follows_port = NodeRole.REPLICA, address, port
        process.down_since = self.now
        for replica, _ in list(process.acks.values()):
            if replica.link is process and self.reaches(replica.machine, process.machine):
                self._unlink(replica)
        process.acks.clear()
        self._recount(process)

    def hand_over(self, old: Redis, target: Redis | None) -> str | None:
        """FAILOVER TO; returns why it is refused."""
        if old.role is not NodeRole.PRIMARY:
            return "FAILOVER is not valid when server is a replica."
        if old.state != "no-failover":
            return "FAILOVER already in progress."
        if target is None or target.link is not old or target.run_id not in old.acks:
            return "FAILOVER target HOST and PORT is not a replica."
        old.state, old.target, old.failing_since = "waiting-for-sync", target, self.now
        return None

    def cancel(self, process: Redis) -> str | None:
        if process.state == "no-failover":
            return "No failover in progress."
        if process.state == "failover-in-progress":
            self.make_primary(process)
        process.state, process.target = "no-failover", None
        return None

    def _fail_over(self, old: Redis) -> None:
        target = old.target
        if old.state == "no-failover" or target is None:
            return
        if old.state == "waiting-for-sync":
            if target.link is old and self.talk(target, old) and target.log == old.log:
                old.state = "failover-in-progress"
                target_address = target.address
                self.make_replica(old, target_address, names.PORT)
            elif self.now - old.failing_since > 10:
                self.cancel(old)
            return
        if not self.talk(old, target):
            return
        if target.role is NodeRole.PRIMARY or target.replid != old.replid:
            self.make_primary(old)  # the target rejected the request
            return
        self.make_primary(target)
        if self.lose_takeovers:
            self.lose_takeovers -= 1
            return
        old.state, old.target = "no-failover", None

    # -- writes

    def _write(self, process: Redis) -> None:
        if process.role is not NodeRole.PRIMARY or process.state != "no-failover":
            return
        if process.min_replicas and process.good < process.min_replicas:
            return
        if process.term != self.last_term:
            if process.term in self.terms_seen:
                raise BrokenError(f"{process.address} accepts writes after another did")
            self.terms_seen.add(process.term)
            self.last_term = process.term
            if self.on_write is not None:
                self.on_write(process)
        self.writes += 1
        process.log.append(self.writes)
        self.acked.append(self.writes)

    def look(self, process: Redis) -> Node:
        """INFO and CONFIG GET."""
        replica = process.role is NodeRole.REPLICA
        links = (
            ReplicaLink(r.address, names.PORT, True, len(r.log), int(self.now - at)) for r, at in self._links(process)
        )
        return Node(
            role=process.role,
            version="redis 7.0.15",
            run_id=process.run_id,
            replication_id=process.replid,
            offset=len(process.log),
            primary_host=process.follows if replica else None,
            primary_port=process.follows_port if replica else None,
            link_up=process.link is not None,
            link_down_seconds=None if process.link is not None or not replica else int(self.now - process.down_since),
            replicas=tuple(links),
            failover_state=process.state,
            loading=False,
            used_memory=1,
            max_memory=100,
            keys=len(process.log),
            hits=0,
            misses=0,
            evicted=0,
            clients=1,
            settings={names.MIN_REPLICAS: str(process.min_replicas), names.MIN_REPLICAS_LAG: "5"},
            link_idle_seconds=int(self.now - process.heard_at) if process.link is not None else None,
        )

    def _links(self, process: Redis) -> list[tuple[Redis, float]]:
        return list(process.acks.values())
