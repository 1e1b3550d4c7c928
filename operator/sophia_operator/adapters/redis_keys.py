"""Work on the keys of a Redis node, in paced parts: flushes and copies. Scans are in redis_scan.py.

Keys are bytes: whatever applications put into them, newlines and all, is kept as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from redis import exceptions

from sophia_operator.adapters.pace import Pace, Time
from sophia_operator.adapters.redis_faults import NoAnswerError, failure_of
from sophia_operator.adapters.redis_kept import KeptNodes, Purpose
from sophia_operator.adapters.redis_reads import OwnReads
from sophia_operator.adapters.redis_runs import refuse_another_run
from sophia_operator.adapters.redis_session import FAILURES, Deadline, Session, Target, Word
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import (
    CopyResult,
    CopyTask,
    DeleteResult,
    DeleteTask,
    NodeRequest,
)
from sophia_operator.core.cache.glob import matches
from sophia_operator.core.cache.names import OWN_PREFIX

T = TypeVar("T")

#: Commands that Redis works off before it turns to another client.
AT_ONCE: Final = 100
_OWN: Final = f"{OWN_PREFIX}:".encode()
#: To copy an entry keeps Redis from everything else. Larger ones are left for the application to fill.
_LARGEST_COPY: Final = 1024 * 1024
_CURSOR_BITS: Final = 64
#: Of keys that are looked at and left alone, so many count as one that is worked on: they load no origin.
_PASSED_OVER: Final = 10


@dataclass(slots=True)
class Progress:
    """How far a part has come."""

    cursor: str
    scanned: int = 0
    through: bool = False
    failure: CacheFailure | None = None

    @property
    def next(self) -> str | None:
        """Where the work goes on; None when it is through."""
        return None if self.through else self.cursor


@dataclass(slots=True)
class _Count:
    done: int = 0


class Worker:
    """Goes over the keys of a node at a pace."""

    def __init__(self, kept: KeptNodes, reads: OwnReads, time: Time) -> None:
        self._kept = kept
        self.reads = reads
        self.time = time

    async def go_over(
        self,
        request: NodeRequest,
        purpose: Purpose,
        progress: Progress,
        pace: Pace,
        work: Callable[[Session, Sequence[bytes]], Awaitable[int]],
    ) -> None:
        """Look up keys in batches and do work on each batch, until the time is over or the keys are through. The work
        answers with how many of the keys it was done on: the pace is theirs, and the others count a tenth.

        When something fails, the progress says what, and the batch is the first one of the next part.
        """

        async def one_batch(session: Session) -> int:
            cursor, keys = await _scan(session, progress.cursor, pace.batch)
            mine, done = [key for key in keys if not key.startswith(_OWN)], 0
            for first in range(0, len(mine), AT_ONCE):
                done += await work(session, mine[first : first + AT_ONCE])
            progress.cursor, progress.through = cursor, cursor == "0"
            progress.scanned += len(mine)
            return done + (len(keys) - done) // _PASSED_OVER

        going = True
        while going and not progress.through:
            try:
                keys = await self.within(request, purpose, one_batch)
            except FAILURES as error:
                progress.failure = failure_of(error, secret=request.password)
                return
            going = progress.through or await pace.goes_on(keys)

    async def within(self, request: NodeRequest, purpose: Purpose, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do something on the connection of that purpose, within the time limit of the request, and with the run that
        the request is for: a connection that broke may be made anew with another."""
        deadline = Deadline(request.timeout_seconds)

        async def limited(session: Session) -> T:
            async with deadline.kept():
                if request.run_id is not None:
                    await refuse_another_run(session, request.run_id)
                return await work(session)

        return await self._kept.use(Target.of(request), purpose, deadline, limited)


async def delete(worker: Worker, request: NodeRequest, task: DeleteTask) -> DeleteResult:
    """Do a part of a flush."""
    pace, count = Pace(worker.time, task.keys_per_second, task.seconds), _Count()
    progress = Progress(task.cursor or "0")
    if task.everything:
        await _delete_everything(worker, request, progress, count)
    else:
        allowed = tuple(prefix.encode() for prefix in task.allowed if prefix)

        async def unlink(session: Session, keys: Sequence[bytes]) -> int:
            chosen = [key for key in keys if key.startswith(allowed) and _matches_one(task.patterns, key)]
            if chosen:
                count.done += await session.ask("UNLINK", *chosen)
            return len(chosen)

        await worker.go_over(request, Purpose.DELETE, progress, pace, unlink)
    return DeleteResult(progress.next, progress.scanned, count.done, pace.seconds, progress.failure)


def _matches_one(patterns: Sequence[str], key: bytes) -> bool:
    return any(matches(pattern, key) for pattern in patterns)


async def _delete_everything(worker: Worker, request: NodeRequest, progress: Progress, count: _Count) -> None:
    async def flush(session: Session) -> int:
        keys: int = await session.ask("DBSIZE")
        await session.ask("FLUSHALL", "ASYNC")
        return keys

    try:
        count.done = progress.scanned = await worker.within(request, Purpose.DELETE, flush)
        progress.through = True
    except FAILURES as error:
        progress.failure = failure_of(error, secret=request.password)


async def copy(worker: Worker, request: NodeRequest, task: CopyTask) -> CopyResult:
    """Do a part of a warm-up by copies. An entry of more than 1 MiB is not copied: it would hold up all others."""
    pace, count = Pace(worker.time, task.keys_per_second, task.seconds), _Count()
    progress = Progress(task.cursor or "0")
    prefixes = [(source.encode(), target.encode()) for source, target in task.prefixes]

    async def copy_some(session: Session, keys: Sequence[bytes]) -> int:
        pairs = [
            (key, target + key[len(source) :]) for key in keys for source, target in prefixes if key.startswith(source)
        ]
        sizes = whole(await session.ask_all([("MEMORY", "USAGE", source, "SAMPLES", 5) for source, _ in pairs]))
        small = [pair for pair, size in zip(pairs, sizes, strict=True) if size is not None and size <= _LARGEST_COPY]
        answers = await session.ask_all([("COPY", *pair) for pair in small])
        worker.reads.note(request, [True] * len(small))
        count.done += sum(whole(answers))
        return len(pairs)

    await worker.go_over(request, Purpose.COPY, progress, pace, copy_some)
    at = 1.0 if progress.through else position(progress.cursor)
    return CopyResult(progress.next, progress.scanned, count.done, pace.seconds, at, progress.failure)


def position(cursor: str) -> float:
    """How far a cursor is through all keys, from 0 to 1. Redis counts up the bits of a cursor from the highest of its
    table to the lowest, so that it stays right when the table grows; the size of the table does not matter here."""
    if not cursor.isdecimal():
        return 0.0
    bits = f"{int(cursor):0{_CURSOR_BITS}b}"[-_CURSOR_BITS:]
    return float(int(bits[::-1], 2) / 2**_CURSOR_BITS)


def whole(answers: Sequence[Any]) -> Sequence[Any]:
    """Answers, none of which is an error. Raises the first that is."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


async def _scan(session: Session, cursor: str, count: int) -> tuple[str, list[bytes]]:
    words: tuple[Word, ...] = ("SCAN", cursor, "COUNT", count)
    try:
        following, keys = await session.ask(*words)
    except exceptions.ResponseError as error:
        if "cursor" not in str(error):
            raise
        message = f"the cursor {cursor!r} is none of Redis': begin anew"
        raise NoAnswerError(CacheFailure(CacheFault.OTHER, message)) from None
    return following.decode(), keys
