"""The loop of one ConnectionPool: observe, look, decide, persist, tell, render, apply, wait.

See docs/design/connection-pool.md and docs/design/loop.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.pool.decision import PoolDecision
from sophia_operator.core.pool.findings import PoolNeeds, Server
from sophia_operator.core.pool.views import PoolObserved, PoolView
from sophia_operator.ports import Object
from sophia_operator.runtime import asking
from sophia_operator.runtime.apply import Applied, Applier, worst
from sophia_operator.runtime.pools import observe
from sophia_operator.runtime.pools.access import AccessReader, Found, owner_of
from sophia_operator.runtime.pools.acting import Actor
from sophia_operator.runtime.pools.poke import Poker
from sophia_operator.runtime.pools.probing import Prober, server_request
from sophia_operator.runtime.pools.world import PoolWorld
from sophia_operator.runtime.resource_loop import ResourceLoop, cancel
from sophia_operator.runtime.waits import BLOCKED_SECONDS, UnfinishedError
from sophia_operator.runtime.wakeups import Key
from sophia_operator.runtime.watching import IdleWatch

_KIND: Final = "ConnectionPool"


@dataclass(frozen=True, slots=True)
class _Planned:
    """What was decided, and on what."""

    obj: Object
    pool: PoolView
    observed: PoolObserved
    decision: PoolDecision


@dataclass(slots=True)
class _Done:
    """What a pass did once it had looked."""

    pool: PoolView
    observed: PoolObserved
    decision: PoolDecision
    status_writes: int
    applied: Applied
    #: Commands and events that go on beside the rest.
    beside: Sequence[asyncio.Future[None]]


class PoolLoop(ResourceLoop):
    """Runs passes over one pool until it is gone."""

    kind = _KIND

    def __init__(self, pool: Key, world: PoolWorld) -> None:
        super().__init__(pool, world)
        self._world = world
        note = world.feed.seen
        self._applier = Applier(world.cluster, world.store, note)
        self._access = AccessReader(world.cluster, world.store, note)
        self._poker = Poker(world.cluster, world.store, note)
        self._prober = Prober(world.pools, world.clock)
        self._watch = IdleWatch(world.pools.watch, world.clock, lambda: world.wakeups.wake(pool, "server"))
        self._actor = Actor(world.pools, world.clock, lambda: world.wakeups.wake(pool, "act"))
        #: What the last reading of Secrets gave.
        self._found = Found(None)

    def _begin(self) -> None:
        self._world.telemetry.pools.started()

    async def _end(self) -> None:
        self._world.servers.usernames.pop(self._key, None)
        self._world.telemetry.pools.forget(*self._key)
        await self._watch.close()
        await self._actor.close()

    async def _pass(self) -> tuple[float | None, int]:
        world, writes = self._world, 0
        async with self._turn():
            obj = self._object()
            pool = self._read(obj)
            if isinstance(pool, ValidationError):
                await self._watch.close()
                return None, await self._say_unreadable(obj, pool)
            await self._learn(pool)
            writes += self._found.writes
            observed = self._observe(pool)
            needs = world.mind.needs(pool, observed, world.clock.now())
            done = None if needs else await self._decide(pool)
        if needs:
            begun = world.clock.now()
            looked = await asking.undisturbed(
                self._look(pool, observed, needs),
                wake=self._wake,
                outdated=lambda: self._is_outdated(pool.generation) or self._lost_since(begun),
            )
            if looked is None or self._is_outdated(pool.generation):
                return 0.0, writes
            if observed.access is not None:
                await self._watch.keep(server_request(pool, observed.access), self._answered_at)
            async with self._turn():
                done = await self._decide(pool)
        return (0.0, writes) if done is None else await self._finish(done, writes)

    @property
    def _answered_at(self) -> datetime | None:
        """When the server was looked at, if it answered the newest look."""
        found = self._prober.kept.server
        return found.at if found is not None and isinstance(found.answer, Server) else None

    def _lost_since(self, begun: datetime) -> bool:
        """Whether the server went away while instances were looked at: they may hang now, and it is looked at first."""
        broke_at = self._watch.broke_at
        return broke_at is not None and broke_at > begun

    async def _look(self, pool: PoolView, observed: PoolObserved, needs: PoolNeeds) -> bool:
        asked = time.perf_counter()
        async with self._world.slots.taken(urgent=self._urgent or self._watch.broke_at is not None):
            self._waited_seconds += time.perf_counter() - asked
            return await self._prober.look(pool, observed, needs)

    @staticmethod
    def _status_of(obj: Object) -> ConnectionPoolStatus:
        return observe.pool_status(obj)

    @staticmethod
    def _in_order(status: ConnectionPoolStatus) -> ConnectionPoolStatus:
        return observe.in_order(status)

    @staticmethod
    def _read(obj: Object) -> PoolView | ValidationError:
        """The pool, or what is wrong with its spec."""
        try:
            return observe.pool_view(obj)
        except ValidationError as error:
            return error

    async def _learn(self, pool: PoolView) -> None:
        """Read the Secrets, and watch the server that they open."""
        world = self._world
        self._found = await self._access.read(pool)
        access = self._found.access
        request = server_request(pool, access) if access is not None else None
        if access is not None:
            world.servers.usernames[self._key] = access.username
        self._prober.about(request, observe.instances_of(world.store, pool))
        self._actor.about(act.uid for act in pool.status.acts)
        await self._watch.keep(request, self._answered_at)

    def _observe(self, pool: PoolView) -> PoolObserved:
        sight = observe.observe(
            self._world.store,
            pool,
            self._found.access,
            replace(self._prober.kept, watch_broke_at=self._watch.broke_at, acted=self._actor.acted),
            usernames=self._world.servers.usernames,
            known_blockers=(*self._found.blockers, *self._applier.blockers),
        )
        self._world.wakeups.depend(self._key, sight.depends_on)
        return sight.observed

    async def _decide(self, seen: PoolView) -> _Done | None:
        """Decide, write it down, and bring the cluster to it. None when the spec is another one by now."""
        world = self._world
        planned = self._plan(seen)
        if planned is None:
            return None
        if _takes_more(planned.pool.status, planned.decision.status):
            # Each pool of a server sees what the one before was granted.
            async with world.servers.lock(observe.server_of(seen)):
                planned = self._plan(seen)
                if planned is None:
                    return None
                written = await self._persist(planned)
        else:
            # What others count on does not grow: nobody has to wait for nobody's write.
            written = await self._persist(planned)
        pool, observed, decision = planned.pool, planned.observed, planned.decision
        self._urgent = decision.status.reconnect is not None
        world.telemetry.pools.seen(*self._key, decision.status)
        pool = replace(pool, status=decision.status)
        beside: list[Awaitable[None]] = [self._tell(pool.uid, notice) for notice in decision.notices]
        if decision.commands:
            # Beside the writes: an API server that is slow holds up no reconnect.
            beside.append(self._prober.tell(pool, observed, decision.commands))
        if decision.tasks and observed.access is not None:
            beside.append(self._actor.carry_out(server_request(pool, observed.access), decision.tasks))
        tasks = [asyncio.ensure_future(work) for work in beside]
        try:
            applied = await self._act(pool, observed)
        except BaseException:
            await cancel(tasks)
            raise
        return _Done(pool, observed, decision, written, applied, tasks)

    async def _finish(self, done: _Done, writes: int) -> tuple[float | None, int]:
        """Wait for what goes on beside, and say when to look again."""
        try:
            await asyncio.gather(*done.beside)
        finally:
            await cancel(done.beside)
        decision, applied = done.decision, done.applied
        wanted = decision.next
        failure = worst(applied.errors)
        if failure is not None:
            # What cannot be written must not keep the server from being looked at in time.
            raise UnfinishedError(failure, wanted.seconds if isinstance(wanted, RequeueAfter) else None)
        others: list[float | None] = []
        if decision.commands or decision.tasks or not set(self._applier.blockers) <= set(done.observed.blockers):
            others.append(0.0)
        if self._applier.blockers:
            others.append(BLOCKED_SECONDS)
        writes += done.status_writes + applied.writes
        blocked = bool(done.observed.blockers)
        return self._waits.after(wanted, blocked, writes, applied.writes, others), writes

    def _plan(self, seen: PoolView) -> _Planned | None:
        """What is to be done by what is there now. None when the spec is another one by now."""
        world, obj = self._world, self._object()
        pool = self._read(obj)
        if isinstance(pool, ValidationError) or pool.generation != seen.generation:
            return None
        observed = self._observe(pool)
        decision = world.mind.advance(pool, observed, world.clock.now(), world.jitter())
        return _Planned(obj, pool, observed, decision)

    async def _persist(self, planned: _Planned) -> int:
        """Write down what was decided; returns how many writes that took. Raises ClusterError."""
        return await self._write_status(planned.obj, planned.pool.status, planned.decision.status)

    async def _act(self, pool: PoolView, observed: PoolObserved) -> Applied:
        """Make the cluster what was persisted says."""
        world = self._world
        desired = world.mind.render(pool, observed, world.default_image)
        out = await self._applier.bring(owner_of(pool), desired.objects)
        self._applier.keep_only((o["kind"], o["metadata"]["name"]) for o in desired.objects)
        await self._poker.poke(pool, desired, observed.instances, out)
        return out


def _takes_more(before: ConnectionPoolStatus, after: ConnectionPoolStatus) -> bool:
    """Whether more of the server is granted than others know of."""
    known = before.budget.granted if before.budget is not None else 0
    return after.budget is not None and after.budget.granted > known
