"""A pool whose clients take all that there is: it is said, and nobody takes the server for dead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from hack.rig.postgres import Postgres, primary
from tests.component.pool_real.rig import RealPool, running

SMALL = {"size": {"min": 2, "max": 2}}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with primary(max_connections=60) as made:
        yield made


async def watched(pool: RealPool, seconds: float) -> set[tuple[str, str]]:
    """What was said of the pool's health meanwhile."""
    said: set[tuple[str, str]] = set()
    for _ in range(int(seconds * 10)):
        found = pool.condition("Healthy")
        assert found is not None
        said.add(found[:2])
        assert pool.condition("Stalled") is None
        assert pool.status().reconnect is None
        assert pool.is_true("Ready"), pool.describe()
        await asyncio.sleep(0.1)
    return said


@pytest.mark.parametrize("interval", [1, 60])
async def test_all_server_connections_are_busy(server: Postgres, interval: int) -> None:
    health = {"intervalSeconds": interval, "slowThresholdMs": 5000}
    async with running(server, healthCheck=health, **SMALL) as pool:

        def sleep(way: str) -> None:
            with pool.connect(way) as client:
                # Looks are five seconds apart, and only waits of five seconds and more are told.
                client.execute("SELECT pg_sleep(12)")

        work = [asyncio.create_task(asyncio.to_thread(sleep, way)) for way in pool.ways().values() for _ in range(2)]
        said = await watched(pool, 16)
        await asyncio.gather(*work)
        assert said == {("True", "ChecksPassed"), ("False", "ClientsWaiting")}
        assert not pool.status().reconnects
        assert pool.reasons().count("ClientsWaiting") == 1


async def test_all_client_connections_are_taken(server: Postgres) -> None:
    async with running(server, maxClients=5, healthCheck={"intervalSeconds": 1, "slowThresholdMs": 5000}) as pool:
        with contextlib.ExitStack() as stack:

            def fill(way: str) -> int:
                for number in range(20):
                    try:
                        stack.enter_context(pool.connect(way))
                    except psycopg.OperationalError:
                        return number
                return 20

            taken = [await asyncio.to_thread(fill, way) for way in pool.ways().values()]
            assert max(taken) < 10
            said = await watched(pool, 5)
        assert ("False", "TooManyConnections") in said
        await pool.until("the pool to be healthy", lambda: pool.is_true("Healthy"))
        assert not pool.status().reconnects


async def test_the_server_has_no_connection_left(server: Postgres) -> None:
    async with running(server, healthCheck={"intervalSeconds": 1, "slowThresholdMs": 5000}) as pool:
        way = next(iter(pool.ways().values()))
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(await asyncio.to_thread(pool.connect, way))
            client.execute("SELECT 1")

            direct = f"host={server.host} port={server.port} dbname={server.database} user={server.user}"

            def fill() -> None:
                with contextlib.suppress(psycopg.OperationalError):
                    for _ in range(80):
                        stack.enter_context(psycopg.connect(direct, password=server.password))

            await asyncio.to_thread(fill)
            await pool.until("it to be told", lambda: (pool.condition("Healthy") or "??")[1] == "TooManyConnections")
            said = await watched(pool, 4)
            assert said == {("False", "TooManyConnections")}
            assert client.execute("SELECT 1").fetchone() == (1,)
        await pool.until("the pool to settle", pool.settled)
