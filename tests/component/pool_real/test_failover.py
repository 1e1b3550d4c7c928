"""A server that dies, is moved or demoted, with everything below Kubernetes real: no instance stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
import pytest

from hack.rig.first_writes import CREATE, FirstWrites
from hack.rig.postgres import HOST, Postgres, primary
from tests.component.pool_real.rig import RealPool, now, running

#: In a row; set it higher to see how the times spread.
TIMES: Final = int(os.environ.get("POOL_FAILOVERS", "1"))
WRITE_SECONDS: Final = 30.0
#: From the promotion to the first write through each instance, on a machine that has much else to do.
SOON_SECONDS: Final = 10.0
log = logging.getLogger(__name__)


@dataclass
class Pair:
    """A primary and its standby, which change places."""

    stack: contextlib.ExitStack
    primary: Postgres

    def new_standby(self) -> Postgres:
        """A standby that has all that the primary has."""
        standby = self.stack.enter_context(self.primary.standby())
        standby.wait_replayed(self.primary)
        return standby


@pytest.fixture
def pair() -> Iterator[Pair]:
    with primary() as first, contextlib.ExitStack() as stack:
        with psycopg.connect(
            host=HOST, port=first.port, dbname=first.database, user=first.user, password=first.password
        ) as connection:
            connection.execute(CREATE)
        yield Pair(stack, first)


@contextlib.asynccontextmanager
async def long_transaction(pool: RealPool) -> AsyncIterator[psycopg.Connection[Any]]:
    """A client of the first instance that has written something and not yet committed it."""
    way = next(iter(pool.ways().values()))
    client = await asyncio.to_thread(pool.connect, way)
    try:
        await asyncio.to_thread(client.execute, "BEGIN")
        await asyncio.to_thread(client.execute, "INSERT INTO first_writes (way) VALUES ('long')")
        yield client
    finally:
        client.close()


async def roles_of(pool: RealPool) -> set[bool]:
    """Whether the server that clients of each instance are given is in recovery."""

    def ask(way: str) -> bool:
        with pool.connect(way) as client:
            row = client.execute("SELECT pg_is_in_recovery()").fetchone()
        assert row is not None
        return bool(row[0])

    return set(await asyncio.gather(*(asyncio.to_thread(ask, way) for way in pool.ways().values())))


async def move(pool: RealPool, pair: Pair, standby: Postgres) -> tuple[datetime, float]:
    """Promote the standby, and let the name lead to it. Gives the time of the promotion."""
    await asyncio.to_thread(standby.promote)
    promoted = now(), time.time()
    pool.name.lead_to(standby)
    pair.primary = pool.server = standby
    return promoted


@pytest.mark.parametrize("old_lives", [False, True], ids=["killed", "moved"])
@pytest.mark.parametrize("interval", [1, 60])
async def test_every_instance_writes_to_the_promoted_server(pair: Pair, interval: int, old_lives: bool) -> None:
    if old_lives and interval > 1:
        pytest.skip("a name that moves while the server before lives is noticed at the interval")
    async with running(pair.primary, healthCheck={"intervalSeconds": interval}) as pool:
        for number in range(TIMES):
            old, standby = pair.primary, await asyncio.to_thread(pair.new_standby)
            async with long_transaction(pool):
                with FirstWrites(pool.ways(), HOST, standby.port) as writes:
                    if not old_lives:
                        await asyncio.to_thread(old.kill)
                    at, promoted = await move(pool, pair, standby)
                    first = await asyncio.to_thread(writes.wait, WRITE_SECONDS)
                past = await pool.reconnected(at)
            await pool.until("the pool to settle", pool.settled)
            assert await roles_of(pool) == {False}
            times = {way: round(found - promoted, 2) for way, found in first.items()}
            verified = (past.ended_at - at).total_seconds()
            log.info("%d: writes %s, verified %.2f s, %d tries", number, times, verified, past.attempts)
            assert max(times.values()) < SOON_SECONDS


async def test_a_primary_that_is_demoted_in_place_is_never_called_right(pair: Pair) -> None:
    async with running(pair.primary) as pool:
        for _ in range(TIMES):
            at = now()
            await asyncio.to_thread(pair.primary.demote)
            await pool.until("the role to be seen", lambda: (pool.condition("RoleCorrect") or "?")[0] == "False", 10)
            assert not pool.is_true("Ready")
            await asyncio.to_thread(pair.primary.promote)
            await pool.reconnected(at)
            await pool.until("the pool to settle", pool.settled)
            assert await roles_of(pool) == {False}


async def test_a_server_that_takes_no_more_writes_is_seen_though_no_connection_breaks(pair: Pair) -> None:
    async with running(pair.primary) as pool:
        pair.primary.settings["default_transaction_read_only"] = "on"
        await asyncio.to_thread(pair.primary.reload)
        await pool.until("the role to be seen", lambda: (pool.condition("RoleCorrect") or "?")[0] == "False", 10)
        at = now()
        pair.primary.settings["default_transaction_read_only"] = "off"
        await asyncio.to_thread(pair.primary.reload)
        await pool.reconnected(at)
        await pool.until("the pool to settle", pool.settled)
