"""Copies fill the generation of a new release."""

from __future__ import annotations

from dataclasses import replace

from hack.rig.redis import RedisServer
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.adapters.redis_keys import position
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.findings import CopyResult, CopyTask
from tests.component.redis_adapter.keys import all_keys, fill
from tests.support.paced_time import FakeTime
from tests.support.redis_requests import failed, to

TASK = CopyTask("", (("emb:g1r6:", "emb:g1r7:"),), keys_per_second=1_000_000, seconds=60.0)


async def copy_all(caches: RedisCaches, server: RedisServer, task: CopyTask) -> list[CopyResult]:
    """Parts of a warm-up to its end."""
    parts = [await caches.copy(to(server), task)]
    while (cursor := parts[-1].cursor) is not None:
        assert parts[-1].failure is None
        parts.append(await caches.copy(to(server), replace(task, cursor=cursor)))
    return parts


async def test_entries_are_copied_with_their_ttl(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:g1r6:%d" % number: b"value %d" % number for number in range(2_000)}, ttl=500)
    fill(lasting, {b"emb:g1r6:\xff\n*": b"odd", b"emb:g1r5:1": b"x", b"other:1": b"x"})
    lasting.call("HSET", "emb:g1r6:hash", "field", "value")
    parts = await copy_all(caches, lasting, replace(TASK, keys_per_second=20_000, seconds=0.05))
    assert len(parts) > 1
    assert sum(part.copied for part in parts) == 2_002
    with lasting.client() as client:
        assert client.get("emb:g1r7:77") == b"value 77"
        assert 400 < client.ttl("emb:g1r7:77") <= 500
        assert client.get(b"emb:g1r7:\xff\n*") == b"odd"
        assert client.ttl(b"emb:g1r7:\xff\n*") == -1
        assert client.hgetall("emb:g1r7:hash") == {b"field": b"value"}
    assert len([key for key in all_keys(lasting) if key.startswith(b"emb:g1r7:")]) == 2_002
    positions = [part.position for part in parts]
    assert positions == sorted(positions)
    assert positions[-1] == 1.0


async def test_what_is_there_stays(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:g1r6:1": b"old", b"emb:g1r6:2": b"old", b"emb:g1r7:1": b"new"})
    (part,) = await copy_all(caches, lasting, TASK)
    assert part.copied == 1
    assert lasting.call("GET", "emb:g1r7:1") == b"new"
    assert lasting.call("GET", "emb:g1r7:2") == b"old"


async def test_a_large_entry_is_left(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:g1r6:small": b"x", b"emb:g1r6:large": b"x" * 2_000_000})
    (part,) = await copy_all(caches, lasting, TASK)
    assert part.copied == 1
    assert lasting.call("EXISTS", "emb:g1r7:large") == 0


async def test_memory_that_is_full_ends_the_part(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:g1r6:%d" % number: b"x" for number in range(10)})
    lasting.call("CONFIG", "SET", "maxmemory", "1")
    try:
        result = await caches.copy(to(lasting), TASK)
    finally:
        lasting.call("CONFIG", "SET", "maxmemory", "0")
    assert failed(result.failure).fault is CacheFault.OUT_OF_MEMORY
    assert (result.cursor, result.position, result.copied) == ("0", 0.0, 0)


async def test_a_cursor_that_is_none(caches: RedisCaches, lasting: RedisServer) -> None:
    result = await caches.copy(to(lasting), replace(TASK, cursor="nonsense"))
    assert failed(result.failure).fault is CacheFault.OTHER
    assert result.position == 0.0


async def test_how_far_it_is(lasting: RedisServer) -> None:
    fill(lasting, {b"other:%d" % number: b"x" for number in range(20_000)})
    caches = RedisCaches(time=FakeTime().time())
    scanned, cursor = 0, ""
    while True:
        part = await caches.copy(to(lasting), replace(TASK, cursor=cursor, keys_per_second=200, seconds=1.0))
        scanned += part.scanned
        if part.cursor is None:
            break
        cursor = part.cursor
        assert abs(part.position - scanned / 20_000) < 0.1
    await caches.close()


def test_positions() -> None:
    assert position("0") == 0.0
    assert position("1") == 0.5
    assert position("2") == 0.25
    assert position("3") == 0.75
    assert position("") == 0.0
