"""The clients that tests trust: they lose nothing by being told to connect anew, and hide nothing that is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo

from hack.rig.postgres import Postgres, primary
from hack.rig.transactions import Transactions, prepare, rows_of
from hack.rig.waiting import until

CLIENTS = 3


@pytest.fixture(scope="module")
def _server() -> Iterator[Postgres]:
    with primary() as server:
        yield server


@pytest.fixture
def server(_server: Postgres) -> Postgres:
    """A server with an empty table that the clients' user owns."""
    with _server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS traffic")
        connection.execute(f"SET ROLE {_server.user}")
        prepare(connection)
    return _server


def conninfo(server: Postgres, **changes: str) -> str:
    """How clients connect."""
    return make_conninfo(
        "",
        **{
            "host": server.host,
            "port": str(server.port),
            "dbname": server.database,
            "user": server.user,
            "password": server.password,
            **changes,
        },
    )


def run(server: Postgres, *, every: float = 0.02, hold: float = 0.0, **options: float) -> Transactions:
    return Transactions(conninfo(server), clients=CLIENTS, every=every, hold=hold, **options)


def wait_committed(clients: Transactions, more: int) -> None:
    before = clients.books().committed
    until(f"{more} more commits", lambda: clients.books().committed >= before + more, seconds=20, every=0.01)


def test_what_is_committed_is_there(server: Postgres) -> None:
    with run(server) as clients:
        wait_committed(clients, 30)
    books = clients.books()
    assert books.clients() == set(range(CLIENTS))
    assert not books.lost + books.refused
    assert not books.reconnects
    with server.connect() as connection:
        rows = rows_of(connection)
        assert len(rows) == books.committed >= 30
        assert not books.missing(rows)


def test_a_committed_row_that_is_gone_is_missing(server: Postgres) -> None:
    with run(server) as clients:
        wait_committed(clients, 9)
    with server.connect() as connection:
        connection.execute("DELETE FROM traffic WHERE client = 1 AND number = 0")
        assert clients.books().missing(rows_of(connection)) == [(1, 0)]


def test_who_is_told_before_a_transaction_begins_connects_anew_and_loses_nothing(server: Postgres) -> None:
    """Idle sessions only are ended: each client finds its connection closed when it wants to begin."""
    # They begin seldom: one that begins between the look at its state and the signal would lose its transaction.
    with run(server, every=0.5) as clients:
        wait_committed(clients, 9)
        ended = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE state = 'idle' AND usename = 'app'"
            " AND state_change BETWEEN clock_timestamp() - interval '300 ms' AND clock_timestamp() - interval '50 ms'"
        )
        until(
            "a client to be told",
            lambda: bool(server.sql(ended) and clients.books().reconnects),
            seconds=20,
            every=0.02,
        )
        wait_committed(clients, 9)
    books = clients.books()
    assert sum(books.reconnects.values()) > 0
    assert not books.lost, books.errors()
    with server.connect() as connection:
        assert not books.missing(rows_of(connection))


def test_a_transaction_that_is_cut_off_is_lost(server: Postgres) -> None:
    with run(server, hold=0.3) as clients:
        wait_committed(clients, CLIENTS)
        cut = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND usename = 'app'"
        )
        until("a transaction to be cut off", lambda: server.sql(cut)[0][0] > 0, seconds=20, every=0.02)
        until("it to be noticed", lambda: bool(clients.books().lost), seconds=20, every=0.02)
        wait_committed(clients, CLIENTS)
    books = clients.books()
    assert books.lost[0].error.startswith("57P01 ")
    assert any(words.startswith("lost: 57P01") for words in books.errors())


def test_a_server_that_takes_no_writes_loses_transactions(server: Postgres) -> None:
    with run(server) as clients:
        wait_committed(clients, 9)
        server.set(default_transaction_read_only="on")
        try:
            until("a write to fail", lambda: bool(clients.books().lost), seconds=20, every=0.02)
        finally:
            server.settings.pop("default_transaction_read_only")
            server.reload()
        wait_committed(clients, 9)
    assert clients.books().lost[0].error.startswith("25006 ")


def test_a_transaction_that_is_not_answered_in_time_is_lost(server: Postgres) -> None:
    with run(server, limit=0.5) as clients:
        wait_committed(clients, 9)
        with server.connect() as locks, locks.transaction():
            locks.execute("LOCK TABLE traffic")
            until("a client to give up", lambda: bool(clients.books().lost), seconds=20, every=0.02)
        wait_committed(clients, 9)
    assert clients.books().lost


def test_who_cannot_connect_is_refused_and_comes_in_later(server: Postgres) -> None:
    server.hba = ("host all all all reject",)
    server.reload()
    try:
        with run(server) as clients:
            until("everybody to be refused", lambda: len(clients.books().refused) > CLIENTS, seconds=20, every=0.02)
            assert not clients.books().committed
            server.hba = ("host all all all scram-sha-256",)
            server.reload()
            wait_committed(clients, 9)
    finally:
        server.hba = ("host all all all scram-sha-256",)
        server.reload()
    books = clients.books()
    assert "pg_hba.conf rejects" in books.refused[0].error
    assert not books.lost
    assert books.since(books.records[-1].started).committed >= 1
