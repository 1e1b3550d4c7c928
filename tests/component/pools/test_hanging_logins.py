"""A login that hangs, at a machine that is gone, keeps nobody waiting once the instance is told to reconnect."""

from __future__ import annotations

import asyncio
import time

from hack.rig.pgbouncer import ini_for, pgbouncer, userlist_for
from hack.rig.postgres import Postgres
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.core.pool.findings import Verb
from tests.component.pool_real.forwarder import forwarder
from tests.support.postgres_requests import answered, at


async def test_reconnect_ends_a_login_that_hangs(pools: PostgresPools, lasting: Postgres) -> None:
    with forwarder("127.0.0.1", lasting) as name:
        name.hang()
        ini = ini_for(lasting, server_connect_timeout=30).replace(f"port={lasting.port}", f"port={name.port}")
        with pgbouncer(ini, userlist_for(lasting)) as instance:
            began = time.monotonic()
            client = asyncio.ensure_future(asyncio.to_thread(instance.connect, "app", lasting.user, lasting.password))
            async with asyncio.timeout(10):
                while answered((await pools.instance(at(instance, full=False)))[0]).servers_logging_in == 0:
                    await asyncio.sleep(0.02)
            name.lead_to(lasting)
            assert await pools.command(at(instance), Verb.RECONNECT) is None
            with await client as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            assert time.monotonic() - began < 10
            settings = {row["key"]: row["value"] for row in instance.console("SHOW CONFIG")}
            assert float(settings["server_connect_timeout"]) == 30


async def test_without_a_login_nothing_is_hurried(pools: PostgresPools, lasting: Postgres) -> None:
    with pgbouncer(ini_for(lasting), userlist_for(lasting)) as instance:
        assert await pools.command(at(instance), Verb.RECONNECT) is None
        assert "server_connect_timeout" not in instance.log
        assert "RELOAD" not in instance.log
