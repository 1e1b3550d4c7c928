"""A connection that stands idle and tells at once when the node goes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator

import pytest
import redis

from hack.rig.postgres_base import free_port
from hack.rig.redis import RedisServer
from hack.rig.redis_base import CLIENT, CLIENT_PASSWORD
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.core.cache.findings import NodeRequest
from tests.support.redis_requests import to

#: A connection that nobody closes is only found dead by its keepalives, twice as late.
_AT_ONCE_SECONDS = 5.0


@contextlib.asynccontextmanager
async def _watching(
    caches: RedisCaches, server: RedisServer, request: NodeRequest
) -> AsyncIterator[asyncio.Task[None]]:
    """A watch whose connection stands."""
    task = asyncio.ensure_future(caches.watch(request))
    await _until(server, 1)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(server: RedisServer, listeners: int) -> None:
    async with asyncio.timeout(10):
        while server.call("CLIENT", "LIST", "TYPE", "pubsub").count(b"name=sophia-operator") != listeners:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_it_returns_at_once_when_the_node_goes(
    caches: RedisCaches, fresh: RedisServer, how: signal.Signals
) -> None:
    async with _watching(caches, fresh, to(fresh)) as task:
        await asyncio.to_thread(fresh.stop, how)
        await asyncio.wait_for(task, _AT_ONCE_SECONDS)


async def test_it_returns_when_somebody_ends_it(caches: RedisCaches, lasting: RedisServer) -> None:
    async with _watching(caches, lasting, to(lasting)) as task:
        lasting.call("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.wait_for(task, _AT_ONCE_SECONDS)


async def test_it_stays_where_idle_clients_are_ended(caches: RedisCaches, fresh: RedisServer) -> None:
    fresh.call("CONFIG", "SET", "timeout", "1")
    async with _watching(caches, fresh, to(fresh)) as task:
        with fresh.client() as idle:
            idle.ping()
            connection = idle.connection_pool.get_connection()
            connection.send_command("PING")
            connection.read_response()
            # The node ends this one: it has looked for idle clients then.
            with pytest.raises(redis.ConnectionError, match="closed by server"):
                await asyncio.to_thread(connection.can_read, timeout=20)
        assert not task.done()


async def test_it_stands_without_a_right_to_listen(caches: RedisCaches, fresh: RedisServer) -> None:
    fresh.call("ACL", "SETUSER", CLIENT, "resetchannels", "-subscribe")
    task = asyncio.ensure_future(caches.watch(to(fresh, username=CLIENT, password=CLIENT_PASSWORD)))
    async with asyncio.timeout(10):
        # Whether or not it may listen, it asked to.
        while b"cmd=subscribe" not in fresh.call("CLIENT", "LIST"):
            await asyncio.sleep(0.01)
    done, _ = await asyncio.wait({task}, timeout=0.1)
    assert not done
    fresh.kill()
    await asyncio.wait_for(task, _AT_ONCE_SECONDS)


async def test_what_is_said_to_it_does_not_end_it(caches: RedisCaches, lasting: RedisServer) -> None:
    async with _watching(caches, lasting, to(lasting)) as task:
        assert lasting.call("PUBLISH", "sophia-operator:watch", "something") == 1
        done, _ = await asyncio.wait({task}, timeout=0.1)
        assert not done


async def test_it_stands_without_waking_anybody(caches: RedisCaches, lasting: RedisServer) -> None:
    async with _watching(caches, lasting, to(lasting)):
        before = time.process_time()
        await asyncio.sleep(0.5)
        # Two wake-ups of the loop would not show; a loop that spins, or polls every millisecond, does.
        assert time.process_time() - before < 0.05


async def test_a_cancelled_watch_leaves_nothing(caches: RedisCaches, lasting: RedisServer) -> None:
    async with _watching(caches, lasting, to(lasting)) as task:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until(lasting, 0)


async def test_it_returns_when_there_is_no_node(caches: RedisCaches, lasting: RedisServer) -> None:
    await asyncio.wait_for(caches.watch(to(lasting, port=free_port())), _AT_ONCE_SECONDS)


async def test_it_returns_when_the_node_does_not_answer(caches: RedisCaches, fresh: RedisServer) -> None:
    fresh.suspend()
    await asyncio.wait_for(caches.watch(to(fresh, timeout_seconds=0.2)), _AT_ONCE_SECONDS)


async def test_closing_ends_every_watch(lasting: RedisServer) -> None:
    caches = RedisCaches()
    async with _watching(caches, lasting, to(lasting)) as task:
        await caches.close()
        await asyncio.wait_for(task, _AT_ONCE_SECONDS)
        await _until(lasting, 0)


async def test_closing_ends_a_watch_that_connects(fresh: RedisServer) -> None:
    caches = RedisCaches()
    fresh.suspend()
    task = asyncio.ensure_future(caches.watch(to(fresh, timeout_seconds=60.0)))
    await asyncio.wait({task}, timeout=0.1)
    await caches.close()
    fresh.resume()
    await asyncio.wait_for(task, _AT_ONCE_SECONDS)
