"""What a real server runs for long, who waits for it, and how it is ended: that statement, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from hack.rig.postgres import Postgres
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.api.connection_pool_status import RunningStatement
from sophia_operator.core.pool.findings import Failure, Running, Server
from tests.support.postgres_requests import answered, to

#: A statement is seen once it took five.
_SEEN_SECONDS = 15.0


class Clients:
    """Sessions of applications."""

    def __init__(self, server: Postgres, stack: ExitStack) -> None:
        self._server = server
        self._stack = stack

    def connect(self, user: str = "app") -> psycopg.Connection[Any]:
        """As the pool's user; as the superuser otherwise."""
        if user != "app":
            return self._stack.enter_context(closing(self._server.connect(database="app")))
        url = f"host=127.0.0.1 port={self._server.port} dbname=app user=app password={self._server.password}"
        return self._stack.enter_context(closing(psycopg.connect(url)))

    def begin(self, statement: str, client: psycopg.Connection[Any] | None = None) -> psycopg.Connection[Any]:
        """Send a statement, and do not wait for its end."""
        made = client or self.connect()
        made.pgconn.send_query(statement.encode())
        made.pgconn.flush()
        return made


@pytest.fixture
def clients(fresh: Postgres) -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(fresh, stack)


def ended_by(client: psycopg.Connection[Any]) -> str:
    """What the server says of a statement that was sent."""
    result = client.pgconn.get_result()
    assert result is not None
    assert client.pgconn.get_result() is None
    return (result.error_message or b"").decode()


async def seen(pools: PostgresPools, server: Postgres, count: int) -> dict[int, Running]:
    """What runs for long, by its process, once there is so much of it."""

    async def look() -> dict[int, Running]:
        found: Server = answered(await pools.server(to(server)))
        return {one.pid: one for one in found.running}

    async with asyncio.timeout(_SEEN_SECONDS):
        while len(found := await look()) != count:
            await asyncio.sleep(0.2)
    return found


def told(one: Running, **changes: Any) -> RunningStatement:
    return RunningStatement.model_validate({"pid": one.pid, "since": one.since, "idle": one.idle, **changes})


async def test_the_statement_that_others_wait_for_is_ended_and_they_go_on(
    pools: PostgresPools, fresh: Postgres, clients: Clients
) -> None:
    setup = clients.connect()
    setup.execute("CREATE TABLE account (id int PRIMARY KEY, balance int)")
    setup.execute("INSERT INTO account VALUES (1, 0)")
    setup.commit()
    blocking = clients.connect()
    blocking.execute("UPDATE account SET balance = 1")
    clients.begin("SELECT pg_sleep(600)", blocking)
    waiting = clients.begin("UPDATE account SET balance = balance + 10")
    found = await seen(pools, fresh, 2)
    worst = found[blocking.info.backend_pid]
    assert (worst.blocks, worst.idle) == (1, False)
    assert found[waiting.info.backend_pid].blocks == 0
    assert await pools.cancel(to(fresh), told(worst)) == "pg_cancel_backend"
    assert "canceling statement due to user request" in ended_by(blocking)
    blocking.rollback()
    assert ended_by(waiting) == ""
    waiting.commit()
    assert fresh.sql("SELECT balance FROM account", database="app") == [(10,)]


async def test_another_statement_of_the_same_process_is_left_alone(
    pools: PostgresPools, fresh: Postgres, clients: Clients
) -> None:
    running = clients.begin("SELECT pg_sleep(600)")
    (one,) = (await seen(pools, fresh, 1)).values()
    before = told(one, since=one.since - timedelta(microseconds=1))
    assert await pools.cancel(to(fresh), before) == "it was over by itself"
    assert (await seen(pools, fresh, 1))[one.pid].since == one.since
    assert await pools.cancel(to(fresh), told(one)) == "pg_cancel_backend"
    assert "canceling statement" in ended_by(running)


async def test_open_transaction_that_others_wait_for_loses_its_session(
    pools: PostgresPools, fresh: Postgres, clients: Clients
) -> None:
    idle = clients.connect()
    idle.execute("CREATE TABLE held (id int)")
    idle.commit()
    idle.execute("LOCK TABLE held")
    waiting = clients.begin("SELECT count(*) FROM held")
    found = await seen(pools, fresh, 2)
    worst = found[idle.info.backend_pid]
    assert (worst.idle, worst.blocks) == (True, 1)
    assert await pools.cancel(to(fresh), told(worst)) == "pg_terminate_backend"
    assert ended_by(waiting) == ""


async def test_what_others_run_is_neither_shown_nor_ended(
    pools: PostgresPools, fresh: Postgres, clients: Clients
) -> None:
    others = clients.begin("SELECT pg_sleep(600)", clients.connect("postgres"))
    mine = clients.begin("SELECT pg_sleep(600)")
    (one,) = (await seen(pools, fresh, 1)).values()
    assert one.pid == mine.info.backend_pid
    assert await pools.cancel(to(fresh), told(one, pid=others.info.backend_pid)) == "it was over by itself"
    query = f"SELECT state FROM pg_stat_activity WHERE pid = {others.info.backend_pid}"
    assert fresh.sql(query) == [("active",)]


async def test_statistics_are_renewed_and_what_is_not_there_is_said(
    pools: PostgresPools, fresh: Postgres, clients: Clients
) -> None:
    setup = clients.connect()
    setup.execute("CREATE TABLE sold AS SELECT generate_series(1, 500) AS id")
    setup.commit()
    assert await pools.analyze(to(fresh), "public.sold") == "ANALYZE public.sold"
    counted = "SELECT reltuples FROM pg_class WHERE relname = 'sold'"
    assert fresh.sql(counted, database="app") == [(500.0,)]
    refused = await pools.analyze(to(fresh), "nothing")
    assert isinstance(refused, Failure)
    assert 'relation "nothing" does not exist' in refused.message
