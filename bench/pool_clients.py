"""Client processes that connect, ask one query, and leave, again and again. They live through all rounds."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final

import psycopg

_CONNECT_SECONDS: Final = 30
_ANSWER_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Round:
    """One way, for some seconds. With `every`, each client begins once in so many seconds; without, at once again.

    What begins in the first `warm` seconds does not count.
    """

    conninfo: str
    seconds: float
    warm: float
    every: float = 0.0


@dataclass
class Outcome:
    """What a process saw. `milliseconds` are of connect, query and answer together; `cpu` is its own, in seconds, for
    `done` of them, those that do not count among them."""

    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    cpu: float = 0.0
    done: int = 0


class Clients:
    """So many clients, spread over processes. Use it as a context manager."""

    def __init__(self, clients: int, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        for number in range(processes):
            ours, theirs = context.Pipe()
            share = clients // processes + (number < clients % processes)
            process = context.Process(target=_serve, args=(theirs, share), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Clients:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()  # which is how they learn that it is over
        for process in self._processes:
            process.join(_ANSWER_SECONDS)
            if process.is_alive():
                process.kill()

    def run(self, what: Round) -> Outcome:
        """Let all of them do it at the same time."""
        for pipe in self._pipes:
            pipe.send(what)
        return _sum([self._answer(pipe, what) for pipe in self._pipes])

    def _answer(self, pipe: Connection[Any, Any], what: Round) -> Outcome:
        if not pipe.poll(what.seconds + _ANSWER_SECONDS):
            raise TimeoutError("a client process does not answer")
        found: Outcome = pipe.recv()
        return found


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(
        milliseconds=[value for each in outcomes for value in each.milliseconds],
        errors=[words for each in outcomes for words in each.errors],
        cpu=sum(each.cpu for each in outcomes),
        done=sum(each.done for each in outcomes),
    )


def _serve(pipe: Connection[Any, Any], clients: int) -> None:
    try:
        while True:
            pipe.send(asyncio.run(_run(pipe.recv(), clients)))
    except EOFError:
        return


async def _run(what: Round, clients: int) -> Outcome:
    outcome, before = Outcome(), time.process_time()
    began = time.perf_counter()
    await asyncio.gather(*(_client(what, outcome, began, number / clients) for number in range(clients)))
    outcome.cpu = time.process_time() - before
    return outcome


async def _client(what: Round, outcome: Outcome, began: float, place: float) -> None:
    due = began + what.every * place
    while due < began + what.seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        started = time.perf_counter()
        try:
            await _once(what.conninfo)
        except (psycopg.Error, OSError) as error:
            outcome.errors.append(" ".join(str(error).split()))
        else:
            outcome.done += 1
            if started >= began + what.warm:
                # From when it was due: a client that is held up hides nothing.
                since = max(due, began + what.warm) if what.every else started
                outcome.milliseconds.append((time.perf_counter() - since) * 1000)
        due = due + what.every if what.every else time.perf_counter()


async def _once(conninfo: str) -> None:
    connection = await psycopg.AsyncConnection.connect(
        conninfo, autocommit=True, prepare_threshold=None, connect_timeout=_CONNECT_SECONDS
    )
    try:
        answer = await connection.execute("SELECT 1")
        if await answer.fetchone() != (1,):
            raise psycopg.DataError("SELECT 1 was answered with something else")
    finally:
        await connection.close()
