"""PostgreSQL servers, looked at on connections of the operator's own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import psycopg

from sophia_operator.adapters.postgres_activity import activity
from sophia_operator.adapters.postgres_acts import analyze, cancel
from sophia_operator.adapters.postgres_faults import NoAnswerError, failure_of
from sophia_operator.adapters.postgres_open import OpenConnections
from sophia_operator.adapters.postgres_session import Connection, Deadline, Resolve, Target, rows
from sophia_operator.adapters.postgres_statements import statements
from sophia_operator.adapters.stopwatch import Stopwatch
from sophia_operator.api.connection_pool import SslMode
from sophia_operator.core.pool.activity import Activity
from sophia_operator.core.pool.findings import (
    Backends,
    Failure,
    Server,
    ServerRequest,
    ServerRole,
    Statement,
)
from sophia_operator.core.pool.tasks import Analyzed, AnalyzeTask, Cancelled, CancelTask

_SSL_MODES: Final = {
    SslMode.DISABLE: "disable",
    SslMode.PREFER: "prefer",
    SslMode.REQUIRE: "require",
    SslMode.VERIFY_CA: "verify-ca",
    SslMode.VERIFY_FULL: "verify-full",
}
#: What tells a server and its role, for any user, directly or through PgBouncer. The start of the server in
#: microseconds is new after a restart and differs from that of any other server.
IDENTIFY: Final = """/* sophia-operator */ SELECT
  pg_is_in_recovery(),
  current_setting('transaction_read_only') = 'on',
  (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
  host(inet_server_addr())"""
#: `reserved_connections` is a setting from PostgreSQL 16 on. A standby that has replayed all that it received does not
#: trail behind, however long ago the last transaction was. One that has replayed none yet does so since it started.
_FACTS: Final = """/* sophia-operator */ SELECT
  split_part(current_setting('server_version'), ' ', 1),
  current_setting('max_connections')::int,
  current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true), '0')::int,
  CASE
    WHEN NOT pg_is_in_recovery() THEN NULL
    WHEN pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() THEN 0
    ELSE greatest(0, extract(epoch FROM clock_timestamp()
      - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time())))
  END::float8"""
#: What others' sessions are is hidden from ordinary users, and null then. Workers take none of max_connections.
#: Applications may call each of their sessions something else; only the operator's own name, which this session has,
#: matters. What is beyond the limit would be missing in the budget, so that is as high as servers go.
_BACKENDS: Final = """/* sophia-operator */ SELECT
  usename::text, datname::text, host(client_addr),
  CASE WHEN application_name = current_setting('application_name') THEN application_name END, count(*)
