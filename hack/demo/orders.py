"""The pool of the demo: a PostgreSQL with a standby, a ConnectionPool in front of it, clients, and a failover."""

from __future__ import annotations

import contextlib
import time
from typing import Final

import httpx

from hack.demo import ways
from hack.demo.beside import Beside, has_ended
from hack.demo.pool_figures import PoolFigures
from hack.rig import failovers
from hack.rig.api import Api, ApiError, Json
from hack.rig.databases import Database
from hack.rig.failovers import Course, Failover
from hack.rig.pools import PORT, Pool
from hack.rig.transactions import Books, Key, Transactions, prepare, rows_of
from hack.rig.waiting import until

NAME: Final = "orders"
CLIENTS: Final = 10
_EVERY_SECONDS: Final = 0.4
_HOLD_SECONDS: Final = 0.02
#: A client waits so long for its transaction to begin: longer than a failover takes.
_PATIENCE_SECONDS: Final = 30.0
_READY_SECONDS: Final = 120.0
_AGAIN_SECONDS: Final = 30.0


class Orders:
    """In its block the pool comes up beside whatever else goes on, and clients use it from when it is ready."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.name = NAME
        self._api = api
        self._namespace = namespace
        self._clients: Transactions | None = None
        self._pool: Pool | None = None
        self._coming: Beside[None] | None = None
        self._failing: Beside[None] | None = None
        self._failover: Failover | None = None
        self._rows: list[Key] | None = None
        self._over = False
        #: How far the failover has come.
        self.course = Course()
        #: Why this machine cannot use the pool; None: it can, or it is not known yet.
        self.skipped: str | None = None

    def __enter__(self) -> Orders:
        self._coming = Beside(self._come_up, "orders-come-up")
        return self

    def __exit__(self, *_: object) -> None:
        # Whoever is in a hurry must not wait for a client that waits for a server.
        self._over = True
        if self._clients is not None:
            self._clients.ask_to_stop()

    def is_up(self) -> bool:
        """Whether the pool is Ready and its clients have begun. Raises what kept it from it."""
        return has_ended(self._coming)

    @property
    def pool(self) -> Pool | None:
        """The pool, None before it comes up."""
        return self._pool

    def object(self) -> Json | None:
        """The ConnectionPool, None while there is none."""
        return self._api.get("ConnectionPool", self._namespace, self.name)

    def books(self) -> Books | None:
        """What clients did up to now, None while there are none."""
        return None if self._clients is None else self._clients.books()

    def fail_over(self) -> None:
        """Kill the primary and promote the standby, as whatever manages the database would, beside the main thread."""
        self._failing = Beside(self._fail_over, "orders-fail-over")

    def is_failed_over(self) -> bool:
        """Whether the failover is over and every client writes again. Raises what kept it from it."""
        return has_ended(self._failing)

    def end(self) -> None:
        """Let clients finish, and see which of their rows are there."""
        if self._clients is None or self._pool is None:
            return
        self._clients.stop()
        with self._pool.connect() as connection:
            self._rows = rows_of(connection)

    def figures(self, failure: str | None) -> PoolFigures:
        """The figures. After a failure they count also where the API server says nothing more."""
        pool = None
        with contextlib.suppress(*((ApiError, httpx.HTTPError) if failure else ())):
            pool = self.object()
        return PoolFigures.of(
            pool,
            books=self.books(),
            rows=self._rows,
            course=self.course,
            failover=self._failover,
            skipped=self.skipped,
        )

    def _come_up(self) -> None:
        self.skipped = ways.why_no_pods(self._api)
        database = Database(self._api, self._namespace, reachable=self.skipped is None)
        pool = self._pool = Pool(database, self.name)
        database.up()
        pool.apply()
        database.start()
        pool.wait_ready(seconds=_READY_SECONDS)
        self.skipped = self.skipped or ways.why_no_service(pool.service_address(), PORT)
        if self.skipped is None and not self._over:
            self._use(pool)

    def _use(self, pool: Pool) -> None:
        failovers.prepare(pool)
        with pool.connect() as connection:
            prepare(connection)
        clients = self._clients = Transactions(
            pool.conninfo(), clients=CLIENTS, every=_EVERY_SECONDS, hold=_HOLD_SECONDS, patience=_PATIENCE_SECONDS
        )
        clients.start()
        if self._over:
            clients.ask_to_stop()

    def _fail_over(self) -> None:
        pool, clients = self._pool, self._clients
        assert pool is not None, "the pool is not up"
        assert clients is not None, "nobody uses the pool"
        self._failover, _ = failovers.fail_over(pool, self.course)
        pool.wait_ready(seconds=_READY_SECONDS)
        now = time.time()
        until("every client to write again", lambda: _all_wrote(clients.books().since(now)), seconds=_AGAIN_SECONDS)


def _all_wrote(books: Books) -> bool:
    return books.clients() == set(range(CLIENTS))
