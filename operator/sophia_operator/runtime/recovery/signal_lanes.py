"""Queues of receivers: one each, so that a receiver which hangs or refuses delays nobody but itself."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Final

from sophia_operator.core.recovery.signal_delivery import LONGEST, Outcome, is_given_up, pause_seconds
from sophia_operator.core.recovery.signal_request import Refused
from sophia_operator.core.recovery.signal_words import SignalMessage

logger = logging.getLogger(__name__)

#: Signals that wait for one receiver; of more, the oldest is dropped.
LONGEST_QUEUE: Final = 256
#: Requests in all; of them those to receivers that did not take their last one, and to those that took none yet. The
#: rest is for those that are known to answer.
AT_ONCE: Final = 16
FAILING_AT_ONCE: Final = 8
NEW_AT_ONCE: Final = 4
_OVERFULL: Final = "too many signals wait for it"
_BUG: Final = "something is wrong in the operator: see its logs"


class Result(StrEnum):
    """What came of a try, or of a signal."""

    DELIVERED = "Delivered"
    RETRIED = "Retried"
    DROPPED = "Dropped"


class NoReceiverError(Exception):
    """The receiver is not in its policy any more, or the policy is gone: nobody waits for the signal."""


class Standing(Enum):
    """What is known of a receiver."""

    ANSWERS = auto()  # it took its last signal
    NEW = auto()  # it took none yet, or may be another one since
    FAILS = auto()  # it did not take its last one


class Requests:
    """How many requests go on by the same time. Receivers that fail, and those of which nothing is known, leave room
    for those that answer."""

    def __init__(
        self, at_once: int = AT_ONCE, failing_at_once: int = FAILING_AT_ONCE, new_at_once: int = NEW_AT_ONCE
    ) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._shares = {
            Standing.FAILS: asyncio.Semaphore(failing_at_once),
            Standing.NEW: asyncio.Semaphore(new_at_once),
        }

    @asynccontextmanager
    async def taken(self, standing: Standing) -> AsyncIterator[None]:
        """Wait for a slot, and hold it."""
        # Who waits for its share holds no slot meanwhile.
        async with self._shares.get(standing, nullcontext()), self._all:
            yield


@dataclass(slots=True)
class _Letter:
    message: SignalMessage
    since: datetime
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Lines:
    """What a lane calls."""

    #: Whose they are, for logs.
    name: str
    #: Tell the receiver; None when it took it, else why not. Raises NoReceiverError.
    post: Callable[[SignalMessage], Awaitable[str | None]]
    #: A try ended, or a signal was dropped.
    counted: Callable[[Result], None]
    #: The receiver answered with that status, which is final.
    refused: Callable[[int], None]
    #: Nothing more is tried with the signal of that id.
    settled: Callable[[str], None]
    #: How it goes with the receiver is another thing than before.
    changed: Callable[[], None]


class Lane:
    """The queue of one receiver. One request goes on at a time, in the order of the signals."""

    def __init__(
        self,
        lines: Lines,
        requests: Requests,
        now: Callable[[], datetime],
        wait: Callable[[asyncio.Event, float | None], Awaitable[None]],
        jitter: Callable[[], float],
        *,
        longest_queue: int = LONGEST_QUEUE,
    ) -> None:
        self._lines = lines
        self._requests = requests
        self._now = now
        self._wait = wait
        self._jitter = jitter
        self._longest_queue = longest_queue
        self._queue: deque[_Letter] = deque()
        self._current: _Letter | None = None
        self._task: asyncio.Task[None] | None = None
        self._nudged = asyncio.Event()
        #: Whether it took a signal since it was, or may have become, another one.
        self._answers = False
        #: Whether the log says that it refuses signals.
        self._is_logged = False
        #: None until something was told.
        self.outcome: Outcome | None = None

    def put(self, message: SignalMessage) -> None:
        """Tell it as soon as possible. One that waits already is told once."""
        waiting = (*self._queue, *([self._current] if self._current is not None else []))
        if any(letter.message.id == message.id for letter in waiting):
            return
        self._queue.append(_Letter(message, self._now()))
        if len(self._queue) > self._longest_queue:
            problem = (self.outcome.problem if self.outcome is not None else None) or _OVERFULL
            self._drop(self._queue.popleft(), problem)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="signals of a receiver")

    def renew(self) -> None:
        """The receiver may be another one now: do not wait any longer for the next try, and forget what failed."""
        if self.outcome is not None and self.outcome.problem is not None:
            self.outcome = None
        self._answers = self._is_logged = False
        self._nudged.set()

    async def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._queue:
            self._current = self._queue.popleft()
            try:
                await self._deliver(self._current)
            finally:
                self._current = None

    async def _deliver(self, letter: _Letter) -> None:
        while True:
            self._nudged.clear()
            try:
                problem = await self._post(letter.message)
            except NoReceiverError:
                self._lines.settled(letter.message.id)
                return
            letter.tries += 1
            if problem is None:
                self._answers, self._is_logged = True, False
                self._say(Outcome(None))
                self._lines.counted(Result.DELIVERED)
                self._lines.settled(letter.message.id)
                return
            if isinstance(problem, Refused):
                self._lines.refused(problem.status)
                self._drop(letter, problem)
                return
            if is_given_up(letter.tries, letter.since, self._now()):
                self._drop(letter, problem)
                self._drop_old(problem)
                return
            dropped = self.outcome if self.outcome is not None else Outcome(None)
            self._say(Outcome(problem, dropped.dropped, dropped.dropped_at))
            self._lines.counted(Result.RETRIED)
            await self._wait(self._nudged, pause_seconds(letter.tries, self._jitter()))

    async def _post(self, message: SignalMessage) -> str | None:
        async with self._requests.taken(self._standing()):
            try:
                return await self._lines.post(message)
            except NoReceiverError:
                raise
            except Exception:
                logger.exception("a signal could not be sent")
                return _BUG

    def _standing(self) -> Standing:
        if self.outcome is not None and self.outcome.problem is not None:
            return Standing.FAILS
        return Standing.ANSWERS if self._answers else Standing.NEW

    def _drop_old(self, problem: str) -> None:
        """What waited for as long behind the one that was dropped is dropped with it."""
        while self._queue and self._now() - self._queue[0].since >= LONGEST:
            self._drop(self._queue.popleft(), problem)

    def _drop(self, letter: _Letter, problem: str) -> None:
        before = self.outcome.dropped if self.outcome is not None else 0
        self._log(letter, problem)
        self._say(Outcome(problem, before + 1, self._now()))
        self._lines.counted(Result.DROPPED)
        self._lines.settled(letter.message.id)

    def _log(self, letter: _Letter, problem: str) -> None:
        if not isinstance(problem, Refused):
            logger.warning("signal %s to %s was dropped: %s", letter.message.id, self._lines.name, problem)
        elif not self._is_logged:
            # It refuses every one, most likely: that is said once, until it takes one or its policy changes.
            self._is_logged = True
            said = "%s refuses signals, which are dropped and not tried again, first %s: %s"
            logger.warning(said, self._lines.name, letter.message.id, problem)

    def _say(self, outcome: Outcome) -> None:
        if outcome != self.outcome:
            self.outcome = outcome
            self._lines.changed()
