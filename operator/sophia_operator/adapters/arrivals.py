"""When answers arrived, for many measurements at once.

Everything runs in one event loop. When much happens at once, as after a start with many routes, an answer lies there
for a while before anybody takes it. That is no slowness of a server. One tick serves all measurements that are under
way: one for each, as a :class:`~sophia_operator.adapters.stopwatch.Stopwatch` has, costs too much where hundreds last
for seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_TICK_SECONDS: Final = 0.01
#: Less than that is as usual.
_LATE_SECONDS: Final = 0.02
#: An answer is seen in one turn of the loop and taken in the next: so many turns can have been long ones.
_TURNS: Final = 2


class Arrivals:
    """A clock in seconds. It ticks only while somebody measures; a tick that comes late says that nobody was served."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self._ticked = now()
        #: When nobody was served, from and to: the newest.
        self._busy: deque[tuple[float, float]] = deque(maxlen=_TURNS)
        self._measuring = 0
        self._next: asyncio.TimerHandle | None = None

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """:meth:`earliest` knows of lateness within the block."""
        self._measuring += 1
        if self._next is None:
            self._ticked = self.now()
            self._arm()
        try:
            yield
        finally:
            self._measuring -= 1
            if self._measuring == 0 and self._next is not None:
                self._next.cancel()
                self._next = None

    def earliest(self) -> float:
        """When that which is taken now can have arrived at the earliest."""
        moment = now = self.now()
        for begin, end in [*self._late(now), *reversed(self._busy)][:_TURNS]:
            if moment - end > _TICK_SECONDS + _LATE_SECONDS:
                break
            moment = begin
        return moment

    def _late(self, now: float) -> list[tuple[float, float]]:
        due = self._ticked + _TICK_SECONDS
        return [(due, now)] if self._next is not None and now - due >= _LATE_SECONDS else []

    def _arm(self) -> None:
        self._next = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        now = self.now()
        self._busy.extend(self._late(now))
        self._ticked = now
        self._arm()
