"""The pace of work in parts: keys, requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

#: Batches in a second: many small ones let others' commands in between.
_BATCHES: Final = 20
#: A SCAN of so many places takes Redis about a tenth of a millisecond.
MOST: Final = 100
#: Where a table is nearly empty, SCAN looks at many places and finds no key. That costs as well.
_LEAST_PART: Final = 10


@dataclass(frozen=True, slots=True)
class Time:
    """Where time comes from; another one in tests."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Pace:
    """Spreads what a part works on evenly over its time, in small batches: `per_second`, and never more."""

    def __init__(self, time: Time, per_second: int, seconds: float) -> None:
        self._time = time
        self._per_second = max(1, per_second)
        self._began = time.now()
        self._end = self._began + seconds
        self._due = self._batch_began = self._began
        #: Places to look at with one SCAN.
        self.batch = min(MOST, max(1, self._per_second // _BATCHES))

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._time.now() - self._began

    async def goes_on(self, keys: int) -> bool:
        """Wait until a batch of so many keys has taken its time; says whether there is time for another one."""
        charged = max(keys, self.batch // _LEAST_PART, 1)
        # What was lost, as by a node that was slow, is not made up for: that would be a burst.
        self._due = max(self._due, self._batch_began) + charged / self._per_second
        wait = self._due - self._time.now()
        if wait > 0:
            await self._time.sleep(wait)
        self._batch_began = self._time.now()
        return self._batch_began < self._end
