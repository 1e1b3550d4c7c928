"""PgBouncers: looks at their admin consoles and through them, and commands."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final

import psycopg

from sophia_operator.adapters.pgbouncer_console import EACH_LOOK, FULL_LOOK, Shown, console_of
from sophia_operator.adapters.pgbouncer_kept import KeptConsoles
from sophia_operator.adapters.postgres import identify
from sophia_operator.adapters.postgres_faults import NoAnswerError, failure_of
from sophia_operator.adapters.postgres_session import (
    Connection,
    Deadline,
    Resolve,
    Target,
    connected,
    named_rows,
)
from sophia_operator.adapters.stopwatch import Stopwatch
from sophia_operator.core.pool.findings import Console, Failure, InstanceRequest, Through, Verb

#: The database that is the console; every PgBouncer has it.
_CONSOLE: Final = "pgbouncer"
#: What PgBouncer says when there is nothing left to do.
_DONE_ALREADY: Final = ("already paused", "already suspended/paused", "is not paused")
#: A login that was begun before a RECONNECT may go on for so long, and is looked at so often in twice that time.
_LOGIN_SECONDS: Final = 1
_LOGIN_LOOKS: Final = 10
#: A ValueError comes from an answer that is not what was asked for, or not text.
_FAILURES: Final = (NoAnswerError, psycopg.Error, OSError, ValueError)


class PgBouncers:
    """Looks at PgBouncers and commands them. No call raises for what the network or a PgBouncer does."""

    def __init__(self, resolve: Resolve, consoles: KeptConsoles) -> None:
        self._resolve = resolve
        self._consoles = consoles

    async def instance(self, request: InstanceRequest) -> tuple[Console | Failure, Through | Failure | None]:
        """Look at one PgBouncer: its admin console and, when the request is a full one, a query through it."""
        if not request.full:
            return await self._console(request), None
        return await asyncio.gather(self._console(request), self._through(request))

    async def command(self, request: InstanceRequest, verb: Verb) -> Failure | None:
        """Give a command; None when it was carried out, or there was nothing to do.

        RECONNECT is given for the database of the checks as well: they would go on seeing the server before.
        """
        deadline = Deadline(request.timeout_seconds)
        commands = [verb.value if verb is Verb.RELOAD else f"{verb.value} {_quoted(request.database)}"]
        if verb is Verb.RECONNECT:
            commands.append(f"{verb.value} {_quoted(request.check_database)}")

        async def give(connection: Connection) -> None:
            for command in commands:
                await _give(connection, command, deadline)
            if verb is Verb.RECONNECT:
                await _end_hanging_logins(connection, {request.database, request.check_database}, deadline)

        console = _target(request, _CONSOLE)
        try:
            if verb is Verb.PAUSE:
                # It takes as long as the longest transaction; looks go on meanwhile.
                async with connected(console, deadline, self._resolve) as connection:
                    await give(connection)
            else:
                await self._consoles.use(console, deadline, give)
        except _FAILURES as error:
            return failure_of(error, secret=request.admin_password)
        return None

    async def _console(self, request: InstanceRequest) -> Console | Failure:
        deadline = Deadline(request.timeout_seconds)

        async def look(connection: Connection) -> Shown:
            wanted = FULL_LOOK if request.full else EACH_LOOK
            return {what: await named_rows(connection, f"SHOW {what}", deadline) for what in wanted}

        try:
            return console_of(await self._consoles.use(_target(request, _CONSOLE), deadline, look), request)
        except _FAILURES as error:
            return failure_of(error, secret=request.admin_password)

    async def _through(self, request: InstanceRequest) -> Through | Failure:
        """A new connection each time, as a client's would be, so that connecting is measured."""
        deadline = Deadline(request.timeout_seconds)
        checks = _target(request, request.check_database)
        try:
            async with AsyncExitStack() as stack:
                async with Stopwatch() as connecting:
                    connection = await stack.enter_async_context(connected(checks, deadline, self._resolve))
                async with Stopwatch() as asking:
                    role, identity, address = await identify(connection, deadline)
                return Through(role, address, identity, connecting.milliseconds, asking.milliseconds)
        except _FAILURES as error:
            return failure_of(error, secret=request.admin_password)


async def _give(connection: Connection, command: str, deadline: Deadline) -> None:
    try:
        await named_rows(connection, command, deadline)
    except psycopg.Error as error:
        if not any(words in str(error) for words in _DONE_ALREADY):
            raise


async def _end_hanging_logins(connection: Connection, databases: set[str], deadline: Deadline) -> None:
    """Let PgBouncer give up what it began before it was told to reconnect.

    RECONNECT leaves attempts to log in as they are, and until one is over, no other is begun: one that hangs, at a
    machine that is gone, keeps clients waiting for as long as connectTimeoutSeconds. RELOAD brings that back.
    """
    if not await _logging_in(connection, databases, deadline):
        return
    await _give(connection, f"SET server_connect_timeout = '{_LOGIN_SECONDS}'", deadline)
    try:
        for _ in range(_LOGIN_LOOKS):
            await asyncio.sleep(_LOGIN_SECONDS * 2 / _LOGIN_LOOKS)
            if not await _logging_in(connection, databases, deadline):
                return
    finally:
        await _give(connection, Verb.RELOAD.value, deadline)


async def _logging_in(connection: Connection, databases: set[str], deadline: Deadline) -> bool:
    rows = await named_rows(connection, "SHOW POOLS", deadline)
    return any(row.get("database") in databases and int(row.get("sv_login") or 0) > 0 for row in rows)


def _quoted(name: str) -> str:
    """As an identifier of SQL, which is how the console reads names."""
    return '"' + name.replace('"', '""') + '"'


def _target(request: InstanceRequest, database: str) -> Target:
    return Target(
        host=request.address,
        port=request.port,
        database=database,
        username=request.admin_username,
        password=request.admin_password,
        # An instance has TLS, or not, by the configuration that it loaded: it must be reached to get another one.
        ssl_mode="prefer",
    )
