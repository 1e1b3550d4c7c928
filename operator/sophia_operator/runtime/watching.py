"""An idle connection to a server, which the kernel ends at once when the server goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from sophia_operator.ports import Clock

#: One that broke sooner than that never stood: it says nothing about the server that a check would not say.
_STOOD: Final = timedelta(seconds=1)
_LONGEST_PAUSE_SECONDS: Final = 60.0

_R = TypeVar("_R")


class IdleWatch(Generic[_R]):
    """At most one connection, to the server that a request names. It is made anew after a check that the server
    answered."""

    def __init__(self, connect: Callable[[_R], Awaitable[None]], clock: Clock, wake: Callable[[], None]) -> None:
        #: Returns when the connection breaks, or cannot be made.
        self._connect = connect
        self._clock = clock
        self._wake = wake
        self._request: _R | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended_at: datetime | None = None
        #: How often in a row it did not stand.
        self._misses = 0
        #: When it broke; None while it stands, or none was made.
        self.broke_at: datetime | None = None

    async def keep(self, request: _R | None, answered_at: datetime | None) -> None:
        """Watch that server if it answered the newest check, and when; without a request: none."""
        if request != self._request:
            await self.close()
            self._request = request
        if request is None or self._task is not None or answered_at is None:
            return
        if self._ended_at is not None:
            pause = min(_LONGEST_PAUSE_SECONDS, 2.0**self._misses) if self._misses else 0.0
            if answered_at < self._ended_at or self._clock.now() < self._ended_at + timedelta(seconds=pause):
                return
        self.broke_at = None
        self._task = asyncio.create_task(self._watch(request), name="idle watch")

    async def close(self) -> None:
        """End the connection, and forget about it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._request = self.broke_at = self._ended_at = None
        self._misses = 0

    async def _watch(self, request: _R) -> None:
        began = self._clock.now()
        try:
            await self._connect(request)
        finally:
            self._task = None
        self._ended_at = now = self._clock.now()
        stood = now - began >= _STOOD
        self._misses = 0 if stood else self._misses + 1
        # A server that answers checks and takes no watch must not be checked over and over for that.
        if stood or self._misses == 1:
            self.broke_at = now
            self._wake()
