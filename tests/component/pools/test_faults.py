"""Why there is no answer: each reason made by a real server."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import psycopg
import pytest

from hack.cluster import pki
from hack.rig.postgres import Postgres, primary
from hack.rig.postgres_base import free_port
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.adapters.postgres import PostgresServers
from sophia_operator.api.connection_pool import SslMode
from sophia_operator.core.pool.findings import Fault
from tests.support.postgres_requests import failed, to


async def test_a_wrong_password(pools: PostgresPools, lasting: Postgres) -> None:
    failure = failed(await pools.server(to(lasting, password="not-the-password")))
    assert failure.fault is Fault.AUTHENTICATION_FAILED
    # Said once, though libpq tries twice.
    assert failure.message.count('password authentication failed for user "app"') == 1
    assert "not-the-password" not in failure.message


async def test_a_user_that_is_not_there(pools: PostgresPools, lasting: Postgres) -> None:
    failure = failed(await pools.server(to(lasting, username="nobody-here")))
    assert failure.fault is Fault.AUTHENTICATION_FAILED


async def test_a_password_that_cannot_be_sent(pools: PostgresPools, lasting: Postgres) -> None:
    failure = failed(await pools.server(to(lasting, password="a\0' b")))
    assert failure.fault is Fault.AUTHENTICATION_FAILED
    assert "NUL" in failure.message


async def test_a_password_with_every_kind_of_quote(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.sql(r"""ALTER ROLE app PASSWORD 'a '' " \ = b'""")
    seen = await pools.server(to(fresh, password="""a ' " \\ = b"""))
    assert not hasattr(seen, "fault"), seen


async def test_a_database_that_is_not_there(pools: PostgresPools, lasting: Postgres) -> None:
    failure = failed(await pools.server(to(lasting, database="nope")))
    assert failure.fault is Fault.DATABASE_NOT_FOUND
    assert 'database "nope" does not exist' in failure.message


async def test_nobody_listens(pools: PostgresPools, lasting: Postgres) -> None:
    failure = failed(await pools.server(to(lasting, port=free_port())))
    assert failure.fault is Fault.UNREACHABLE
    assert failure.message.endswith("Connection refused")


async def test_a_name_that_does_not_resolve(pools: PostgresPools, lasting: Postgres) -> None:
    failure = failed(await pools.server(to(lasting, host="db.invalid")))
    assert failure.fault is Fault.HOST_UNKNOWN
    assert failure.message.startswith("the name db.invalid does not resolve: ")


async def test_a_name_that_is_none(pools: PostgresPools, lasting: Postgres) -> None:
    failure = failed(await pools.server(to(lasting, host="a" * 64 + ".example")))
    assert failure.fault is Fault.HOST_UNKNOWN


