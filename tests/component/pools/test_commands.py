"""Commands to a real PgBouncer, and what they do to clients and servers."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from hack.rig.pgbouncer import PgBouncer, ini_for, pgbouncer, userlist_for
from hack.rig.postgres import Postgres
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.core.pool.findings import Console, Failure, Fault, ServerRole, Through, Verb
from tests.support.postgres_requests import answered, at, failed, to


async def _console(pools: PostgresPools, instance: PgBouncer) -> Console:
    console, _ = await pools.instance(at(instance, full=False))
    seen: Console = answered(console)
    return seen


def _server_of(client: psycopg.Connection[tuple[object, ...]]) -> object:
    row = client.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return row[0]


async def test_reconnect_replaces_connections(pools: PostgresPools, instance: PgBouncer, lasting: Postgres) -> None:
    with instance.connect("app", "app", lasting.password) as client:
        before = _server_of(client)
        assert _server_of(client) == before
        assert await pools.command(at(instance), Verb.RECONNECT) is None
        assert _server_of(client) != before


async def test_reconnect_waits_for_a_transaction(pools: PostgresPools, instance: PgBouncer, lasting: Postgres) -> None:
    with instance.connect("app", "app", lasting.password) as client:
        client.execute("BEGIN")
        before = _server_of(client)
        assert await pools.command(at(instance), Verb.RECONNECT) is None
        assert _server_of(client) == before
        (connection,) = (await _console(pools, instance)).connections
        assert connection.closing
        client.execute("COMMIT")
        assert _server_of(client) != before


async def test_reconnect_replaces_what_checks_use(pools: PostgresPools, instance: PgBouncer) -> None:
    answered((await pools.instance(at(instance)))[1])
    (before,) = instance.console("SHOW SERVERS")
    assert before["database"] == "sophia-check"
    assert await pools.command(at(instance), Verb.RECONNECT) is None
    answered((await pools.instance(at(instance)))[1])
    # The one before is idle and may be closed a moment later.
    (after,) = (row for row in instance.console("SHOW SERVERS") if not row["close_needed"])
    assert after["remote_pid"] != before["remote_pid"]


async def test_checks_see_a_demoted_server(pools: PostgresPools, fresh: Postgres) -> None:
    with pgbouncer(ini_for(fresh), userlist_for(fresh)) as instance:
        _, through = await pools.instance(at(instance))
        before: Through = answered(through)
        direct = answered(await pools.server(to(fresh)))
        assert (before.role, before.identity) == (ServerRole.PRIMARY, direct.identity)
        fresh.demote()
        assert await pools.command(at(instance), Verb.RECONNECT) is None
        _, through = await pools.instance(at(instance))
        after: Through = answered(through)
        assert after.role is ServerRole.STANDBY
        assert after.identity == answered(await pools.server(to(fresh))).identity != before.identity


async def test_checks_through_an_instance_without_a_server(pools: PostgresPools, fresh: Postgres) -> None:
    with pgbouncer(ini_for(fresh), userlist_for(fresh)) as instance:
        fresh.kill()
        console, through = await pools.instance(at(instance, timeout_seconds=1.0))
        assert answered(console).servers_active == 0
        assert failed(through).fault in (Fault.TIMEOUT, Fault.UNREACHABLE)


async def test_checks_with_a_password_that_the_server_refuses(pools: PostgresPools, fresh: Postgres) -> None:
    with pgbouncer(ini_for(fresh), userlist_for(fresh)) as instance:
        fresh.sql("ALTER ROLE app PASSWORD 'another'")
        _, through = await pools.instance(at(instance))
        assert failed(through).fault is Fault.AUTHENTICATION_FAILED
        assert "another" not in failed(through).message
        assert fresh.password not in failed(through).message


async def test_kill_cuts_clients_off_until_resume(pools: PostgresPools, instance: PgBouncer, lasting: Postgres) -> None:
    with instance.connect("app", "app", lasting.password) as client:
        before = _server_of(client)
        assert await pools.command(at(instance), Verb.KILL) is None
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    seen = await _console(pools, instance)
    assert seen.paused
    assert seen.connections == ()
    # Given twice, it is carried out all the same.
    assert await pools.command(at(instance), Verb.KILL) is None
    assert await pools.command(at(instance), Verb.RESUME) is None
    assert not (await _console(pools, instance)).paused
    with instance.connect("app", "app", lasting.password) as client:
        assert _server_of(client) != before


async def test_pause_and_resume(pools: PostgresPools, instance: PgBouncer, lasting: Postgres) -> None:
    with instance.connect("app", "app", lasting.password) as client:
        client.execute("SELECT 1")
        assert await pools.command(at(instance), Verb.PAUSE) is None
        assert await pools.command(at(instance), Verb.PAUSE) is None
        assert (await _console(pools, instance)).paused
        waiting = asyncio.ensure_future(asyncio.to_thread(client.execute, "SELECT 7"))
        async with asyncio.timeout(5):
            while (await _console(pools, instance)).clients_waiting != 1:
                await asyncio.sleep(0.01)
        # Checks go on meanwhile.
        answered((await pools.instance(at(instance)))[1])
        assert await pools.command(at(instance), Verb.RESUME) is None
        assert (await waiting).fetchone() == (7,)
    assert not (await _console(pools, instance)).paused


async def test_resume_where_nothing_is_paused(pools: PostgresPools, instance: PgBouncer) -> None:
    assert await pools.command(at(instance), Verb.RESUME) is None
    # The console is asked on the same connection afterwards.
    assert not (await _console(pools, instance)).paused
    assert instance.log.count("login attempt: db=pgbouncer user=sophia-admin") == 1


async def test_pause_waits_for_a_transaction_and_looks_go_on(
    pools: PostgresPools, instance: PgBouncer, lasting: Postgres
) -> None:
    with instance.connect("app", "app", lasting.password) as client:
        client.execute("BEGIN")
        client.execute("SELECT 1")
        pause = asyncio.ensure_future(pools.command(at(instance), Verb.PAUSE))
        async with asyncio.timeout(2):
            while not (await _console(pools, instance)).paused:
                await asyncio.sleep(0.01)
        assert not pause.done()
        client.execute("COMMIT")
        assert await pause is None


async def test_a_pause_that_takes_too_long(pools: PostgresPools, instance: PgBouncer, lasting: Postgres) -> None:
    with instance.connect("app", "app", lasting.password) as client:
        client.execute("BEGIN")
        began = time.monotonic()
        answer = await pools.command(at(instance, timeout_seconds=0.4), Verb.PAUSE)
        assert answer == Failure(Fault.TIMEOUT, "no answer within 0.4 s")
        assert time.monotonic() - began < 5
        assert await pools.command(at(instance), Verb.RESUME) is None
        client.execute("COMMIT")


async def test_reload(pools: PostgresPools, instance: PgBouncer, lasting: Postgres) -> None:
    instance.write(ini_for(lasting, default_pool_size=7), userlist_for(lasting, other="rig-other-password"))
    assert await pools.command(at(instance), Verb.RELOAD) is None
    assert (await _console(pools, instance)).pool_size == 7
    with instance.connect("app", "other", "rig-other-password") as client:
        assert client.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("verb", [Verb.RECONNECT, Verb.PAUSE, Verb.RESUME, Verb.KILL])
async def test_a_database_that_is_not_configured(pools: PostgresPools, instance: PgBouncer, verb: Verb) -> None:
    failure = failed(await pools.command(at(instance, database="nope"), verb))
    assert failure == Failure(Fault.DATABASE_NOT_FOUND, "no such database: nope")


@pytest.mark.parametrize("name", ['a"b', "a b; SHUTDOWN", "A", 'x" "app', "'", "ä"])
async def test_any_name_is_only_a_name(pools: PostgresPools, instance: PgBouncer, name: str) -> None:
    failure = failed(await pools.command(at(instance, database=name), Verb.KILL))
    assert failure.message == f"no such database: {name}"
    assert not (await _console(pools, instance)).paused


async def test_a_name_that_needs_quotes(pools: PostgresPools, lasting: Postgres) -> None:
    with pgbouncer(ini_for(lasting, database="app-v1.2"), userlist_for(lasting)) as instance:
        assert await pools.command(at(instance, database="app-v1.2"), Verb.PAUSE) is None
        console, _ = await pools.instance(at(instance, database="app-v1.2"))
        assert answered(console).paused


async def test_no_instance(pools: PostgresPools, instance: PgBouncer) -> None:
    instance.stop()
    for verb in Verb:
        assert failed(await pools.command(at(instance), verb)).fault is Fault.UNREACHABLE
