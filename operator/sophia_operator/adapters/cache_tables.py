"""Tables of PostgreSQL levels, as `ports.CacheTables` wants them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final

from sophia_operator.adapters import cache_tables_layout as layout
from sophia_operator.adapters.cache_tables_faults import FAILURES, TableError, cache_failure_of
from sophia_operator.adapters.cache_tables_look import check_entry, count
from sophia_operator.adapters.cache_tables_work import Progress, work_at
from sophia_operator.adapters.postgres_names import Resolver
from sophia_operator.adapters.postgres_open import OpenConnections
from sophia_operator.adapters.postgres_session import Connection, Deadline, Target, within
from sophia_operator.adapters.stopwatch import Stopwatch
from sophia_operator.core.cache.faults import CacheFailure
from sophia_operator.core.cache.table import Table, TableRequest, TableResult, TableTask

#: A statement is given up by the server before the operator gives up the connection.
_STATEMENT_SHARE: Final = 0.8


class PostgresCacheTables:
    """Implements `ports.CacheTables`. Close it to end its connections."""

    def __init__(self, *, steps: layout.Steps = layout.STEPS) -> None:
        self._resolver = Resolver()
        self._connections = OpenConnections(self._resolver)
        self._steps = steps

    async def table(self, request: TableRequest) -> Table | CacheFailure:
        """Look at the table; make it, or bring it to the newest layout, when that is due."""
        deadline = Deadline(request.timeout_seconds)
        try:
            async with AsyncExitStack() as stack:
                async with Stopwatch() as ping:
                    connection = await stack.enter_async_context(self._session(request, deadline))
                    found = await within(connection, self._state(connection, request), deadline)
                return await within(connection, self._look(connection, request, found, ping.milliseconds), deadline)
        except (*FAILURES, TableError) as error:
            return cache_failure_of(error, secret=request.password)

    async def work(self, request: TableRequest, task: TableTask) -> TableResult:
        """Do a part of some work. Ends soon after the time of the task."""
        progress = Progress(task)
        deadline = Deadline(request.timeout_seconds)
        try:
            async with self._session(request, deadline) as connection:
                found = await within(connection, self._state(connection, request), deadline)
                layout.check_ready(found, len(self._steps))
                part = Deadline(task.seconds + request.timeout_seconds)
                await within(connection, work_at(connection, found, task, progress), part)
        except (*FAILURES, TableError) as error:
            return progress.result(cache_failure_of(error, secret=request.password))
        return progress.result()

    def _session(self, request: TableRequest, deadline: Deadline) -> AbstractAsyncContextManager[Connection]:
        return self._connections.session(_target(request), deadline)

    async def _state(self, connection: Connection, request: TableRequest) -> layout.State:
        statement_ms = _statement_ms(request)
        async with layout.transaction(connection, statement_ms=statement_ms, lock_ms=statement_ms):
            return await layout.state(connection, request.table)

    async def _look(self, connection: Connection, request: TableRequest, found: layout.State, ping_ms: float) -> Table:
        statement_ms = _statement_ms(request)
        newest = len(self._steps)
        layout.check(found, newest)
        if found.version != newest:
            found = await layout.bring_on(
                connection, request.table, unlogged=request.unlogged, steps=self._steps, statement_ms=statement_ms
            )
        holds = await count(connection, found, statement_ms=statement_ms)
        checked = await check_entry(connection, found, secret=request.password, statement_ms=statement_ms)
        return Table(
            version=newest,
            keys=holds.keys,
            used_bytes=holds.used_bytes,
            expired=holds.expired,
            unlogged=found.unlogged,
            namespaces=holds.namespaces,
            ping_ms=ping_ms,
            check_ms=None if isinstance(checked, CacheFailure) else checked,
            check_failure=checked if isinstance(checked, CacheFailure) else None,
        )

    async def close(self) -> None:
        """Close every connection; whoever waits for an answer is told that there is none."""
        self._connections.close()
        self._resolver.close()


def _target(request: TableRequest) -> Target:
    return Target(
        host=request.host,
        port=request.port,
        database=request.database,
        username=request.username,
        password=request.password,
        ssl_mode=request.ssl_mode,
        ca=request.ca,
    )


def _statement_ms(request: TableRequest) -> int:
    return max(1, round(request.timeout_seconds * 1000 * _STATEMENT_SHARE))
