"""A database and a pool for each test, and clients that run transactions through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hack.rig.api import Api
from hack.rig.databases import Database
from hack.rig.pools import Pool, behind
from hack.rig.transactions import Transactions, prepare


@pytest.fixture
def database(cluster: Api, namespace: str) -> Database:
    """A PostgreSQL that is not started yet."""
    return Database(cluster, namespace)


@pytest.fixture
def pooled(database: Database) -> Callable[..., Pool]:
    """Start the database, and a pool in front of it that is Ready.

    `standbys`, `tls` and `server` (variables of its image) are the database's; `changes` are of the pool's
    `spec.database`, and the rest is its spec.
    """

    def make(
        *,
        standbys: int = 0,
        tls: bool = False,
        server: dict[str, Any] | None = None,
        changes: dict[str, Any] | None = None,
        **spec: Any,
    ) -> Pool:
        database.up(standbys=standbys, tls=tls, **(server or {}))
        pool = Pool(database)
        pool.apply(database=behind(database, **(changes or {})), **spec)
        pool.wait_ready()
        pool.wait_served()
        return pool

    return make


@pytest.fixture
def clients(request: pytest.FixtureRequest) -> Iterator[Callable[..., Transactions]]:
    """Start clients of a pool, which stop at the end at the latest. Options as of `Transactions`."""
    started: list[Transactions] = []

    def start(pool: Pool, **options: Any) -> Transactions:
        with pool.connect() as connection:
            prepare(connection)
        running = Transactions(pool.conninfo(), **options)
        running.start()
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()
        books = running.books()
        request.node.user_properties += [("transactions", books.committed), ("transactions_lost", len(books.lost))]
