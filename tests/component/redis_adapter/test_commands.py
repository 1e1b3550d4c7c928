"""Commands do to real nodes what they say."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import redis

from hack.rig.redis import RedisServer, replica_of
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD, CLIENT, CLIENT_PASSWORD
from hack.rig.waiting import until
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache import names
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.findings import Node, NodeCommand, NodeVerb
from tests.support.redis_requests import failed, seen, to


def _command(verb: NodeVerb, **settings: str) -> NodeCommand:
    words = tuple((name.replace("_", "-"), value) for name, value in settings.items())
    return NodeCommand("cache-0", verb, target="cache-1", settings=words)


async def _becomes(caches: RedisCaches, server: RedisServer, role: NodeRole) -> Node:
    async with asyncio.timeout(10):
        while (node := seen(await caches.node(to(server)))).role is not role:
            await asyncio.sleep(0.01)
    return node


async def test_a_node_hands_over_and_nothing_is_lost(caches: RedisCaches, fresh: RedisServer) -> None:
    with replica_of(fresh) as replica:
        fresh.call("SET", "key", "value")
        target = (replica.host, replica.port)
        assert await caches.command(to(fresh), _command(NodeVerb.HAND_OVER), target) is None
        await _becomes(caches, replica, NodeRole.PRIMARY)
        old = await _becomes(caches, fresh, NodeRole.REPLICA)
        assert (old.primary_host, old.primary_port) == target
        assert replica.call("GET", "key") == b"value"


async def test_a_hand_over_can_be_called_off(caches: RedisCaches, fresh: RedisServer) -> None:
    with replica_of(fresh) as replica:
        replica.suspend()
        # What the replica lacks, it does not get: so the node waits.
        fresh.call("SET", "key", "value")
        assert await caches.command(to(fresh), _command(NodeVerb.HAND_OVER), (replica.host, replica.port)) is None
        node = seen(await caches.node(to(fresh)))
        assert node.failover_state == "waiting-for-sync"
        assert (node.check_ms, node.check_failure) == (None, None), "writes are held back, which is no fault"
        assert await caches.command(to(fresh), _command(NodeVerb.CANCEL_HAND_OVER), None) is None
        assert seen(await caches.node(to(fresh))).failover_state == "no-failover"
        # There is nothing to call off any more, which is what was wanted.
        assert await caches.command(to(fresh), _command(NodeVerb.CANCEL_HAND_OVER), None) is None


async def test_a_node_that_is_to_follow_nobody_takes_no_writes(caches: RedisCaches, fresh: RedisServer) -> None:
    assert await caches.command(to(fresh), NodeCommand("cache-0", NodeVerb.FOLLOW), None) is None
    node = await _becomes(caches, fresh, NodeRole.REPLICA)
    assert (node.primary_host, node.primary_port, node.link_up) == (names.FENCE_HOST, names.FENCE_PORT, False)
    with pytest.raises(redis.exceptions.ReadOnlyError):
        fresh.call("SET", "key", "value")


async def test_a_node_that_is_to_follow_one_without_an_address_stays_what_it_is(
    caches: RedisCaches, fresh: RedisServer
) -> None:
    assert failed(await caches.command(to(fresh), _command(NodeVerb.FOLLOW), None)).fault is CacheFault.UNREACHABLE
    assert seen(await caches.node(to(fresh))).role is NodeRole.PRIMARY


async def test_a_node_refuses_to_hand_over_to_a_stranger(caches: RedisCaches, fresh: RedisServer) -> None:
    failure = failed(await caches.command(to(fresh), _command(NodeVerb.HAND_OVER), ("127.0.0.1", 1)))
    assert failure.fault is CacheFault.OTHER
    failure = failed(await caches.command(to(fresh), _command(NodeVerb.HAND_OVER), None))
    assert failure.fault is CacheFault.UNREACHABLE


async def test_a_node_is_promoted_and_another_one_follows(caches: RedisCaches, fresh: RedisServer) -> None:
    with replica_of(fresh) as replica:
        assert await caches.command(to(replica), _command(NodeVerb.PROMOTE), None) is None
        assert seen(await caches.node(to(replica))).role is NodeRole.PRIMARY
        target = (replica.host, replica.port)
        assert await caches.command(to(fresh), _command(NodeVerb.FOLLOW), target) is None
        old = seen(await caches.node(to(fresh)))
        assert (old.role, old.primary_host, old.primary_port) == (NodeRole.REPLICA, *target)


async def test_a_node_that_was_started_anew_is_given_no_command(caches: RedisCaches, fresh: RedisServer) -> None:
    with replica_of(fresh) as replica:
        seen(await caches.node(to(replica)))
        replica.restart()
        failure = failed(await caches.command(to(replica), _command(NodeVerb.PROMOTE), None))
        assert failure.fault is CacheFault.UNREACHABLE
        assert "started anew" in failure.message
        assert replica.info("replication")["role"] == "slave"
        # Once it was looked at, it is known what it holds.
        seen(await caches.node(to(replica)))
        assert await caches.command(to(replica), _command(NodeVerb.PROMOTE), None) is None


async def test_a_command_to_a_node_that_hangs(caches: RedisCaches, fresh: RedisServer) -> None:
    seen(await caches.node(to(fresh)))
    fresh.suspend()
    request = to(fresh, timeout_seconds=0.2)
    failure = failed(await caches.command(request, _command(NodeVerb.PROMOTE), None))
    assert failure.fault is CacheFault.TIMEOUT


async def test_settings_are_set_all_or_none(caches: RedisCaches, fresh: RedisServer) -> None:
    command = _command(NodeVerb.CONFIGURE, maxmemory="10000000", maxmemory_policy="allkeys-lru")
    assert await caches.command(to(fresh), command, None) is None
    names = ("maxmemory", "maxmemory-policy")
    both = {"maxmemory": "10000000", "maxmemory-policy": "allkeys-lru"}
    assert seen(await caches.node(to(fresh, settings=names))).settings == both
    wrong = _command(NodeVerb.CONFIGURE, maxmemory="20000000", maxmemory_policy="no-such-policy")
    assert failed(await caches.command(to(fresh), wrong, None)).fault is CacheFault.OTHER
    assert seen(await caches.node(to(fresh, settings=names))).settings == both
    assert await caches.command(to(fresh), _command(NodeVerb.CONFIGURE), None) is None


async def test_passwords_are_added_to_those_that_users_have_and_nobody_is_disconnected(
    caches: RedisCaches, fresh: RedisServer
) -> None:
    seen(await caches.node(to(fresh)))
    passwords = ((CLIENT, "new-client"), (ADMIN, "new-admin"), (names.REPLICATOR, "new-replica"))
    command = NodeCommand("cache-0", NodeVerb.ADD_PASSWORDS, passwords=passwords)
    assert "new-" not in repr(command)
    with fresh.client(CLIENT, CLIENT_PASSWORD, single_connection_client=True) as client:
        client.ping()
        assert await caches.command(to(fresh), command, None) is None
        assert client.ping(), "it keeps its connection"
    for user, password in ((CLIENT, CLIENT_PASSWORD), *passwords):
        with fresh.client(user, password) as client:
            assert client.ping()
    assert seen(await caches.node(to(fresh, password="new-admin", settings=("masterauth",)))).settings == {
        "masterauth": "new-replica"
    }
    wrong = to(fresh, password="neither")
    assert failed(await caches.command(wrong, command, None)).fault is CacheFault.AUTHENTICATION_FAILED


async def test_clients_are_disconnected_and_the_operator_is_not(caches: RedisCaches, fresh: RedisServer) -> None:
    seen(await caches.node(to(fresh)))
    watch = asyncio.ensure_future(caches.watch(to(fresh)))
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(fresh.client(user, password, single_connection_client=True))
            for user, password in ((CLIENT, CLIENT_PASSWORD), (ADMIN, ADMIN_PASSWORD), (CLIENT, CLIENT_PASSWORD))
        ]
        for client in clients:
            client.ping()
        async with asyncio.timeout(10):
            while b"cmd=subscribe" not in fresh.call("CLIENT", "LIST"):
                await asyncio.sleep(0.01)
        before = _operators(fresh)
        assert len(before) == 3, "one for looks, one for checks, and one that watches"
        assert await caches.command(to(fresh), _command(NodeVerb.DISCONNECT_CLIENTS), None) is None
        for client in clients:
            with pytest.raises(redis.ConnectionError):
                client.ping()
        assert before <= _operators(fresh)
        assert not watch.done()
    fresh.kill()
    await asyncio.wait_for(watch, 2)


def _operators(server: RedisServer) -> set[bytes]:
    """Identities of the operator's connections."""
    lines = server.call("CLIENT", "LIST").splitlines()
    return {line.split()[0] for line in lines if b"name=sophia-operator" in line}


async def test_a_user_that_may_not_say_so(caches: RedisCaches, lasting: RedisServer) -> None:
    request = to(lasting, username=CLIENT, password=CLIENT_PASSWORD)
    for verb in (NodeVerb.PROMOTE, NodeVerb.CANCEL_HAND_OVER, NodeVerb.DISCONNECT_CLIENTS):
        failure = failed(await caches.command(request, _command(verb), None))
        assert failure.fault is CacheFault.NO_PERMISSION, verb
        assert CLIENT_PASSWORD not in failure.message


async def test_a_primary_that_restarts_as_a_replica_has_its_data(caches: RedisCaches, fresh: RedisServer) -> None:
    fresh.call("SET", "key", "value")
    fresh.call("SAVE")
    fresh.kill()
    # Nobody answers there: it accepts no writes until it is promoted.
    fresh.settings["replicaof"] = "127.0.0.1 1"
    fresh.start()
    node = seen(await caches.node(to(fresh)))
    assert (node.role, node.link_up, node.keys) == (NodeRole.REPLICA, False, 1)
    until("to know its history", lambda: fresh.call("GET", "key") == b"value", seconds=10, every=0.01)
