"""When does a write first reach the new server? One client for each way to it, that tries all the time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import psycopg

from hack.rig.waiting import until

_Connection = psycopg.AsyncConnection[tuple[Any, ...]]

CREATE: Final = "CREATE TABLE IF NOT EXISTS first_writes (way text, at timestamptz DEFAULT clock_timestamp())"
_WRITE: Final = "INSERT INTO first_writes (way) VALUES (%s) RETURNING host(inet_server_addr()), inet_server_port()"
_CONNECT_SECONDS: Final = 2
#: An answer that takes longer is not waited for: the client connects anew.
_ANSWER_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.01
_END_SECONDS: Final = 10.0


class FirstWrites:
    """Writes by every way, from `start` to `stop` or as a context manager, until each has reached the server.

    `ways` are connection strings by name, as of a pool's instances. A write counts when it was committed and the
    server itself says that it has this `address` (and this `port`, when one is given).
    """

    def __init__(self, ways: Mapping[str, str], address: str, port: int | None = None) -> None:
        self._ways = dict(ways)
        self._server = (address, port)
        self._found: dict[str, float] = {}
        self._errors: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True, name="first-writes")

    def __enter__(self) -> FirstWrites:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; the table must be there."""
        self._thread.start()

    def stop(self) -> None:
        """Give up on those that did not come through."""
        self._stopping.set()
        self._thread.join(_END_SECONDS)

    def wait(self, seconds: float) -> dict[str, float]:
        """When the first write came through by each way, in seconds since the epoch. Raises TimeoutError, which says
        what came instead."""
        try:
            until("a write by every way", lambda: len(self._found) == len(self._ways), seconds=seconds, every=0.02)
        except TimeoutError as error:
            instead = {way: self._errors.get(way, "no answer") for way in self._ways if way not in self._found}
            raise TimeoutError(f"{error}; instead there was: {instead}") from None
        return dict(self._found)

    async def _run(self) -> None:
        await asyncio.gather(*(self._try(way, conninfo) for way, conninfo in self._ways.items()))

    async def _try(self, way: str, conninfo: str) -> None:
        connection: _Connection | None = None
        while not self._stopping.is_set() and way not in self._found:
            try:
                connection = connection or await psycopg.AsyncConnection.connect(
                    conninfo, autocommit=True, prepare_threshold=None, connect_timeout=_CONNECT_SECONDS
                )
                async with asyncio.timeout(_ANSWER_SECONDS):
                    row = await (await connection.execute(_WRITE, (way,))).fetchone()
                self._judge(way, row)
            except (psycopg.Error, TimeoutError) as error:
                self._errors[way] = " ".join(str(error).split()) or type(error).__name__
                if connection is not None:
                    await connection.close()
                connection = None
            await asyncio.sleep(_PAUSE_SECONDS)
        if connection is not None:
            await connection.close()

    def _judge(self, way: str, row: tuple[Any, ...] | None) -> None:
        address, port = self._server
        if row is not None and row[0] == address and port in (None, row[1]):
            self._found[way] = time.time()
        else:
            self._errors[way] = f"another server answered: {row}"