FROM pg_stat_activity
WHERE datname IS NOT NULL AND usename IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 10000"""
#: From PostgreSQL 14 on, a server may be set to end idle sessions; the one that watches is meant to be idle.
_STAY: Final = """/* sophia-operator */ SELECT set_config(name, '0', false)
FROM pg_settings WHERE name = 'idle_session_timeout'"""

#: A ValueError comes from an answer that is not what was asked for, or not text.
_FAILURES: Final = (NoAnswerError, psycopg.Error, OSError, ValueError)


class PostgresServers:
    """Looks at servers. No call raises for what the network or a server does."""

    def __init__(self, resolve: Resolve) -> None:
        self._connections = OpenConnections(resolve)

    async def server(self, request: ServerRequest) -> Server | Failure:
        """Look at the server on a new connection."""
        deadline = Deadline(request.timeout_seconds)
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with Stopwatch() as connecting:
                    connection = await stack.enter_async_context(self._session(request, deadline))
                return await _look(connection, deadline, connecting.milliseconds)
        except _FAILURES as error:
            return failure_of(error, secret=request.password)

    async def watch(self, request: ServerRequest) -> None:
        """Keep an idle connection to the server, and return when it breaks, or cannot be made."""
        deadline = Deadline(request.timeout_seconds)
        try:
            async with self._session(request, deadline) as connection:
                await rows(connection, _STAY, deadline)
                await _broken(connection)
        except _FAILURES:
            return

    async def insights(self, request: ServerRequest) -> tuple[Statement, ...] | str:
        """The statements of the database that took most time in all; or why there are none."""
        deadline = Deadline(request.timeout_seconds)
        try:
            async with self._session(request, deadline) as connection:
                return await statements(connection, deadline, request)
        except _FAILURES as error:
            failure = failure_of(error, secret=request.password)
            return f"pg_stat_statements could not be read: {failure.message}"

    async def cancel(self, request: ServerRequest, task: CancelTask) -> Cancelled | Failure:
        """End one statement, or one session between two statements, if it is still that one."""
        deadline = Deadline(request.timeout_seconds)
        try:
            async with self._session(request, deadline) as connection:
                return await cancel(connection, deadline, task)
        except _FAILURES as error:
            return failure_of(error, secret=request.password)

    async def analyze(self, request: ServerRequest, task: AnalyzeTask) -> Analyzed | Failure:
        """Collect statistics of tables anew, within the time of the task."""
        deadline = Deadline(task.seconds)
        try:
            async with self._session(request, deadline) as connection:
                return await analyze(connection, deadline, request, task)
        except _FAILURES as error:
            return failure_of(error, secret=request.password)

    async def close(self) -> None:
        """Break every connection: a watch returns, and whoever waits for an answer is told that there is none."""
        self._connections.close()

    def _session(
        self, request: ServerRequest, deadline: Deadline
    ) -> contextlib.AbstractAsyncContextManager[Connection]:
        return self._connections.session(_target(request), deadline)


async def _look(connection: Connection, deadline: Deadline, connect_ms: float) -> Server:
    async with Stopwatch() as asking:
        role, identity, address = await identify(connection, deadline)
    ((version, max_connections, reserved, lag),) = await rows(connection, _FACTS, deadline)
    backends = await rows(connection, _BACKENDS, deadline)
    return Server(
        role=role,
        address=address,
        version=version,
        identity=identity,
        max_connections=max_connections,
        reserved_connections=reserved,
        backends=tuple(_backends(row) for row in backends),
        lag_seconds=lag,
        connect_ms=connect_ms,
        query_ms=asking.milliseconds,
        activity=await _activity(connection, deadline),
    )


async def _activity(connection: Connection, deadline: Deadline) -> Activity:
    """A server that shows nobody what it does is as well as it was."""
    try:
        return await activity(connection, deadline)
    except psycopg.Error as error:
        if connection.closed:
            raise
        return Activity(missing=failure_of(error, secret="").message)


def _backends(row: tuple[Any, ...]) -> Backends:
    username, database, address, application, count = row
    return Backends(username, database, address, application, count)


async def identify(connection: Connection, deadline: Deadline) -> tuple[ServerRole, str, str | None]:
    """Role, identity and address of the server behind a connection, whether PgBouncer is in between or not."""
    ((in_recovery, read_only, started, address),) = await rows(connection, IDENTIFY, deadline)
    if in_recovery:
        return ServerRole.STANDBY, f"standby-{started:x}", address
    # That transactions are read-only can change at any moment, and makes it no other server.
    return ServerRole.READ_ONLY_PRIMARY if read_only else ServerRole.PRIMARY, f"primary-{started:x}", address


async def _broken(connection: Connection) -> None:
    """Return when the connection breaks. It costs nothing while it stands."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    descriptor = connection.pgconn.socket
    loop.add_reader(descriptor, readable.set)
    try:
        while True:
            await readable.wait()
            readable.clear()
            # A server that ends says so before it closes; what it says is of no interest, and read away.
            connection.pgconn.consume_input()
            connection.pgconn.is_busy()
    finally:
        loop.remove_reader(descriptor)


def _target(request: ServerRequest) -> Target:
    return Target(
        request.host,
        request.port,
        request.database,
        request.username,
        request.password,
        _SSL_MODES[request.ssl_mode],
        request.ca,
    )
