"""What a look at a real PgBouncer shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from hack.rig.pgbouncer import PgBouncer, ini_for, pgbouncer, userlist_for
from hack.rig.postgres import Postgres
from hack.rig.waiting import until
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.core.pool.findings import Console, Fault, ServerRole, Through
from tests.support.postgres_requests import answered, at, failed


async def _console(pools: PostgresPools, instance: PgBouncer, *, full: bool = False) -> Console:
    console, _ = await pools.instance(at(instance, full=full))
    seen: Console = answered(console)
    return seen


@contextmanager
def _busy(instance: PgBouncer, server: Postgres, *, transactions: int, waiting: int) -> Iterator[None]:
    """Clients in the middle of a transaction, and clients that wait for a server connection."""
    with ExitStack() as held:
        for _ in range(transactions):
            client = held.enter_context(instance.connect("app", "app", server.password))
            client.execute("BEGIN")
        for _ in range(waiting):
            client = held.enter_context(instance.connect("app", "app", server.password))
            # Sent, and not waited for.
            client.pgconn.send_query(b"SELECT 1")
            client.pgconn.flush()
            held.callback(client.close)
        until(
            "the clients to wait",
            lambda: sum(p["cl_waiting"] for p in instance.console("SHOW POOLS")) == waiting,
            seconds=5,
            every=0.02,
        )
        yield


async def test_an_instance_that_nobody_uses(pools: PostgresPools, instance: PgBouncer) -> None:
    seen = await _console(pools, instance)
    assert seen.version == "1.18.0"
    assert seen.config_hash == "hash-1"
    assert (seen.clients_active, seen.clients_waiting, seen.servers_active, seen.servers_idle) == (0, 0, 0, 0)
    assert (seen.pool_size, seen.paused, seen.connections) == (5, False, ())
    # These are for full looks.
    assert (seen.transactions, seen.queries, seen.clients, dict(seen.settings)) == (None, None, None, {})


async def test_clients_that_wait(pools: PostgresPools, lasting: Postgres) -> None:
    ini = ini_for(lasting, default_pool_size=2)
    with pgbouncer(ini, userlist_for(lasting)) as instance, _busy(instance, lasting, transactions=2, waiting=3):
        first = await _console(pools, instance)
        second = await _console(pools, instance)
    assert (first.clients_active, first.clients_waiting) == (2, 3)
    assert (first.servers_active, first.servers_idle, first.servers_other, first.pool_size) == (2, 0, 0, 2)
    assert [c.state for c in first.connections] == ["active", "active"]
    assert 0 < first.longest_wait_seconds < second.longest_wait_seconds < 10


async def test_server_connections_and_when_they_were_made(
    pools: PostgresPools, instance: PgBouncer, lasting: Postgres
) -> None:
    began = datetime.now(UTC)
    with instance.connect("app", "app", lasting.password) as client:
        client.execute("SELECT 1")
    seen = await _console(pools, instance)
    (connection,) = seen.connections
    assert (seen.servers_active, seen.servers_idle) == (0, 1)
    assert (connection.database, connection.state, connection.address) == ("app", "idle", "127.0.0.1")
    assert not connection.closing
    # Shown in whole seconds.
    assert began - timedelta(seconds=2) <= connection.connected_at <= datetime.now(UTC)


async def test_the_time_of_another_zone(
    pools: PostgresPools, lasting: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "CET")
    with pgbouncer(ini_for(lasting), userlist_for(lasting)) as instance:
        with instance.connect("app", "app", lasting.password) as client:
            client.execute("SELECT 1")
        assert "CE" in instance.console("SHOW SERVERS")[0]["connect_time"]
        (connection,) = (await _console(pools, instance)).connections
    assert abs(datetime.now(UTC) - connection.connected_at) < timedelta(seconds=30)


async def test_a_full_look(pools: PostgresPools, instance: PgBouncer, lasting: Postgres) -> None:
    with instance.connect("app", "app", lasting.password) as client:
        for _ in range(3):
            client.execute("SELECT 1")
        console, through = await pools.instance(at(instance))
    seen: Console = answered(console)
    assert (seen.transactions, seen.queries) == (3, 3)
    assert seen.clients is not None
    assert seen.clients >= 2  # the client and ourselves
    assert seen.settings["default_pool_size"] == "5"
    assert seen.settings["auth_user"] == ""
    held: Through = answered(through)
    assert (held.role, held.address) == (ServerRole.PRIMARY, "127.0.0.1")
    assert held.connect_ms > 0
    assert held.query_ms > 0


async def test_a_look_that_is_not_full_does_not_go_through(pools: PostgresPools, instance: PgBouncer) -> None:
    _, through = await pools.instance(at(instance, full=False))
    assert through is None
    assert instance.console("SHOW SERVERS") == []


async def test_the_marker_follows_a_reload(pools: PostgresPools, instance: PgBouncer, lasting: Postgres) -> None:
    instance.write(ini_for(lasting, config_hash="hash-2"), userlist_for(lasting))
    assert (await _console(pools, instance)).config_hash == "hash-1"
    instance.console("RELOAD")
    assert (await _console(pools, instance)).config_hash == "hash-2"


async def test_a_console_without_a_marker(pools: PostgresPools, lasting: Postgres) -> None:
    ini = "\n".join(line for line in ini_for(lasting).splitlines() if not line.startswith("sophia-config"))
    with pgbouncer(ini, userlist_for(lasting)) as instance:
        assert (await _console(pools, instance)).config_hash is None


async def test_one_console_connection_for_all_looks(pools: PostgresPools, instance: PgBouncer) -> None:
    for _ in range(3):
        await _console(pools, instance)
    assert instance.log.count("login attempt: db=pgbouncer user=sophia-admin") == 1
    # Many at once take turns.
    await asyncio.gather(*(_console(pools, instance) for _ in range(5)))
    assert instance.log.count("login attempt: db=pgbouncer user=sophia-admin") == 1


async def test_an_instance_that_started_anew(pools: PostgresPools, instance: PgBouncer) -> None:
    await _console(pools, instance)
    instance.stop()
    down, _ = await pools.instance(at(instance, full=False))
    assert failed(down).fault is Fault.UNREACHABLE
    instance.start()
    assert (await _console(pools, instance)).version == "1.18.0"


async def test_a_restart_between_looks_is_no_failure(pools: PostgresPools, instance: PgBouncer) -> None:
    await _console(pools, instance)
    instance.stop()
    instance.start()
    assert (await _console(pools, instance)).version == "1.18.0"


async def test_an_instance_that_hangs(pools: PostgresPools, instance: PgBouncer) -> None:
    await _console(pools, instance)
    instance.freeze()
    began = time.monotonic()
    console, through = await pools.instance(at(instance, timeout_seconds=0.5))
    assert (failed(console).fault, failed(through).fault) == (Fault.TIMEOUT, Fault.TIMEOUT)
    assert time.monotonic() - began < 5
    instance.thaw()
    # An answer that came too late is not taken for that to the next question.
    assert (await _console(pools, instance)).pool_size == 5


async def test_a_look_that_is_cancelled_disturbs_no_later_one(pools: PostgresPools, instance: PgBouncer) -> None:
    await _console(pools, instance)
    instance.freeze()
    task = asyncio.ensure_future(_console(pools, instance))
    await asyncio.wait({task}, timeout=0.1)
    began = time.monotonic()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert time.monotonic() - began < 5
    instance.thaw()
    assert (await _console(pools, instance)).pool_size == 5


async def test_a_wrong_password_of_the_console(pools: PostgresPools, instance: PgBouncer) -> None:
    console, through = await pools.instance(at(instance, admin_password="not-the-password"))
    assert failed(console).fault is Fault.AUTHENTICATION_FAILED
    assert failed(through).fault is Fault.AUTHENTICATION_FAILED
    assert "not-the-password" not in failed(console).message


async def test_a_new_password_makes_a_new_connection(pools: PostgresPools, instance: PgBouncer) -> None:
    await _console(pools, instance)
    console, _ = await pools.instance(at(instance, admin_password="not-the-password", full=False))
    assert failed(console).fault is Fault.AUTHENTICATION_FAILED


async def test_a_console_that_clients_left_no_place_at(pools: PostgresPools, lasting: Postgres) -> None:
    with pgbouncer(ini_for(lasting, max_client_conn=3), userlist_for(lasting)) as instance, ExitStack() as held:
        await _console(pools, instance)
        for _ in range(2):
            held.enter_context(instance.connect("app", "app", lasting.password))
        console, through = await pools.instance(at(instance))
        assert answered(console).clients_active == 2
        assert failed(through).fault is Fault.TOO_MANY_CONNECTIONS


async def test_a_connection_that_is_not_used_is_closed(instance: PgBouncer) -> None:
    pools = PostgresPools(keep_seconds=0.2)
    try:
        await _console(pools, instance)
        async with asyncio.timeout(10):
            while "closing because: client" not in instance.log and "client close request" not in instance.log:
                await asyncio.sleep(0.02)
        assert (await _console(pools, instance)).pool_size == 5
        assert instance.log.count("login attempt: db=pgbouncer user=sophia-admin") == 2
    finally:
        await pools.close()


async def test_closing_ends_a_look(instance: PgBouncer) -> None:
    pools = PostgresPools()
    await _console(pools, instance)
    instance.freeze()
    look = asyncio.ensure_future(pools.instance(at(instance, full=False)))
    await asyncio.wait({look}, timeout=0.1)
    await pools.close()
    console, _ = await asyncio.wait_for(look, 1)
    assert failed(console).fault is Fault.UNREACHABLE
