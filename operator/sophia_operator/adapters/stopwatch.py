"""Tells how long something took, without the time in which this process was busy with something else.

Everything runs in one event loop. When much happens at once, as after a start with many pools, an answer lies there
for a while before anybody takes it. That is no slowness of a server, and must not be told as one.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final, Self

_TICK_SECONDS: Final = 0.005
#: Less than that is as usual, and not worth telling from the time that the work itself takes.
_LATE_SECONDS: Final = 0.02


class Stopwatch:
    """Runs while its block does. It ticks meanwhile: a tick that comes late says that nobody was served."""

    def __init__(self) -> None:
        self._began = self._ticked = time.perf_counter()
        self._late = 0.0
        self._ticking: asyncio.Task[None] | None = None
        #: How long it took; known at the end of the block.
        self.milliseconds = 0.0

    async def __aenter__(self) -> Self:
        self._began = self._ticked = time.perf_counter()
        self._ticking = asyncio.create_task(self._tick(), name="stopwatch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._note()
        self.milliseconds = max(0.0, time.perf_counter() - self._began - self._late) * 1000
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._note()

    def _note(self) -> None:
        now = time.perf_counter()
        late = now - self._ticked - _TICK_SECONDS
        self._ticked = now
        if late >= _LATE_SECONDS:
            self._late += late
