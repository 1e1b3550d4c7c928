"""What the operator sees of a real server, on a connection of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hack.rig.postgres import Postgres, primary
from hack.rig.waiting import until
from sophia_operator.adapters import postgres_session
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.adapters.postgres import PostgresServers
from sophia_operator.api.connection_pool import SslMode
from sophia_operator.core.pool.findings import Backends, Server, ServerRole
from tests.support.postgres_requests import answered, failed, to


async def test_a_primary_and_its_limits(pools: PostgresPools) -> None:
    with primary(max_connections=42, superuser_reserved_connections="5") as server:
        seen: Server = answered(await pools.server(to(server)))
    assert seen.role is ServerRole.PRIMARY
    assert seen.version.startswith("15.")
    assert (seen.max_connections, seen.reserved_connections) == (42, 5)
    assert seen.address == "127.0.0.1"
    assert seen.lag_seconds is None
    assert 0 < seen.query_ms < seen.connect_ms + seen.query_ms < 5000


async def test_sessions_by_user_database_address_and_application(pools: PostgresPools, fresh: Postgres) -> None:
    url = f"host=127.0.0.1 port={fresh.port} dbname=app user=app password={fresh.password} application_name="
    with psycopg.connect(f"{url}shop-1"), psycopg.connect(f"{url}shop-2"), fresh.connect(database="postgres"):
        seen: Server = answered(await pools.server(to(fresh)))
    # A name for each session makes no difference.
    assert Backends("app", "app", "127.0.0.1", None, 2) in seen.backends
    # Our own is among them, so that it can be told from others'.
    assert Backends("app", "app", "127.0.0.1", "sophia-operator", 1) in seen.backends
    # The superuser's address is hidden from an ordinary user, and it connected by a socket besides.
    assert Backends("postgres", "postgres", None, None, 1) in seen.backends
    assert sum(b.count for b in seen.backends) == 4


async def test_workers_are_no_sessions(pools: PostgresPools, lasting: Postgres) -> None:
    # Neither replication nor a parallel query takes a place of those that max_connections has.
    url = f"host=127.0.0.1 port={lasting.port} dbname=app user=app password={lasting.password} application_name=many"
    with lasting.standby(), closing(psycopg.connect(url, autocommit=True)) as client:
        client.execute("SET force_parallel_mode = on")
        client.pgconn.send_query(b"SELECT pg_sleep(30)")
        client.pgconn.flush()
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'"
        until("the worker to start", lambda: lasting.sql(query) == [(1,)], seconds=10, every=0.02)
        seen: Server = answered(await pools.server(to(lasting)))
        client.cancel_safe()
        until("the worker to end", lambda: lasting.sql(query) == [(0,)], seconds=10, every=0.02)
    assert len(seen.backends) == 2
    assert {(b.application, b.count) for b in seen.backends} == {(None, 1), ("sophia-operator", 1)}


async def test_a_primary_that_takes_no_writes(pools: PostgresPools, fresh: Postgres) -> None:
    before: Server = answered(await pools.server(to(fresh)))
    fresh.set(default_transaction_read_only="on")
    seen: Server = answered(await pools.server(to(fresh)))
    assert seen.role is ServerRole.READ_ONLY_PRIMARY
    assert seen.identity == before.identity


async def test_a_standby_and_its_promotion(pools: PostgresPools, fresh: Postgres) -> None:
    with fresh.standby() as standby:
        before: Server = answered(await pools.server(to(standby)))
        again: Server = answered(await pools.server(to(standby)))
        source: Server = answered(await pools.server(to(fresh)))
        standby.promote()
        after: Server = answered(await pools.server(to(standby)))
    assert (before.role, after.role) == (ServerRole.STANDBY, ServerRole.PRIMARY)
    assert before.identity == again.identity
    assert len({source.identity, before.identity, after.identity}) == 3


async def test_a_restart_is_another_identity(pools: PostgresPools, fresh: Postgres) -> None:
    before: Server = answered(await pools.server(to(fresh)))
    fresh.restart()
    after: Server = answered(await pools.server(to(fresh)))
    assert after.role is before.role
    assert after.identity != before.identity


async def test_lag_of_a_standby(pools: PostgresPools, fresh: Postgres) -> None:
    with fresh.standby() as standby:
        fresh.sql("CREATE TABLE t (n int)")
        standby.wait_replayed(fresh)
        level: Server = answered(await pools.server(to(standby)))
        standby.sql("SELECT pg_wal_replay_pause()")
        state = "SELECT pg_get_wal_replay_pause_state()"
        until("the replay to be paused", lambda: standby.sql(state) == [("paused",)], seconds=20, every=0.05)
        fresh.sql("INSERT INTO t VALUES (1)")
        query = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
        until("the standby to trail behind", lambda: standby.sql(query) == [(True,)], seconds=20, every=0.05)
        first: Server = answered(await pools.server(to(standby)))
        second: Server = answered(await pools.server(to(standby)))
    assert level.lag_seconds == 0
    assert first.lag_seconds is not None
    assert second.lag_seconds is not None
    assert 0 < first.lag_seconds < second.lag_seconds < 60


async def test_lag_of_a_standby_that_has_replayed_nothing_yet(pools: PostgresPools, fresh: Postgres) -> None:
    with fresh.standby() as standby:
        standby.sql("SELECT pg_wal_replay_pause()")
        fresh.sql("CREATE TABLE t (n int)")
        query = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn(), pg_last_xact_replay_timestamp()"
        until("the standby to trail behind", lambda: standby.sql(query) == [(True, None)], seconds=20, every=0.05)
        seen: Server = answered(await pools.server(to(standby)))
    assert seen.lag_seconds is not None
    assert 0 < seen.lag_seconds < 60


@pytest.mark.parametrize("mode", SslMode)
async def test_each_way_of_encryption(pools: PostgresPools, lasting: Postgres, mode: SslMode) -> None:
    seen: Server = answered(await pools.server(to(lasting, ssl_mode=mode, ca=lasting.ca)))
    assert seen.role is ServerRole.PRIMARY


async def test_tls_is_what_the_mode_says(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.set(log_connections="on")
    answered(await pools.server(to(fresh, ssl_mode=SslMode.PREFER)))
    assert "SSL enabled" in fresh.log
    fresh.restart()
    (fresh.folder / "log").write_text("")
    answered(await pools.server(to(fresh, ssl_mode=SslMode.DISABLE)))
    assert "application_name=sophia-operator" in fresh.log
    assert "SSL enabled" not in fresh.log


async def test_the_first_address_that_answers_is_taken(lasting: Postgres) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("db.example", lasting.port)
        # Nobody listens at the first.
        return ["127.0.0.9", "127.0.0.1"]

    seen: Server = answered(await PostgresServers(resolve).server(to(lasting, host="db.example")))
    assert seen.address == "127.0.0.1"


async def test_an_address_that_swallows_everything_hides_no_other(lasting: Postgres) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.9", "127.0.0.1"]

    # The same port at another address takes connections and says nothing.
    with socket.create_server(("127.0.0.9", lasting.port)):
        request = to(lasting, host="db.example", timeout_seconds=8.0)
        seen: Server = answered(await PostgresServers(resolve).server(request))
    assert seen.address == "127.0.0.1"
    # The other one had half of the time, less what a busy machine took before; without it this takes a few ms.
    assert seen.connect_ms > 1_000


async def test_a_name_server_that_hangs_blocks_nothing(
    pools: PostgresPools, lasting: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    release = asyncio.get_running_loop().create_future()

    def hang(host: str, *rest: Any, **more: Any) -> Any:
        until("the test to end", release.done, seconds=20, every=0.01)
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    slow = asyncio.ensure_future(pools.server(to(lasting, host="localhost", timeout_seconds=3.0)))
    assert answered(await pools.server(to(lasting)))
    assert not slow.done()
    failure = failed(await slow)
    release.set_result(None)
    assert "the name localhost was not resolved within 3 s" in failure.message


async def test_the_certificates_stay_nowhere(
    pools: PostgresPools, lasting: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres_session, "_MEMORY", str(tmp_path))
    seen = await pools.server(to(lasting, ssl_mode=SslMode.VERIFY_FULL, ca=lasting.ca))
    assert isinstance(seen, Server)
    assert list(tmp_path.iterdir()) == []
