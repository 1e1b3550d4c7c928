"""Carries out the looks and the commands of one pool, and keeps what came of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sophia_operator.api.connection_pool_status import ReconnectPhase
from sophia_operator.core.pool import names
from sophia_operator.core.pool.findings import (
    Command,
    CommandResult,
    Console,
    Failure,
    InsightsFinding,
    InstanceFinding,
    InstanceRequest,
    PoolNeeds,
    Server,
    ServerFinding,
    ServerRequest,
    Statement,
    Through,
)
from sophia_operator.core.pool.servers import reachable_host
from sophia_operator.core.pool.views import Access, InstanceView, Kept, PoolObserved, PoolView
from sophia_operator.ports import Clock, Pools

#: Looks and commands of one pool at the same time.
AT_ONCE: Final = 16
_LATENCIES: Final = 100
_INSIGHTS: Final = 2
#: An instance that did not answer last time must not hold the others up for long.
_PATIENCE_SECONDS: Final = 5.0
_LESS_PATIENCE_SECONDS: Final = 1.0
#: Once there is news of the server, the rest of a look gets no more than that.
_HURRY_SECONDS: Final = 0.2
#: The first attempts to find a server again have less time each; those that follow find slow ones as well.
_HURRIED_ATTEMPTS: Final = 6
_HURRIED_LOOK_SECONDS: Final = 1.5


def server_request(pool: PoolView, access: Access) -> ServerRequest:
    """How the operator connects to the pool's server."""
    database = pool.spec.database
    return ServerRequest(
        host=reachable_host(pool.namespace, database.host),
        port=database.port,
        database=database.name,
        ssl_mode=database.ssl_mode,
        username=access.username,
        password=access.password,
        ca=access.ca,
    )


def _hurried(pool: PoolView, kept: Kept, request: ServerRequest) -> ServerRequest:
    """Once the server's watch broke, and while a server is awaited, a machine that is gone must not hold up the look
    at the one that takes its place."""
    reconnect = pool.status.reconnect
    waiting = reconnect is not None and reconnect.phase is ReconnectPhase.WAITING
    hurried = waiting and reconnect is not None and reconnect.attempt <= _HURRIED_ATTEMPTS
    broke_at = kept.watch_broke_at if reconnect is None else None
    broke = broke_at is not None and (kept.server is None or broke_at > kept.server.at)
    return replace(request, timeout_seconds=_HURRIED_LOOK_SECONDS) if hurried or broke else request