async def test_a_server_that_hangs(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.freeze()
    began = time.monotonic()
    failure = failed(await pools.server(to(fresh, timeout_seconds=0.5)))
    assert failure.fault is Fault.TIMEOUT
    assert failure.message == "no answer within 0.5 s"
    assert time.monotonic() - began < 6


async def test_a_server_that_hangs_in_the_middle(pools: PostgresPools, fresh: Postgres) -> None:
    # Connecting works, and so do the first queries; that for the sessions waits.
    fresh.sql("CREATE VIEW pg_stat_activity AS SELECT a.* FROM pg_catalog.pg_stat_activity a, pg_sleep(60)")
    fresh.sql("GRANT SELECT ON public.pg_stat_activity TO app")
    fresh.sql("ALTER ROLE app SET search_path = public, pg_catalog")
    began = time.monotonic()
    failure = failed(await pools.server(to(fresh, timeout_seconds=0.7)))
    assert failure.fault is Fault.TIMEOUT
    assert 0.6 < time.monotonic() - began < 6


async def test_tls_is_required(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.hba = ("hostssl all all all scram-sha-256",)
    fresh.reload()
    assert failed(await pools.server(to(fresh, ssl_mode=SslMode.DISABLE))).fault is Fault.TLS_REQUIRED
    assert not hasattr(await pools.server(to(fresh)), "fault")


async def test_a_client_that_the_server_does_not_list(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.hba = ()
    fresh.reload()
    failure = failed(await pools.server(to(fresh)))
    assert failure.fault is Fault.AUTHENTICATION_FAILED
    assert "no pg_hba.conf entry" in failure.message


async def test_tls_is_not_there(pools: PostgresPools) -> None:
    with primary(ssl="off") as server:
        for mode in (SslMode.REQUIRE, SslMode.VERIFY_FULL):
            failure = failed(await pools.server(to(server, ssl_mode=mode, ca=server.ca)))
            assert failure.fault is Fault.TLS_UNAVAILABLE
        assert not hasattr(await pools.server(to(server, ssl_mode=SslMode.PREFER)), "fault")


@pytest.fixture(scope="module")
def another_ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    return pki.create(tmp_path_factory.mktemp("pki"), []).ca.read_text()


async def test_a_certificate_of_somebody_else(pools: PostgresPools, lasting: Postgres, another_ca: str) -> None:
    for mode in (SslMode.VERIFY_CA, SslMode.VERIFY_FULL):
        failure = failed(await pools.server(to(lasting, ssl_mode=mode, ca=another_ca)))
        assert failure.fault is Fault.TLS_UNTRUSTED
        assert "certificate verify failed" in failure.message


async def test_a_certificate_for_another_name(pools: PostgresPools, lasting: Postgres) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    request = to(lasting, host="db.example", ssl_mode=SslMode.VERIFY_FULL, ca=lasting.ca)
    failure = failed(await PostgresServers(resolve).server(request))
    assert failure.fault is Fault.TLS_UNTRUSTED
    assert 'does not match host name "db.example"' in failure.message


async def test_certificates_that_are_none(pools: PostgresPools, lasting: Postgres) -> None:
    failure = failed(await pools.server(to(lasting, ssl_mode=SslMode.VERIFY_CA, ca="no certificate")))
    assert failure.fault is Fault.TLS_UNTRUSTED
    # What OpenSSL adds is what stands first in its queue of errors, which the process shares.
    assert "could not read the certificates of the CA" in failure.message


async def test_too_many_connections(pools: PostgresPools) -> None:
    with primary(max_connections=5, superuser_reserved_connections="1", max_wal_senders="1") as server:
        url = f"host=127.0.0.1 port={server.port} dbname=app user=app password={server.password}"
        with ExitStack() as held:
            for _ in range(4):
                held.enter_context(psycopg.connect(url))
            failure = failed(await pools.server(to(server)))
            assert failure.fault is Fault.TOO_MANY_CONNECTIONS
        server.sql("ALTER ROLE app CONNECTION LIMIT 0")
        assert failed(await pools.server(to(server))).fault is Fault.TOO_MANY_CONNECTIONS


async def test_a_server_that_shuts_down(pools: PostgresPools, fresh: Postgres) -> None:
    with psycopg.connect(f"host=127.0.0.1 port={fresh.port} dbname=app user=app password={fresh.password}"):
        assert fresh.process is not None
        # A smart shutdown waits for this client, and takes no other.
        fresh.process.terminate()
        for _ in range(100):
            answer = await pools.server(to(fresh))
            if hasattr(answer, "fault"):
                break
            await asyncio.sleep(0.02)
        assert failed(answer).fault is Fault.STARTING
        assert "the database system is shutting down" in failed(answer).message


async def test_a_standby_that_takes_no_readers(pools: PostgresPools, fresh: Postgres) -> None:
    with fresh.standby() as standby:
        standby.stop()
        standby.settings["hot_standby"] = "off"
        standby.start(wait=False)
        for _ in range(250):
            failure = failed(await pools.server(to(standby)))
            # Before that it may say that it is starting up.
            if "not accepting connections" in failure.message:
                break
            await asyncio.sleep(0.02)
        assert "not accepting connections" in failure.message
        assert failure.fault is Fault.STARTING


async def test_something_else_listens(pools: PostgresPools, lasting: Postgres) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as web:
        port = web.sockets[0].getsockname()[1]
        failure = failed(await pools.server(to(lasting, port=port)))
    assert failure.fault is Fault.OTHER
    assert "invalid response" in failure.message
