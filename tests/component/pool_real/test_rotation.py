"""Passwords that change under a pool that works: no client is refused, whichever side changes first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from hack.rig.postgres import HOST, Postgres, primary
from hack.rig.transactions import Transactions, prepare
from tests.component.pgbouncer_config.instance import set_password
from tests.component.pool_real.rig import RealPool, running


@pytest.fixture
def server() -> Iterator[Postgres]:
    with primary() as made:
        with psycopg.connect(
            host=HOST, port=made.port, dbname=made.database, user=made.user, password=made.password
        ) as connection:
            prepare(connection)
        yield made


def passwords(pool: RealPool) -> set[bool]:
    """Whether each instance has the newest configuration, the list of users included."""
    return {m.config_current is True for m in pool.status().members}


@pytest.mark.parametrize("first", ["secret", "server"])
@pytest.mark.parametrize("interval", [1, 60])
async def test_a_rotation_reaches_no_client(server: Postgres, first: str, interval: int) -> None:
    async with running(server, healthCheck={"intervalSeconds": interval}, size={"min": 4, "max": 8}) as pool:
        way = pool.ways()[pool.instances[0].host]
        with Transactions(way, clients=8, every=0.1) as clients:
            await asyncio.sleep(1)
            if first == "server":
                await asyncio.to_thread(set_password, server, server.user, "pw-two")
            else:
                pool.rotate("pw-two")
            await asyncio.sleep(4)
            if first == "server":
                pool.rotate("pw-two")
            else:
                await asyncio.to_thread(set_password, server, server.user, "pw-two")
            server.password = "pw-two"
            await pool.until("the new password to arrive", lambda: pool.settled() and passwords(pool) == {True}, 40)
            await asyncio.sleep(2)
        books = clients.books()
        assert not books.refused, books.errors()
        assert not books.lost, books.errors()
        assert books.committed > 100


async def test_a_wrong_password_in_the_secret_reaches_nobody(server: Postgres) -> None:
    async with running(server, size={"min": 4, "max": 8}) as pool:
        before = pool.instances[0].folder.joinpath("userlist.txt").read_text()
        with Transactions(pool.ways()[pool.instances[0].host], clients=4) as clients:
            pool.rotate("pw-wrong")
            await pool.until("the mistake to be told", lambda: pool.condition("Stalled"), 20)
            await asyncio.sleep(3)
            assert pool.instances[0].folder.joinpath("userlist.txt").read_text() == before
            pool.rotate(server.password)
            await pool.until("the pool to settle", pool.settled, 30)
        assert not books_of(clients)
        assert pool.reasons().count("AuthenticationFailed") == 1
        assert not pool.status().reconnects


def books_of(clients: Transactions) -> dict[str, int]:
    """What clients were refused or lost."""
    return dict(clients.books().errors())
