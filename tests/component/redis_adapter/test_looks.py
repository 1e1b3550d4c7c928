"""What a look at a real node finds."""

from __future__ import annotations

import asyncio

from hack.rig.redis import RedisServer, replica_of
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD, CLIENT, CLIENT_PASSWORD, Flavor
from hack.rig.waiting import until
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache.faults import CacheFault
from tests.support.redis_requests import failed, seen, to


async def test_a_primary(caches: RedisCaches, lasting: RedisServer, flavor: Flavor) -> None:
    lasting.call("SET", "key", "value")
    lasting.call("GET", "nothing")
    settings = ("maxmemory", "maxmemory-policy", "no-such-setting")
    info = lasting.info()
    node = seen(await caches.node(to(lasting, settings=settings)))
    assert node.role is NodeRole.PRIMARY
    assert node.version == f"{flavor} {info[f'{flavor}_version']}"
    assert node.run_id == info["run_id"]
    assert node.replication_id == info["master_replid"]
    assert node.keys == 1
    assert node.misses >= 1
    assert node.used_memory > 100_000
    assert node.clients >= 1
    assert not node.loading
    assert node.failover_state == "no-failover"
    assert node.settings == {"maxmemory": "0", "maxmemory-policy": "noeviction"}
    assert (node.primary_host, node.primary_port, node.link_down_seconds, node.link_idle_seconds) == (None,) * 4
    assert node.ping_ms > 0
    assert node.check_ms is not None
    assert node.check_failure is None
    assert lasting.call("DBSIZE") == 1, "the check leaves no key"


async def test_a_look_that_is_not_full_writes_nothing(caches: RedisCaches, lasting: RedisServer) -> None:
    before = lasting.info("commandstats").get("cmdstat_set")
    node = seen(await caches.node(to(lasting, full=False)))
    assert node.check_ms is None
    assert lasting.info("commandstats").get("cmdstat_set") == before


async def test_a_replica_and_its_primary(caches: RedisCaches, fresh: RedisServer) -> None:
    with replica_of(fresh) as replica:
        fresh.call("SET", "key", "value")
        until("the key", lambda: replica.call("GET", "key") == b"value", seconds=10, every=0.01)
        primary = seen(await caches.node(to(fresh)))
        (link,) = primary.replicas
        assert (link.address, link.port, link.online) == (replica.host, replica.port, True)
        assert 0 <= link.lag_seconds <= 2
        node = seen(await caches.node(to(replica)))
        assert node.role is NodeRole.REPLICA
        assert (node.primary_host, node.primary_port) == (fresh.host, fresh.port)
        assert node.link_up
        assert node.link_down_seconds is None
        assert node.link_idle_seconds is not None
        assert node.replication_id == primary.replication_id
        assert 0 < primary.offset <= node.offset
        assert (node.check_ms, node.check_failure) == (None, None), "nothing is written to a replica"


async def test_a_replica_that_lost_its_primary(caches: RedisCaches, fresh: RedisServer) -> None:
    with replica_of(fresh) as replica:
        fresh.call("SET", "key", "value")
        until("the key", lambda: replica.call("GET", "key") == b"value", seconds=10, every=0.01)
        before = seen(await caches.node(to(fresh)))
        fresh.kill()
        until("to notice", lambda: replica.info("replication")["master_link_status"] == "down", seconds=10, every=0.01)
        node = seen(await caches.node(to(replica)))
        assert not node.link_up
        assert node.link_down_seconds is not None
        assert node.replication_id == before.replication_id
        assert node.offset >= before.offset, "it is known how far it holds its history"


async def test_it_keeps_one_connection_for_looks_and_one_for_checks(caches: RedisCaches, lasting: RedisServer) -> None:
    before = lasting.info("stats")["total_connections_received"]
    for _ in range(5):
        seen(await caches.node(to(lasting)))
    # Each of our own questions is a connection as well.
    assert lasting.info("stats")["total_connections_received"] - before == 2 + 1


async def test_a_connection_that_is_not_used_is_closed(lasting: RedisServer) -> None:
    caches = RedisCaches(keep_seconds=0.01)
    seen(await caches.node(to(lasting, full=False)))
    # The loop, which would close it, does not go on while the server is asked.
    assert _ours(lasting) == 1
    async with asyncio.timeout(10):
        while _ours(lasting):
            await asyncio.sleep(0.01)
    assert seen(await caches.node(to(lasting))).check_failure is None
    await caches.close()


async def test_a_node_that_was_started_anew_is_looked_at_at_once(caches: RedisCaches, fresh: RedisServer) -> None:
    first = seen(await caches.node(to(fresh)))
    fresh.restart()
    second = seen(await caches.node(to(fresh)))
    assert first.run_id != second.run_id
    assert second.check_failure is None


async def test_a_new_password_is_used_from_the_next_look_on(caches: RedisCaches, fresh: RedisServer) -> None:
    seen(await caches.node(to(fresh)))
    fresh.call("ACL", "SETUSER", ADMIN, "resetpass", ">another")
    assert seen(await caches.node(to(fresh, password="another"))).check_failure is None
    assert failed(await caches.node(to(fresh, password=ADMIN_PASSWORD))).fault.value == "AuthenticationFailed"


async def test_writes_that_are_held_back_hold_up_no_look(caches: RedisCaches, lasting: RedisServer) -> None:
    lasting.call("CLIENT", "PAUSE", 60_000, "WRITE")
    try:
        node = seen(await caches.node(to(lasting, timeout_seconds=0.3)))
        assert node.check_failure is not None
        assert node.check_failure.fault.value == "Timeout"
        assert node.check_ms is None
    finally:
        lasting.call("CLIENT", "UNPAUSE")
    assert seen(await caches.node(to(lasting))).check_failure is None


async def test_a_user_that_may_not_read_settings(caches: RedisCaches, lasting: RedisServer) -> None:
    request = to(lasting, username=CLIENT, password=CLIENT_PASSWORD, settings=("maxmemory",))
    node = seen(await caches.node(request))
    assert node.settings == {}
    assert node.check_failure is None


async def test_closing_ends_every_connection(lasting: RedisServer) -> None:
    caches = RedisCaches()
    seen(await caches.node(to(lasting)))
    assert _ours(lasting) == 2
    await caches.close()
    async with asyncio.timeout(10):
        while _ours(lasting):
            await asyncio.sleep(0.01)


async def test_closing_ends_a_look_that_hangs(fresh: RedisServer) -> None:
    caches = RedisCaches()
    seen(await caches.node(to(fresh)))
    fresh.suspend()
    look = asyncio.ensure_future(caches.node(to(fresh)))
    await asyncio.wait({look}, timeout=0.1)
    await caches.close()
    assert failed(await asyncio.wait_for(look, 5)).fault is CacheFault.UNREACHABLE


def _ours(server: RedisServer) -> int:
    return int(server.call("CLIENT", "LIST").count(b"name=sophia-operator"))
