"""Send requests at a constant rate and keep a record of each."""

from __future__ import annotations

import asyncio
import math
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from hack.load.http1 import Answer, Connection, ConnectionLostError, connect, request_bytes
from hack.load.records import FAULT_HEADER, RELEASE_HEADER, Record
from hack.load.report import Report

_IDLE_SECONDS = 20.0
"""A kept connection that was idle for longer is not used again: the gateway closes it after 60 s."""
_FLUSH_SECONDS = 1.0


class Load:
    """A steady stream of requests, as a context manager (``with`` or ``async with``)::

        async with Load("http://10.77.128.80/", host="web.example", rate=100) as load:
            ...                                # requests are being sent
            load.report().lost                 # at any time
        report = load.report()                 # whole after the block

    The schedule is open-loop: request number n is due at n / ``rate`` seconds, whether or not earlier ones were
    answered, and its latency counts from then. ``fresh_share`` of the requests (0 to 1, spread evenly) open and close
    a connection of their own; the others share ``connections`` kept ones (more are opened while those are busy).
    ``timeout`` (seconds) bounds each request, ``duration`` and ``max_requests`` the whole; when ``max_in_flight``
    requests are unanswered, the next ones wait, and that shows in their latency. With a ``body`` (JSON) they are POST
    instead of GET. ``named_by`` is the header by which answers say who gave them. ``log`` names a file that gets one
    JSON line a request. It runs in a thread of its own, so that whoever blocks the caller's event loop does not stop
    the traffic.
    """

    def __init__(
        self,
        url: str,
        host: str | None = None,
        rate: float = 100.0,
        *,
        duration: float = 3600.0,
        max_requests: int = 1_000_000,
        timeout: float = 10.0,
        fresh_share: float = 0.1,
        connections: int = 8,
        max_in_flight: int = 1000,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        named_by: str = RELEASE_HEADER,
        log: Path | None = None,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"want a http:// URL, not {url!r}")
        if not (rate > 0 and duration > 0 and timeout > 0 and 0 <= fresh_share <= 1):
            raise ValueError("rate, duration and timeout must be above 0, fresh_share from 0 to 1")
        if min(max_requests, connections, max_in_flight) < 1:
            raise ValueError("max_requests, connections and max_in_flight must be 1 or more")
        self.records: list[Record] = []
        self._address = (parts.hostname, parts.port or 80)
        self._requests = request_bytes(parts, host, headers or {}, body)
        self._named_by = named_by
        self._rate = rate
        self._duration = duration
        self._max_requests = max_requests
        self._timeout = timeout
        self._fresh_share = fresh_share
        self._connections = connections
        self._max_in_flight = max_in_flight
        self._log = log
        self._logged = 0
        self._idle: deque[Connection] = deque()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    # -- For the caller's thread --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to send. A Load runs once."""
        if self._thread is not None:
            raise RuntimeError("this load ran already")
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready.set,), name="load", daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Send no more and return when every request that was sent has ended; safe to repeat.

        Raises what broke the generator itself, such as a log that cannot be written.
        """
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it stopped by itself; return False if ``timeout`` seconds passed first."""
        assert self._thread is not None
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def running(self) -> bool:
        """Whether requests are being sent or awaited."""
        return self._thread is not None and self._thread.is_alive()

    def report(self, since: float = 0.0, until: float = math.inf) -> Report:
        """Add up what ended so far, or only requests due from ``since`` until ``until`` (epoch seconds)."""
        return Report.of([record for record in self.records[:] if since <= record.scheduled < until])

    def __enter__(self) -> Load:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Load:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    # -- In the generator's thread ------------------------------------------------------------------------------------

    def _run(self, ready: Callable[[], None]) -> None:
        try:
            asyncio.run(self._main(ready))
        except BaseException as error:  # stop() raises it in the caller's thread
            self._failure = error
        finally:
            ready()

    async def _main(self, ready: Callable[[], None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        ready()
        with _open_log(self._log) as log:
            writer = asyncio.create_task(self._write_log(log)) if log else None
            await self._send_all(self._stop)
            if writer is not None and log is not None:
                writer.cancel()
                with suppress(asyncio.CancelledError):
                    await writer
                self._write_new(log)
        while self._idle:
            self._idle.popleft().close()
        await asyncio.sleep(0)  # lets the transports close

    async def _send_all(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        epoch = time.time() - began
        slots = asyncio.Semaphore(self._max_in_flight)
        tasks: set[asyncio.Task[None]] = set()
        for number in range(min(self._max_requests, math.ceil(self._rate * self._duration))):
            due = began + number / self._rate
            if (ahead := due - loop.time()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), ahead)
            if stop.is_set() or loop.time() > began + self._duration:
                break
            await slots.acquire()
            fresh = math.floor((number + 1) * self._fresh_share) > math.floor(number * self._fresh_share)
            task = loop.create_task(self._request(due, epoch, fresh))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: slots.release())
        if tasks:
            await asyncio.wait(tasks)

    async def _request(self, due: float, epoch: float, fresh: bool) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer: Answer | None = None
        error: str | None = None
        repeated = False

        def repeating() -> None:
            nonlocal repeated
            repeated = True

        try:
            async with asyncio.timeout(self._timeout):
                answer = await (self._fresh() if fresh else self._kept(repeating))
        except TimeoutError:
            error = f"no answer within {self._timeout:g} s"
        except ConnectionRefusedError:
            error = "connection refused"
        except OSError as failure:
            error = f"{type(failure).__name__}: {failure}"
        self.records.append(
            Record(
                scheduled=epoch + due,
                started=epoch + started,
                ended=epoch + loop.time(),
                status=answer.status if answer else 0,
                release=answer.headers.get(self._named_by) if answer else None,
                fault=answer.headers.get(FAULT_HEADER) if answer else None,
                error=error,
                fresh=fresh,
                repeated=repeated,
            )
        )

    async def _fresh(self) -> Answer:
        connection = await connect(*self._address)
        try:
            return await connection.exchange(self._requests[True])
        finally:
            connection.close()

    async def _kept(self, repeating: Callable[[], None]) -> Answer:
        connection = self._take_idle()
        if connection is not None:
            try:
                return await self._exchange(connection)
            except ConnectionLostError as error:
                # A server may close a kept connection while a request is on its way to it. Nothing was answered, GET
                # is idempotent, and asking for a completion twice does no harm: it is sent again, once, as RFC 9112
                # (9.3.1) allows.
                if error.answered:
                    raise
                repeating()
        return await self._exchange(await connect(*self._address))

    async def _exchange(self, connection: Connection) -> Answer:
        answer = await connection.exchange(self._requests[False])
        if connection.reusable and len(self._idle) < self._connections:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _take_idle(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - _IDLE_SECONDS
        while self._idle:
            connection = self._idle.popleft()  # in turn, so that all of them stay in use
            if connection.reusable and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    async def _write_log(self, log: TextIO) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._write_new(log)

    def _write_new(self, log: TextIO) -> None:
        start, self._logged = self._logged, len(self.records)
        log.writelines(record.line() for record in self.records[start : self._logged])
        log.flush()


def _open_log(path: Path | None) -> TextIO | _NoLog:
    if path is None:
        return _NoLog()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w")


class _NoLog:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
