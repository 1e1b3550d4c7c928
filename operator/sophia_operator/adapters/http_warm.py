"""Warm-ups by requests: the paths of a list are asked for, at a pace, from a release that has no traffic yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

import httpx

from sophia_operator.adapters.http_answers import FAILURES, read, why
from sophia_operator.adapters.pace import Pace, Time
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import RequestsResult, RequestsTask

_LARGEST_LIST: Final = 4 * 1024 * 1024
_LIST_SECONDS: Final = 5.0
_REQUEST_SECONDS: Final = 3.0
_AT_ONCE: Final = 50
#: Of an answer only so much is read, so that its connection can be used again.
_LARGEST_BODY: Final = 64 * 1024
_MOST_UNCONNECTED: Final = 10
_TIME: Final = Time()


class _NoListError(Exception):
    def __init__(self, failure: CacheFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(slots=True)
class _Tally:
    """What came of the requests of a part."""

    answered: int = 0
    failed: int = 0
    #: Paths that were asked for when there was no connection to be had, one after the other.
    unconnected: list[int] = field(default_factory=list)
    #: Why the last one that failed did.
    reason: str = ""

    @property
    def given_up(self) -> bool:
        """Nobody is there: to go on would only go through the list without an effect."""
        return len(self.unconnected) >= _MOST_UNCONNECTED

    def add(self, reason: str | None) -> None:
        """There was a connection; without a reason for the contrary, the answer was as hoped."""
        self.failed += len(self.unconnected)
        self.unconnected.clear()
        if reason is None:
            self.answered += 1
        else:
            self.failed += 1
            self.reason = reason


async def warm(client: httpx.AsyncClient, task: RequestsTask, time: Time = _TIME) -> RequestsResult:
    """Ask for the paths from the task's first one on, until its time is over or the list is through."""
    pace = Pace(time, task.requests_per_second, task.seconds)
    try:
        paths = _parse(await _fetch(client, task.list_url))
    except _NoListError as error:
        return RequestsResult(task.first, 0, 0, 0, pace.seconds, error.failure)
    tally = _Tally()
    running: set[asyncio.Task[None]] = set()
    at = task.first
    try:
        while at < len(paths) and not tally.given_up:
            for path in paths[at : at + min(pace.batch, _AT_ONCE)]:
                if len(running) >= _AT_ONCE:
                    _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                running.add(asyncio.create_task(_ask(client, task.base_url.rstrip("/") + path, at, tally)))
                at += 1
            if not await pace.goes_on(min(pace.batch, _AT_ONCE)):
                break
        await asyncio.gather(*running)
    finally:
        for unfinished in running:
            unfinished.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return _result(tally, at, len(paths), pace.seconds)


async def _ask(client: httpx.AsyncClient, url: str, number: int, tally: _Tally) -> None:
    try:
        async with asyncio.timeout(_REQUEST_SECONDS), client.stream("GET", url, timeout=None) as answer:
            await read(answer, _LARGEST_BODY)
    except httpx.ConnectError as problem:
        tally.unconnected.append(number)
        tally.reason = why(problem)
    except TimeoutError:
        tally.add(f"no answer within {_REQUEST_SECONDS:g} s")
    except FAILURES as problem:
        tally.add(why(problem))
    else:
        # What is no success fills no cache.
        tally.add(None if answer.status_code < 400 else f"the answer is {answer.status_code}")


async def _fetch(client: httpx.AsyncClient, url: str) -> bytes:
    try:
        async with asyncio.timeout(_LIST_SECONDS), client.stream("GET", url, timeout=None) as answer:
            body, whole = await read(answer, _LARGEST_LIST)
    except TimeoutError:
        raise _no_list(CacheFault.TIMEOUT, f"the list was not read within {_LIST_SECONDS:g} s") from None
    except FAILURES as problem:
        raise _no_list(CacheFault.UNREACHABLE, f"the list cannot be had: {why(problem)}") from None
    if answer.status_code != 200:
        raise _no_list(CacheFault.OTHER, f"asked for the list, its server answers {answer.status_code}")
    if not whole:
        raise _no_list(CacheFault.OTHER, f"the list is larger than {_LARGEST_LIST // 1024**2} MiB: make it shorter")
    return body


def _parse(body: bytes) -> tuple[str, ...]:
    """Paths of a list. A path that is none is told by its number: the list may be none, but something secret."""
    try:
        lines = [line.strip() for line in body.decode().split("\n")]
    except UnicodeDecodeError:
        raise _no_list(CacheFault.OTHER, "the list is no text in UTF-8: correct it") from None
    paths = tuple(line for line in lines if line and not line.startswith("#"))
    for number, path in enumerate(paths, 1):
        if not path.startswith("/"):
            raise _no_list(CacheFault.OTHER, f"path {number} of the list does not begin with /: correct it")
    return paths


def _no_list(fault: CacheFault, message: str) -> _NoListError:
    return _NoListError(CacheFailure(fault, message))


def _result(tally: _Tally, at: int, total: int, seconds: float) -> RequestsResult:
    if tally.given_up:
        failure = CacheFailure(CacheFault.UNREACHABLE, f"the release gives no answer: {tally.reason}")
        return RequestsResult(min(tally.unconnected), total, tally.answered, tally.failed, seconds, failure)
    failed = tally.failed + len(tally.unconnected)
    none = CacheFailure(CacheFault.OTHER, f"no request was answered as hoped: {tally.reason}")
    none_at_all = failed > 0 and tally.answered == 0
    following = at if at < total else None
    return RequestsResult(following, total, tally.answered, failed, seconds, none if none_at_all else None)
