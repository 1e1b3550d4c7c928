"""Pass after pass over one object: when, how often, and what comes of what fails. See docs/design/loop.md."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar, Final, Protocol

from sophia_operator.ports import ClusterError
from sophia_operator.runtime import logging as logs
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.turns import Turns
from sophia_operator.runtime.waits import MIN_INTERVAL_SECONDS, UnfinishedError, Waits
from sophia_operator.runtime.wakeups import Key, Wakeups

logger = logging.getLogger(__name__)

#: Level, not edge: even a settled object is looked at again, from memory, in case an event got lost.
_RESYNC_SECONDS: Final = 600.0


class Gone(Exception):  # noqa: N818 - it is not an error
    """The object is not there any more, or is being deleted."""


class Surroundings(Protocol):
    """What every loop works with, of whatever kind its object is."""

    @property
    def wakeups(self) -> Wakeups:
        """Those of the loop's kind."""

    @property
    def telemetry(self) -> Telemetry:
        """The operator's metrics."""

    @property
    def turns(self) -> Turns:
        """Those of the loop's kind."""

    @property
    def wait(self) -> Callable[[asyncio.Event, float | None], Awaitable[None]]:
        """Waits for an event for at most so many seconds (None: for ever)."""

    @property
    def jitter(self) -> Callable[[], float]:
        """A number from 0 to 1, to spread retries."""


class Passes(ABC):
    """Runs passes over one object until it is gone. Whatever fails, it tries again."""

    #: Of the objects that have such loops.
    kind: ClassVar[str]

    def __init__(self, key: Key, surroundings: Surroundings) -> None:
        self._key = key
        self._surroundings = surroundings
        self._wake = surroundings.wakeups.event(key)
        self._waits = Waits(surroundings.jitter)
        #: Whether something urgent was under way at the last look.
        self._urgent = False
        #: How long this pass waited for its turns.
        self._waited_seconds = 0.0

    @abstractmethod
    async def _pass(self) -> tuple[float | None, int]:
        """One pass: seconds until the next one (None for when something changes), and the number of writes."""

    @abstractmethod
    def _begin(self) -> None:
        """The loop starts."""

    @abstractmethod
    async def _end(self) -> None:
        """The loop ended, whatever for."""

    async def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Pass after pass, until stopped or the object is gone."""
        logs.about(*self._key)
        self._begin()
        try:
            while not stopped():
                self._wake.clear()
                try:
                    seconds = await self.once()
                except Gone:
                    return
                if stopped():
                    return
                await self._pause(seconds)
        finally:
            self._surroundings.wakeups.forget(self._key)
            await self._end()

    async def once(self) -> float | None:
        """One pass. Returns the seconds until the next one, None for when something changes. Raises Gone."""
        started, self._waited_seconds = time.perf_counter(), 0.0
        result = "failed"
        try:
            seconds, writes = await self._pass()
            result = "changed" if writes else "settled"
            self._waits.succeeded()
        except Gone:
            result = "gone"
            raise
        except UnfinishedError as unfinished:
            seconds = self._retry(unfinished.error, unfinished.due)
        except ClusterError as error:
            seconds = self._retry(error)
        except Exception:
            seconds = self._waits.retry(None)
            logger.exception("a pass failed; again in %.1f s", seconds)
        taken = time.perf_counter() - started - self._waited_seconds
        self._surroundings.telemetry.pass_ended(taken, self.kind, result)
        return seconds

    def _retry(self, error: ClusterError, due_seconds: float | None = None) -> float:
        seconds = self._waits.retry(error, due_seconds)
        logger.warning("the API server: %s; again in %.1f s", error, seconds, extra={"reason": error.refusal.value})
        return seconds

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until it is this object's turn, and take it."""
        asked = time.perf_counter()
        async with self._surroundings.turns.of(rolling=self._urgent):
            self._waited_seconds += time.perf_counter() - asked
            yield

    async def _pause(self, seconds: float | None) -> None:
        """Wait for an event or the time, but never less than the least interval, which gathers events."""
        await self._surroundings.wait(asyncio.Event(), MIN_INTERVAL_SECONDS)
        resync = _RESYNC_SECONDS * (1 + 0.2 * self._surroundings.jitter())
        rest = min(resync, seconds if seconds is not None else resync) - MIN_INTERVAL_SECONDS
        if rest > 0:
            await self._surroundings.wait(self._wake, rest)
