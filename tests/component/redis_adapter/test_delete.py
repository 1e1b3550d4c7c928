"""A flush takes away what it is to take away, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hack.rig.redis import RedisServer
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.core.cache.findings import DeleteResult, DeleteTask
from tests.component.redis_adapter.keys import all_keys, fill
from tests.support.paced_time import FakeTime
from tests.support.redis_requests import to

TASK = DeleteTask("", ("*",), ("emb:",), keys_per_second=1_000_000, seconds=60.0)


async def delete_all(caches: RedisCaches, server: RedisServer, task: DeleteTask) -> list[DeleteResult]:
    """Parts of a flush to its end."""
    parts = [await caches.delete(to(server), task)]
    while (cursor := parts[-1].cursor) is not None:
        assert parts[-1].failure is None
        parts.append(await caches.delete(to(server), replace(task, cursor=cursor)))
    return parts


async def test_it_deletes_all_of_a_namespace_and_nothing_else(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:%d" % number: b"x" for number in range(5_000)})
    others = {b"other:%d" % number: b"x" for number in range(500)} | {b"emb": b"x", b"embed:1": b"x", b"Emb:1": b"x"}
    fill(lasting, others | {b"sophia-operator:check:1": b"x"})
    parts = await delete_all(caches, lasting, replace(TASK, keys_per_second=20_000, seconds=0.1))
    assert len(parts) > 1
    assert sum(part.deleted for part in parts) == 5_000
    assert all_keys(lasting) == {*others, b"sophia-operator:check:1"}


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        (("*",), ()),
        (("*",), ("",)),
        (("other:*", "*other*"), ("emb:",)),
        (("sophia-operator:*", "*"), ("sophia-operator:",)),
        ((), ("emb:", "other:")),
        (("emb:g[0",), ("emb:",)),
    ],
)
async def test_it_never_leaves_its_prefixes(
    caches: RedisCaches, lasting: RedisServer, patterns: tuple[str, ...], allowed: tuple[str, ...]
) -> None:
    keys = {b"emb:g1:a", b"other:1", b"sophia-operator:check:1", b""}
    fill(lasting, dict.fromkeys(keys, b"x"))
    (part,) = await delete_all(caches, lasting, replace(TASK, patterns=patterns, allowed=allowed))
    assert part.deleted == 0
    assert all_keys(lasting) == keys


async def test_patterns_are_those_of_redis(caches: RedisCaches, lasting: RedisServer) -> None:
    keys = [
        b"emb:g1:a", b"emb:g1:a*c", b"emb:g1:abc", b"emb:g1:[x]", b"emb:g1:x", b"emb:g1:line\nbreak",
        b"emb:g1:\xff\x00", b"emb:g1:a?c", b"emb:g1:\\", b"emb:g1:^", b"emb:g2:a", "emb:g1:ключ".encode(),
    ]  # fmt: skip
    patterns = (
        "emb:g1:a\\*c", "emb:g1:a*c", "emb:g1:\\[x\\]", "emb:g1:[x]", "emb:g1:*", "emb:g1:?", "emb:g1:[^a]", "emb:*:a",
        "emb:g1:line*break", "emb:g1:\\\\", "emb:g1:[\\^]", "emb:g1:клю?*", "emb:g1:[a-c]", "*a", "emb:g1:???",
    )  # fmt: skip
    for pattern in patterns:
        lasting.call("FLUSHALL")
        fill(lasting, dict.fromkeys(keys, b"x"))
        meant = set(lasting.call("KEYS", pattern))
        await delete_all(caches, lasting, replace(TASK, patterns=(pattern,)))
        assert set(keys) - all_keys(lasting) == meant, pattern


async def test_everything(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"anything:%d" % number: b"x" for number in range(500)})
    (part,) = await delete_all(caches, lasting, replace(TASK, patterns=(), allowed=(), everything=True))
    assert part.deleted == 500
    assert lasting.call("DBSIZE") == 0
    assert "cmdstat_flushall" in lasting.info("commandstats")


async def test_its_pace_and_its_batches(lasting: RedisServer) -> None:
    fill(lasting, {b"emb:%d" % number: b"x" for number in range(20_000)})
    lasting.call("CONFIG", "RESETSTAT")
    time = FakeTime()
    caches = RedisCaches(time=time.time())
    result = await caches.delete(to(lasting), replace(TASK, keys_per_second=10_000, seconds=1.0))
    await caches.close()
    assert result.deleted == result.scanned
    assert 9_000 < result.deleted <= 10_000 * time.at * 1.001
    assert result.cursor is not None
    calls = lasting.info("commandstats")["cmdstat_unlink"]["calls"]
    assert calls >= result.deleted / 100


async def test_keys_that_it_leaves_alone_count_a_tenth(lasting: RedisServer) -> None:
    fill(lasting, {b"other:%d" % number: b"x" for number in range(20_000)})
    time = FakeTime()
    caches = RedisCaches(time=time.time())
    result = await caches.delete(to(lasting), replace(TASK, keys_per_second=1_000, seconds=1.0))
    await caches.close()
    assert result.cursor is not None
    assert 9_000 < result.scanned <= 10_000 * time.at * 1.05


async def test_other_clients_are_served_between_batches(caches: RedisCaches, lasting: RedisServer) -> None:
    # What is written while the flush runs, and is no part of it, stays.
    fill(lasting, {b"emb:%d" % number: b"x" for number in range(3_000)})
    first = await caches.delete(to(lasting), replace(TASK, keys_per_second=5_000, seconds=0.1))
    assert first.cursor is not None
    fill(lasting, {b"other:%d" % number: b"x" for number in range(10)})
    await delete_all(caches, lasting, replace(TASK, cursor=first.cursor))
    assert {key.partition(b":")[0] for key in all_keys(lasting)} == {b"other"}
