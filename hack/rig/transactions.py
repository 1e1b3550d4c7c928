"""Clients of a database that run transactions all the time, and keep books of what became of each.

A client holds one connection and repeats `BEGIN; INSERT; COMMIT`. As applications should, it connects anew when it is
told to before a transaction has begun. What fails after that is lost, and so is a row that was committed and is gone.

    with Transactions(conninfo) as clients:
        ...
    books = clients.books()
    assert not books.lost
    assert not books.missing(rows_of(connection))
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import psycopg

Key = tuple[int, int]
_Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_CREATE: Final = "CREATE TABLE IF NOT EXISTS traffic (client int, number int, PRIMARY KEY (client, number))"
_INSERT: Final = "INSERT INTO traffic (client, number) VALUES (%s, %s)"
_CONNECT_SECONDS: Final = 5
#: After a connection was refused: clients that come back at once, all together, would be a fault of their own.
_RETRY_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 2.0


class Outcome(StrEnum):
    """What became of a transaction."""

    COMMITTED = "committed"
    #: The connection ended before the transaction had begun: the client connects anew, and nobody is hurt.
    TOLD = "told"
    #: No connection was to be had.
    REFUSED = "refused"
    #: It failed after it had begun, or was not answered in time.
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Record:
    """One transaction, or the attempt at one. Times are seconds since the epoch."""

    client: int
    number: int
    started: float
    ended: float
    outcome: Outcome
    error: str = ""

    @property
    def key(self) -> Key:
        """The row that it writes."""
        return self.client, self.number


@dataclass(frozen=True)
class Books:
    """All that the clients did."""

    records: Sequence[Record]

    def of(self, outcome: Outcome) -> list[Record]:
        """The records with an outcome."""
        return [record for record in self.records if record.outcome is outcome]

    @property
    def committed(self) -> int:
        """Number of transactions that were committed."""
        return len(self.of(Outcome.COMMITTED))

    @property
    def lost(self) -> list[Record]:
        """Transactions that failed after they had begun."""
        return self.of(Outcome.LOST)

    @property
    def refused(self) -> list[Record]:
        """Attempts at a connection that failed."""
        return self.of(Outcome.REFUSED)

    @property
    def reconnects(self) -> Counter[int]:
        """How often each client was told to connect anew."""
        return Counter(record.client for record in self.of(Outcome.TOLD))

    @property
    def longest(self) -> float:
        """Seconds that the slowest committed transaction took, with its wait for a server connection."""
        return max((r.ended - r.started for r in self.of(Outcome.COMMITTED)), default=0.0)

    def since(self, moment: float) -> Books:
        """Those that started at the moment or later."""
        return Books([record for record in self.records if record.started >= moment])

    def clients(self) -> set[int]:
        """Those who committed something."""
        return {record.client for record in self.of(Outcome.COMMITTED)}

    def missing(self, rows: Collection[Key]) -> list[Key]:
        """What was committed and is not among the rows."""
        there = set(rows)
        return sorted(record.key for record in self.of(Outcome.COMMITTED) if record.key not in there)

    def errors(self) -> Counter[str]:
        """What was said about those that were refused or lost, and how often."""
        return Counter(f"{r.outcome}: {r.error}" for r in (*self.refused, *self.lost))


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the table that the clients write to, as their own user."""
    connection.execute(_CREATE)
    connection.commit()


def rows_of(connection: psycopg.Connection[Any]) -> list[Key]:
    """The rows that are there."""
    return [(int(client), int(number)) for client, number in connection.execute("SELECT client, number FROM traffic")]


class Transactions:
    """Runs the clients in a thread of its own, from `start` to `stop`, or as a context manager.

    Each begins a transaction `every` so many seconds and stays in it for `hold` seconds. It waits `patience` seconds
    for a transaction to begin, as it does while the pool is paused, and `limit` seconds for it to end.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        clients: int = 20,
        every: float = 0.25,
        hold: float = 0.05,
        patience: float = 60.0,
        limit: float = 15.0,
    ) -> None:
        self._conninfo = conninfo
        self._count = clients
        self._every = every
        self._hold = hold
        self._patience = patience
        self._limit = limit
        self._records: list[Record] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True, name="transactions")

    def __enter__(self) -> Transactions:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let every client finish what it is at, and end, without waiting for it."""
        self._stopping.set()

    def stop(self) -> None:
        """Let every client finish what it is at, and end. It may be called twice."""
        self.ask_to_stop()
        self._thread.join(self._patience + self._limit + _CONNECT_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError("a client did not come to an end")

    def books(self) -> Books:
        """What was done up to now."""
        return Books(self._records[:])

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(self._count)))

    async def _client(self, client: int) -> None:
        # They do not all begin at the same moment.
        await asyncio.sleep(self._every * client / self._count)
        connection: _Connection | None = None
        for number in itertools.count():
            if self._stopping.is_set():
                break
            due = time.monotonic() + self._every
            connection = connection or await self._connect(client, number)
            if connection is None:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            outcome = await self._transaction(connection, client, number)
            if outcome is not Outcome.COMMITTED:
                await _close(connection)
                connection = None
                continue
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if connection is not None:
            await _close(connection)

    async def _connect(self, client: int, number: int) -> _Connection | None:
        started = time.time()
        try:
            # Statements that the library prepares by itself need a server connection of the client's own.
            return await psycopg.AsyncConnection.connect(
                self._conninfo, autocommit=True, prepare_threshold=None, connect_timeout=_CONNECT_SECONDS
            )
        except psycopg.Error as error:
            self._note(client, number, started, Outcome.REFUSED, error)
            return None

    async def _transaction(self, connection: _Connection, client: int, number: int) -> Outcome:
        started = time.time()
        try:
            async with asyncio.timeout(self._patience):
                await connection.execute("BEGIN")
        except psycopg.OperationalError as error:
            return self._note(client, number, started, Outcome.TOLD, error)
        except (psycopg.Error, TimeoutError) as error:
            return self._note(client, number, started, Outcome.LOST, error)
        try:
            async with asyncio.timeout(self._limit):
                await connection.execute(_INSERT, (client, number))
                await asyncio.sleep(self._hold)
                await connection.execute("COMMIT")
        except (psycopg.Error, TimeoutError) as error:
            return self._note(client, number, started, Outcome.LOST, error)
        return self._note(client, number, started, Outcome.COMMITTED)

    def _note(
        self, client: int, number: int, started: float, outcome: Outcome, error: BaseException | None = None
    ) -> Outcome:
        self._records.append(Record(client, number, started, time.time(), outcome, _words(error)))
        return outcome


async def _close(connection: _Connection) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.close()
    except (psycopg.Error, TimeoutError):
        return


def _words(error: BaseException | None) -> str:
    """What the error says, on one line, with the SQLSTATE when there is one."""
    if error is None:
        return ""
    code = getattr(error, "sqlstate", None)
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{code} {text}" if code else text
