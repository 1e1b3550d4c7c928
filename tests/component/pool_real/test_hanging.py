"""Connections that neither break nor answer: clients that wait are the only sign."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest

from hack.rig.postgres import HOST, Postgres, primary
from hack.rig.transactions import Transactions, prepare
from tests.component.pool_real.rig import running


@pytest.fixture
def server() -> Iterator[Postgres]:
    with primary() as made:
        with psycopg.connect(
            host=HOST, port=made.port, dbname=made.database, user=made.user, password=made.password
        ) as connection:
            prepare(connection)
        yield made


async def test_a_server_that_hangs_is_noticed_long_before_the_interval_is_over(server: Postgres) -> None:
    async with running(server, healthCheck={"intervalSeconds": 600}, size={"min": 2, "max": 2}) as pool:
        with Transactions(pool.ways()[pool.instances[0].host], clients=6, patience=90.0, limit=90.0) as clients:
            await asyncio.sleep(1)
            await asyncio.to_thread(server.freeze)
            began = time.monotonic()
            try:
                await pool.until("it to be noticed", lambda: pool.status().reconnect, 45)
                assert time.monotonic() - began < 40
                assert not pool.is_true("Ready")
            finally:
                await asyncio.to_thread(server.thaw)
            await pool.until("the pool to settle", pool.settled, 40)
        assert not clients.books().lost
