"""Every way in which a node gives no answer, or refuses a write, for real."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from hack.cluster import pki
from hack.rig.postgres_base import free_port
from hack.rig.redis import RedisServer, replica_of, server
from hack.rig.redis_base import ADMIN_PASSWORD, USERS, Flavor
from hack.rig.waiting import until
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.findings import DeleteTask, NodeTls
from tests.support.redis_requests import failed, seen, to

_FLUSH = DeleteTask("", ("emb:*",), ("emb:",), 1_000, 1.0)


async def _check(caches: RedisCaches, running: RedisServer) -> tuple[CacheFault, str]:
    """Why the node, which answers, takes no writes."""
    failure = seen(await caches.node(to(running))).check_failure
    assert failure is not None
    return failure.fault, failure.message


@pytest.mark.parametrize(("username", "password"), [("sophia-admin", "wrong-word"), (None, "wrong-word")])
async def test_a_wrong_password(caches: RedisCaches, lasting: RedisServer, username: str | None, password: str) -> None:
    failure = failed(await caches.node(to(lasting, username=username, password=password)))
    assert failure.fault is CacheFault.AUTHENTICATION_FAILED
    assert password not in failure.message


async def test_no_password(caches: RedisCaches, lasting: RedisServer) -> None:
    failure = failed(await caches.node(to(lasting, username=None, password=None)))
    assert failure.fault is CacheFault.AUTHENTICATION_FAILED


async def test_a_password_where_none_is_wanted(caches: RedisCaches, flavor: Flavor) -> None:
    with server(flavor, users=("user default on nopass ~* &* +@all",)) as running:
        assert failed(await caches.node(to(running))).fault is CacheFault.AUTHENTICATION_FAILED
        assert seen(await caches.node(to(running, username=None, password=None))).check_failure is None


async def test_a_user_that_may_do_nothing(caches: RedisCaches, flavor: Flavor) -> None:
    users = (*USERS, "user nobody on >word", "user reader on >word ~emb:* +info +set +get +del")
    with server(flavor, users=users) as running:
        failure = failed(await caches.node(to(running, username="nobody", password="word")))
        assert failure.fault is CacheFault.NO_PERMISSION
        node = seen(await caches.node(to(running, username="reader", password="word")))
        assert node.check_failure is not None
        assert node.check_failure.fault is CacheFault.NO_PERMISSION


async def test_nobody_listens(caches: RedisCaches, lasting: RedisServer) -> None:
    failure = failed(await caches.node(to(lasting, port=free_port())))
    assert failure.fault is CacheFault.REFUSED
    assert "refused" in failure.message.lower()


async def test_a_node_that_was_killed(caches: RedisCaches, fresh: RedisServer) -> None:
    seen(await caches.node(to(fresh)))
    fresh.kill()
    assert failed(await caches.node(to(fresh))).fault is CacheFault.REFUSED


async def test_a_name_that_does_not_resolve(caches: RedisCaches, lasting: RedisServer) -> None:
    failure = failed(await caches.node(to(lasting, host="cache.invalid")))
    assert failure.fault is CacheFault.HOST_UNKNOWN
    assert failure.message.startswith("the name cache.invalid does not resolve: ")
    assert failed(await caches.node(to(lasting, host="a" * 64 + ".example"))).fault is CacheFault.HOST_UNKNOWN


@pytest.mark.parametrize("known", [False, True], ids=["new connection", "kept connection"])
async def test_a_node_that_hangs(caches: RedisCaches, fresh: RedisServer, known: bool) -> None:
    if known:
        seen(await caches.node(to(fresh)))
    fresh.suspend()
    began = time.monotonic()
    failure = failed(await caches.node(to(fresh, timeout_seconds=0.3)))
    assert failure.fault is CacheFault.TIMEOUT
    assert failure.message == "no answer within 0.3 s"
    assert time.monotonic() - began < 6
    fresh.resume()
    seen(await caches.node(to(fresh)))


async def test_an_address_that_hangs_hides_no_other_one(lasting: RedisServer) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    caches = RedisCaches(resolve=resolve)
    async with await asyncio.start_server(hang, "127.0.0.2", lasting.port):
        seen(await caches.node(to(lasting, host="cache.example", full=False, timeout_seconds=3.0)))
    await caches.close()
    caches = RedisCaches(resolve=resolve)
    # Nobody listens at the first one now.
    seen(await caches.node(to(lasting, host="cache.example")))
    await caches.close()


async def test_a_connection_that_is_closed_at_once(caches: RedisCaches, lasting: RedisServer) -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as closing:
        port = closing.sockets[0].getsockname()[1]
        assert failed(await caches.node(to(lasting, port=port))).fault is CacheFault.UNREACHABLE


async def test_something_else_listens(caches: RedisCaches, lasting: RedisServer) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as web:
        port = web.sockets[0].getsockname()[1]
        failure = failed(await caches.node(to(lasting, port=port)))
    assert failure.fault is CacheFault.OTHER


async def test_too_many_clients(caches: RedisCaches, fresh: RedisServer) -> None:
    fresh.call("CONFIG", "SET", "maxclients", "1")
    with fresh.client() as client:
        client.ping()
        failure = failed(await caches.node(to(fresh)))
    assert failure.fault is CacheFault.OTHER
    assert "max number of clients" in failure.message


async def test_memory_is_full(caches: RedisCaches, lasting: RedisServer) -> None:
    lasting.call("CONFIG", "SET", "maxmemory", "1")
    try:
        assert (await _check(caches, lasting))[0] is CacheFault.OUT_OF_MEMORY
    finally:
        lasting.call("CONFIG", "SET", "maxmemory", "0")


async def test_too_few_replicas(caches: RedisCaches, lasting: RedisServer) -> None:
    lasting.call("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        fault, message = await _check(caches, lasting)
    finally:
        lasting.call("CONFIG", "SET", "min-replicas-to-write", "0")
    assert fault is CacheFault.NO_REPLICAS
    assert "good replicas" in message


async def test_it_cannot_write_to_its_disk(caches: RedisCaches, fresh: RedisServer) -> None:
    fresh.call("CONFIG", "SET", "save", "3600 1")
    fresh.data.chmod(0o500)
    fresh.call("BGSAVE")
    until("the failure", lambda: fresh.info("persistence")["rdb_last_bgsave_status"] == "err", seconds=10, every=0.01)
    assert (await _check(caches, fresh))[0] is CacheFault.PERSISTENCE_FAILED


async def test_it_became_a_replica_since(caches: RedisCaches, fresh: RedisServer, lasting: RedisServer) -> None:
    with replica_of(fresh) as replica:
        assert (await caches.delete(to(replica), _FLUSH)).failure is None, "it has no keys"
        fresh.call("SET", "emb:g1:a", "x")
        until("the key", lambda: replica.call("DBSIZE") == 1, seconds=10, every=0.01)
        failure = (await caches.delete(to(replica), _FLUSH)).failure
        assert failed(failure).fault is CacheFault.READ_ONLY
        assert replica.call("DBSIZE") == 1


async def test_it_reads_its_data(caches: RedisCaches, flavor: Flavor) -> None:
    slow = {"key-load-delay": "2000", "loading-process-events-interval-bytes": "1024"}
    with server(flavor) as running:
        running.call("DEBUG", "POPULATE", 20_000)
        running.call("SAVE")
        running.kill()
        running.settings |= slow
        running.start(wait=False)
        node = None
        async with asyncio.timeout(20):
            while node is None:
                answer = await caches.node(to(running))
                node = None if hasattr(answer, "fault") else seen(answer)
        assert node.loading
        assert node.check_failure is not None
        assert node.check_failure.fault is CacheFault.LOADING
        failure = (await caches.delete(to(running), _FLUSH)).failure
        assert failed(failure).fault is CacheFault.LOADING


async def test_cluster_mode(caches: RedisCaches, flavor: Flavor) -> None:
    # Else it takes a port 10,000 above its own, which there may not be.
    with server(flavor, settings={"cluster-enabled": "yes", "cluster-port": str(free_port())}) as running:
        failure = failed(await caches.node(to(running)))
        assert failure.fault is CacheFault.OTHER
        assert "cluster mode" in failure.message


async def test_tls(caches: RedisCaches, flavor: Flavor, tmp_path: Path) -> None:
    another = pki.create(tmp_path, []).ca.read_text()
    with server(flavor, tls=True) as running:
        assert seen(await caches.node(to(running))).check_failure is None

        required = failed(await caches.node(to(running, tls=None)))
        assert required.fault is CacheFault.TLS_REQUIRED

        untrusted = failed(await caches.node(to(running, tls=NodeTls("localhost", another))))
        assert untrusted.fault is CacheFault.TLS_UNTRUSTED
        assert "certificate cannot be verified" in untrusted.message
        assert failed(await caches.node(to(running, tls=NodeTls("localhost")))).fault is CacheFault.TLS_UNTRUSTED

        named = failed(await caches.node(to(running, tls=NodeTls("cache.shop.svc", running.ca))))
        assert named.fault is CacheFault.TLS_UNTRUSTED
        assert "cache.shop.svc" in named.message

        for nonsense in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"):
            broken = failed(await caches.node(to(running, tls=NodeTls("localhost", nonsense))))
            assert broken.fault is CacheFault.TLS_UNTRUSTED
            assert broken.message.startswith("the certificates of the CA cannot be read")


async def test_tls_is_not_there(caches: RedisCaches, lasting: RedisServer) -> None:
    failure = failed(await caches.node(to(lasting, tls=NodeTls("localhost", lasting.ca), timeout_seconds=1.5)))
    assert failure.fault is CacheFault.TLS_UNAVAILABLE


async def test_a_certificate_of_the_client_is_wanted(caches: RedisCaches, flavor: Flavor) -> None:
    with server(flavor, tls=True, settings={"tls-auth-clients": "yes"}, start=False) as running:
        running.start(wait=False)
        async with asyncio.timeout(20):
            while (failure := failed(await caches.node(to(running)))).fault is CacheFault.REFUSED:
                await asyncio.sleep(0.01)
    # When the node resets the connection, its reason may get lost on the way.
    assert failure.fault in (CacheFault.AUTHENTICATION_FAILED, CacheFault.UNREACHABLE)
    assert ADMIN_PASSWORD not in failure.message
