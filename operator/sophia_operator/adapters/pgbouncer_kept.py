"""Connections to admin consoles, kept between looks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import psycopg

from sophia_operator.adapters.postgres_session import Connection, Deadline, Resolve, Target, break_off, connect

T = TypeVar("T")

KEEP_SECONDS: Final = 300.0


@dataclass(slots=True)
class _Kept:
    """The connection to one console, and what it was made with."""

    #: One command at a time goes over it.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: Connection | None = None
    target: Target | None = None
    expiry: asyncio.TimerHandle | None = None


class KeptConsoles:
    """One connection to each console, so that a look costs no login, and gets through when clients have taken every
    place that the instance has. A connection is closed when it was not used for some minutes."""

    def __init__(self, resolve: Resolve, *, keep_seconds: float) -> None:
        self._resolve = resolve
        self._keep_seconds = keep_seconds
        self._kept: dict[tuple[str, int], _Kept] = {}
        self._closed = False

    async def use(self, target: Target, deadline: Deadline, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do work on the connection to a console. One that broke since it was last used is made anew, once.

        Raises NoAnswerError or psycopg.Error.
        """
        async with self._turn(target, deadline) as kept:
            connection = kept.connection
            if connection is not None and kept.target == target:
                try:
                    return await self._try(kept, connection, work)
                except psycopg.OperationalError:
                    # An instance that is gone, or started anew; what the console itself refuses, it would again.
                    if not connection.closed or self._closed:
                        raise
            await _drop(kept)
            kept.connection, kept.target = await connect(target, deadline, self._resolve), target
            return await self._try(kept, kept.connection, work)

    async def close(self) -> None:
        """Close every connection; whoever uses one is told that it broke."""
        self._closed = True
        for kept in self._kept.values():
            if kept.expiry is not None:
                kept.expiry.cancel()
            if kept.lock.locked() and kept.connection is not None:
                break_off(kept.connection)
            else:
                await _drop(kept)
        self._kept.clear()

    async def _try(self, kept: _Kept, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            return await work(connection)
        except psycopg.Error:
            if connection.closed:
                await _drop(kept)
            raise
        except BaseException:
            # Too late, or cancelled in the middle: an answer to this may still come.
            await _drop(kept)
            raise

    @contextlib.asynccontextmanager
    async def _turn(self, target: Target, deadline: Deadline) -> AsyncIterator[_Kept]:
        where = (target.host, target.port)
        kept = self._kept.setdefault(where, _Kept())
        try:
            async with asyncio.timeout(deadline.left):
                await kept.lock.acquire()
        except TimeoutError:
            raise deadline.missed() from None
        try:
            yield kept
        finally:
            kept.lock.release()
            if self._closed:
                await _drop(kept)
            else:
                self._expire_later(where, kept)

    def _expire_later(self, where: tuple[str, int], kept: _Kept) -> None:
        if kept.expiry is not None:
            kept.expiry.cancel()
        kept.expiry = asyncio.get_running_loop().call_later(self._keep_seconds, self._expire, where, kept)

    def _expire(self, where: tuple[str, int], kept: _Kept) -> None:
        if kept.lock.locked():
            self._expire_later(where, kept)
            return
        del self._kept[where]
        if kept.connection is not None:
            kept.connection.pgconn.finish()


async def _drop(kept: _Kept) -> None:
    if kept.connection is not None:
        await kept.connection.close()
    kept.connection = kept.target = None
