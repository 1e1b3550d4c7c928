"""Connections to PostgreSQL and PgBouncer that keep a time limit, whatever the other side does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import psycopg

from sophia_operator.adapters.postgres_faults import NoAnswerError, failure_of, timed_out
from sophia_operator.core.pool.findings import Failure, Fault
from sophia_operator.core.pool.names import APPLICATION

T = TypeVar("T")
Row = tuple[Any, ...]
Connection = psycopg.AsyncConnection[Row]
#: Addresses of a host, in the order to try. Raises OSError.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

#: Another address of the same host may do better.
_TRY_NEXT: Final = frozenset({Fault.UNREACHABLE, Fault.TIMEOUT, Fault.STARTING, Fault.TOO_MANY_CONNECTIONS})
_MEMORY: Final = "/dev/shm"  # noqa: S108 - only looked at


@dataclass(frozen=True, slots=True)
class Target:
    """Where and as whom to connect; `ssl_mode` in libpq's words."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    ssl_mode: str = "disable"
    ca: str | None = field(default=None, repr=False)


class Deadline:
    """The time by which all of a request has to be done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = asyncio.get_running_loop().time() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; never negative."""
        return max(0.0, self._end - asyncio.get_running_loop().time())

    def missed(self) -> NoAnswerError:
        """It is over."""
        return NoAnswerError(timed_out(self.seconds))


@contextlib.asynccontextmanager
async def connected(target: Target, deadline: Deadline, resolve: Resolve) -> AsyncIterator[Connection]:
    """A new connection, closed at the end. Raises NoAnswerError when there is none."""
    connection = await connect(target, deadline, resolve)
    try:
        yield connection
    finally:
        await connection.close()


async def connect(target: Target, deadline: Deadline, resolve: Resolve) -> Connection:
    """A new connection in autocommit mode. Raises NoAnswerError.

    Each address that is left to try may take an equal part of the time, so that one that swallows everything does not
    hide another one that works.
    """
    addresses = await _addresses(target, deadline, resolve)
    while True:
        address, *addresses = addresses
        try:
            async with asyncio.timeout(deadline.left / (len(addresses) + 1)):
                return await _connect_to(address, target)
        except TimeoutError:
            failure = timed_out(deadline.seconds)
        except (psycopg.Error, OSError) as error:
            failure = failure_of(error, secret=target.password)
        if not addresses or failure.fault not in _TRY_NEXT:
            raise NoAnswerError(failure)


async def _addresses(target: Target, deadline: Deadline, resolve: Resolve) -> Sequence[str]:
    if "\0" in f"{target.database}{target.username}{target.password}":
        raise NoAnswerError(Failure(Fault.AUTHENTICATION_FAILED, "a name or the password has a NUL character in it"))
    try:
        async with asyncio.timeout(deadline.left):
            return await resolve(target.host, target.port)
    except TimeoutError:
        message = f"the name {target.host} was not resolved within {deadline.seconds:g} s"
        raise NoAnswerError(Failure(Fault.TIMEOUT, message)) from None
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a host name"
        message = f"the name {target.host} does not resolve: {reason}"
        raise NoAnswerError(Failure(Fault.HOST_UNKNOWN, message)) from None


async def _connect_to(address: str, target: Target) -> Connection:
    with _ca_file(target.ca) as ca:
        return await psycopg.AsyncConnection.connect(
            host=target.host,
            hostaddr=address,
            port=target.port,
            dbname=target.database,
            user=target.username,
            password=target.password,
            sslmode=target.ssl_mode,
            sslrootcert=ca,
            gssencmode="disable",
            client_encoding="UTF8",
            application_name=APPLICATION,
            autocommit=True,
            prepare_threshold=None,
            # A peer that has gone without a word is noticed after some ten seconds.
            keepalives=1,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )


@contextlib.contextmanager
def _ca_file(ca: str | None) -> Iterator[str | None]:
    """libpq reads certificates from files only, and only while it connects."""
    if ca is None:
        yield None
        return
    folder = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.NamedTemporaryFile("w", suffix=".pem", dir=folder) as file:
        file.write(ca)
        file.flush()
        yield file.name


async def rows(connection: Connection, query: str, deadline: Deadline) -> list[Row]:
    """Rows of a query, which is sent by the simple protocol, without parameters. Raises psycopg.Error or
    NoAnswerError."""
    return await within(connection, _rows(connection, query), deadline)


async def named_rows(connection: Connection, query: str, deadline: Deadline) -> list[dict[str, Any]]:
    """Rows by the names of their columns. Raises psycopg.Error or NoAnswerError."""
    return await within(connection, _named_rows(connection, query), deadline)


async def _rows(connection: Connection, query: str) -> list[Row]:
    async with connection.cursor() as cursor:
        await cursor.execute(query.encode())
        return await cursor.fetchall() if cursor.description else []


async def _named_rows(connection: Connection, query: str) -> list[dict[str, Any]]:
    async with connection.cursor() as cursor:
        await cursor.execute(query.encode())
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in (await cursor.fetchall() if names else ())]


async def within(connection: Connection, work: Coroutine[Any, Any, T], deadline: Deadline) -> T:
    """Do work on a connection, and break the connection when the time is over or the caller is cancelled.

    To cancel the work would not do: psycopg then connects anew to ask the server to cancel the query, and waits for
    that, while a server that hangs answers neither.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=deadline.left)
        if done:
            return task.result()
    finally:
        if not task.done():
            break_off(connection)
            await asyncio.wait({task})
        task.exception()
    raise deadline.missed()


def break_off(connection: Connection) -> None:
    """Shut the socket: whoever waits for something on the connection is told so at once."""
    with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.pgconn.socket)) as end:
        end.shutdown(socket.SHUT_RDWR)
