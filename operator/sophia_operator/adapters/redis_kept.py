"""Connections to Redis nodes, kept between looks and between parts of work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeVar

from redis import exceptions

from sophia_operator.adapters.redis_session import Deadline, Resolve, Session, Target, connect

T = TypeVar("T")

KEEP_SECONDS: Final = 300.0


class Purpose(Enum):
    """What a connection is for: what takes its time must not hold up looks."""

    LOOK = auto()
    CHECK = auto()
    SCAN = auto()
    DELETE = auto()
    COPY = auto()


@dataclass(slots=True)
class _Kept:
    """A connection to a node, and what it was made with."""

    #: One piece of work at a time goes over it.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    session: Session | None = None
    target: Target | None = None
    expiry: asyncio.TimerHandle | None = None


class KeptNodes:
    """One connection to each node for each purpose, so that a look costs no login. A connection is closed when it was
    not used for some minutes."""

    def __init__(self, resolve: Resolve, *, keep_seconds: float) -> None:
        self._resolve = resolve
        self._keep_seconds = keep_seconds
        self._kept: dict[tuple[str, int, Purpose], _Kept] = {}
        self._closed = False

    async def use(
        self, target: Target, purpose: Purpose, deadline: Deadline, work: Callable[[Session], Awaitable[T]]
    ) -> T:
        """Do work on the connection to a node. One that broke since it was last used is made anew, once, and the work
        is begun anew with it.

        Raises NoAnswerError, RedisError or OSError.
        """
        async with self._turn(target, purpose, deadline) as kept:
            session = kept.session
            if session is not None and kept.target == target and not session.closed():
                try:
                    return await work(session)
                except (exceptions.ConnectionError, OSError):
                    # A node that is gone, or started anew; what it answered, it would again.
                    if not session.closed() or self._closed:
                        raise
            _drop(kept)
            session = await connect(target, deadline, self._resolve)
            kept.session, kept.target = session, target
            return await work(session)

    async def close(self) -> None:
        """Close every connection; whoever uses one is told that it broke."""
        self._closed = True
        for kept in self._kept.values():
            if kept.expiry is not None:
                kept.expiry.cancel()
            _drop(kept)
        self._kept.clear()

    @contextlib.asynccontextmanager
    async def _turn(self, target: Target, purpose: Purpose, deadline: Deadline) -> AsyncIterator[_Kept]:
        where = (target.host, target.port, purpose)
        kept = self._kept.setdefault(where, _Kept())
        async with deadline.kept():
            await kept.lock.acquire()
        try:
            yield kept
        finally:
            kept.lock.release()
            if self._closed:
                _drop(kept)
            else:
                self._expire_later(where, kept)

    def _expire_later(self, where: tuple[str, int, Purpose], kept: _Kept) -> None:
        if kept.expiry is not None:
            kept.expiry.cancel()
        kept.expiry = asyncio.get_running_loop().call_later(self._keep_seconds, self._expire, where, kept)

    def _expire(self, where: tuple[str, int, Purpose], kept: _Kept) -> None:
        if kept.lock.locked():
            self._expire_later(where, kept)
            return
        del self._kept[where]
        _drop(kept)


def _drop(kept: _Kept) -> None:
    if kept.session is not None:
        kept.session.break_off()
    kept.session = kept.target = None
