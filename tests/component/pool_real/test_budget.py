"""What a pool really opens at its server, at most, and whose it is taken for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from hack.rig.postgres import HOST, Postgres, primary
from hack.rig.transactions import Transactions, prepare
from tests.component.pool_real.rig import running


@pytest.fixture
def server() -> Iterator[Postgres]:
    with primary(max_connections=60) as made:
        with psycopg.connect(
            host=HOST, port=made.port, dbname=made.database, user=made.user, password=made.password
        ) as connection:
            prepare(connection)
        yield made


async def test_under_more_clients_than_it_can_serve_a_pool_keeps_to_its_grant(server: Postgres) -> None:
    """Also while it reconnects. The server sees every instance under one address that no pod has."""
    size = {"min": 4, "max": 8, "reserve": 2}
    async with running(server, size=size, autosize={"enabled": False}) as pool:
        patient = {"limit": 60.0, "patience": 60.0}
        clients = [Transactions(w, clients=25, every=0.0, hold=0.2, **patient) for w in pool.ways().values()]
        most = 0
        for client in clients:
            client.start()
        try:
            for number in range(60):
                if number == 30:
                    for instance in pool.instances:
                        await asyncio.to_thread(pool.console, instance, f"RECONNECT {server.database}")
                count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
                ((found,),) = await asyncio.to_thread(server.sql, count)
                most = max(most, found)
                await asyncio.sleep(0.1)
        finally:
            for client in clients:
                await asyncio.to_thread(client.stop)
        budget = pool.status().budget
        assert budget is not None
        assert 8 < most <= budget.granted, budget
        assert pool.is_true("WithinBudget")
        assert not [h for h in budget.holders if h.connections > 2], "its own sessions are nobody else's"
        # Both write the same rows: one of them is told so. On a busy machine, some get no turn to connect in time.
        expected = ("23505", "connection timeout expired")
        assert not [e for c in clients for e in c.books().errors() if not any(word in e for word in expected)]