class Prober:
    """Asks, tells, and remembers. A restart of the operator forgets it all."""

    def __init__(self, pools: Pools, clock: Clock) -> None:
        self._pools = pools
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asked: ServerRequest | None = None
        self._connections: dict[str, _Connections] = {}
        #: What was found so far.
        self.kept = Kept()

    def about(self, request: ServerRequest | None, instances: Iterable[InstanceView]) -> None:
        """Forget what speaks of another server, of other credentials, or of instances that are gone."""
        there = {i.name for i in instances}
        if request is not None and request != self._asked:
            # A finding does not say which server it speaks of.
            if self._asked is not None:
                self.kept = replace(self.kept, server=None, insights=())
            self._asked = request
        if any(name not in there for name in (*self.kept.instances, *(pod for pod, _ in self.kept.commands))):
            self.kept = replace(
                self.kept,
                instances={name: found for name, found in self.kept.instances.items() if name in there},
                commands={key: result for key, result in self.kept.commands.items() if key[0] in there},
            )
            self._connections = {name: seen for name, seen in self._connections.items() if name in there}

    async def look(self, pool: PoolView, observed: PoolObserved, needs: PoolNeeds) -> bool:
        """Carry out what is due, all at once. What is found is kept when all of it is there.

        A server that is lost, or another one, is told of at once: what hangs because of that is left for the next look.
        """
        access = observed.access
        if access is None:
            return True
        at, request = self._clock.now(), _hurried(pool, observed.kept, server_request(pool, access))
        wanted = [i for i in observed.instances if i.name in needs.instances and i.address is not None]
        async with asyncio.TaskGroup() as group:
            server = group.create_task(self._pools.server(request)) if needs.server else None
            insights = group.create_task(self._pools.insights(request)) if needs.insights else None
            looks = [
                group.create_task(self._instance(self._request(pool, access, i, full=needs.instances[i.name])))
                for i in wanted
            ]
            if server is not None and self._is_news(await server):
                await _give_up([*looks, *([insights] if insights else [])])
        seen = [(i, task) for i, task in zip(wanted, looks, strict=True) if not task.cancelled()]
        found = [
            self._finding(instance, at, look.result(), full=needs.instances[instance.name]) for instance, look in seen
        ]
        insights = insights if insights and not insights.cancelled() else None
        throughs = [f.through for f in found if f.through_at == at and isinstance(f.through, Through)]
        kept = self.kept
        self.kept = replace(
            kept,
            server=ServerFinding(at, server.result()) if server is not None else kept.server,
            instances={**kept.instances, **{i.name: f for (i, _), f in zip(seen, found, strict=True)}},
            insights=(*kept.insights, _insights(at, insights.result()))[-_INSIGHTS:] if insights else kept.insights,
            connect_ms=(*kept.connect_ms, *(t.connect_ms for t in throughs))[-_LATENCIES:],
            query_ms=(*kept.query_ms, *(t.query_ms for t in throughs))[-_LATENCIES:],
        )
        return True

    def _is_news(self, answer: Server | Failure) -> bool:
        """Whether the server does not answer, or is another one than at the look before."""
        before = self.kept.server.answer if self.kept.server is not None else None
        if not isinstance(answer, Server):
            return True
        return isinstance(before, Failure) or (before is not None and before.identity != answer.identity)

    async def tell(self, pool: PoolView, observed: PoolObserved, commands: Sequence[Command]) -> None:
        """Give the commands: those to one instance one after the other, in their order."""
        access = observed.access
        if access is None:
            return
        by_instance: dict[str, list[Command]] = {}
        for command in commands:
            by_instance.setdefault(command.instance, []).append(command)
        async with asyncio.TaskGroup() as group:
            for instance in observed.instances:
                if instance.name in by_instance and instance.address is not None:
                    request = self._request(pool, access, instance, full=False)
                    group.create_task(self._commands(request, by_instance[instance.name]))

    async def _commands(self, request: InstanceRequest, commands: Iterable[Command]) -> None:
        for command in commands:
            async with self._slots:
                failure = await self._pools.command(request, command.verb)
            result = CommandResult(self._clock.now(), failure)
            key = (command.instance, command.verb.value)
            self.kept = replace(self.kept, commands={**self.kept.commands, key: result})

    async def _instance(self, request: InstanceRequest) -> tuple[Console | Failure, Through | Failure | None]:
        async with self._slots:
            return await self._pools.instance(request)

    def _request(self, pool: PoolView, access: Access, instance: InstanceView, *, full: bool) -> InstanceRequest:
        before = self.kept.instances.get(instance.name)
        silent = before is not None and isinstance(before.console, Failure)
        return InstanceRequest(
            name=instance.name,
            address=instance.address or "",
            port=names.PORT,
            database=pool.spec.database.name,
            check_database=names.CHECK_DATABASE,
            admin_username=names.ADMIN,
            admin_password=access.admin_password,
            full=full,
            timeout_seconds=_LESS_PATIENCE_SECONDS if silent else _PATIENCE_SECONDS,
        )

    def _finding(
        self,
        instance: InstanceView,
        at: datetime,
        answer: tuple[Console | Failure, Through | Failure | None],
        *,
        full: bool,
    ) -> InstanceFinding:
        console, through = answer
        before = self.kept.instances.get(instance.name)
        if before is not None and before.uid != instance.uid:
            before = None
            self._connections.pop(instance.name, None)
        seen = self._connections.setdefault(instance.name, _Connections())
        opened = before.opened if before is not None else None
        transactions = before.transactions_before if before is not None else None
        if isinstance(console, Console):
            new = seen.opened(console, full=full)
            if full:
                opened, transactions = new, _transactions(before)
            else:
                console = _with_totals(console, before)
        if not full and before is not None:
            through, through_at = before.through, before.through_at
        else:
            through_at = at if full else None
        return InstanceFinding(at, instance.uid, console, through, through_at, transactions, opened)


async def _give_up(looks: Sequence[asyncio.Task[Any]]) -> None:
    """Leave what takes longer than a healthy look does."""
    if looks:
        _, late = await asyncio.wait(looks, timeout=_HURRY_SECONDS)
        for look in late:
            look.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class _Connections:
    """Counts the server connections that an instance opened for clients, by the times at which they were made."""

    def __init__(self) -> None:
        self._before: Counter[datetime] | None = None
        #: Since the last full look; None before the first one.
        self._opened: int | None = None

    def opened(self, console: Console, *, full: bool) -> int | None:
        """Note what a console shows. At a full look: how many were opened since the one before, None if unknown."""
        there = Counter(c.connected_at for c in console.connections if c.database != names.CHECK_DATABASE)
        if self._opened is not None and self._before is not None:
            self._opened += (there - self._before).total()
        self._before = there
        if not full:
            return None
        out, self._opened = self._opened, 0
        return out


def _transactions(before: InstanceFinding | None) -> int | None:
    """What the full look before counted: totals stay with the looks that follow it."""
    return before.console.transactions if before is not None and isinstance(before.console, Console) else None


def _with_totals(console: Console, before: InstanceFinding | None) -> Console:
    """A look that asked for no totals has those of the last one that did."""
    if before is None or not isinstance(before.console, Console) or before.console.transactions is None:
        return console
    known = before.console
    return replace(
        console,
        transactions=known.transactions,
        queries=known.queries,
        clients=known.clients,
        settings=known.settings,
    )


def _insights(at: datetime, answer: tuple[Statement, ...] | str) -> InsightsFinding:
    if isinstance(answer, str):
        return InsightsFinding(at, missing=answer)
    return InsightsFinding(at, statements=answer)
