"""Scans count, measure, give TTLs and evict, on real servers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from hack.rig.redis import RedisServer
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.findings import CopyTask, NamespaceCount, NamespaceRule, ScanResult, ScanTask
from tests.component.redis_adapter.keys import all_keys, ask_all, fill
from tests.support.paced_time import FakeTime
from tests.support.redis_requests import failed, seen, to

EMB = NamespaceRule("embeddings", "emb:", ttl_seconds=3_600)
SEARCH = NamespaceRule("search", "search:", ttl_seconds=60)
TASK = ScanTask("", (EMB, SEARCH), keys_per_second=1_000_000, sample=1.0, seconds=60.0)


async def scan_all(caches: RedisCaches, server: RedisServer, task: ScanTask) -> list[ScanResult]:
    """Parts of a scan to its end."""
    parts = [await caches.scan(to(server), task)]
    while (cursor := parts[-1].cursor) is not None:
        assert parts[-1].failure is None
        parts.append(await caches.scan(to(server), replace(task, cursor=cursor)))
    return parts


def of(parts: list[ScanResult], name: str) -> NamespaceCount:
    """What all parts counted of a namespace."""
    counts = [part.namespaces[name] for part in parts]
    idle: Counter[int] = Counter()
    generations: Counter[str] = Counter()
    for count in counts:
        idle.update(count.idle)
        generations.update(count.generations)
    numbers = ("keys", "without_ttl", "ttls_given", "evicted", "sampled", "sampled_bytes")
    sums = {number: sum(getattr(count, number) for count in counts) for number in numbers}
    return NamespaceCount(**sums, idle=dict(idle), generations=dict(generations))


async def test_it_counts_every_key_and_measures_a_sample(caches: RedisCaches, lasting: RedisServer) -> None:
    emb = {b"emb:g1:%d" % number: b"x" * (number % 40 * 50 + 10) for number in range(20_000)}
    others = {b"other:%d" % number: b"x" for number in range(300)} | {b"embedded": b"x", b"emb": b"x"}
    fill(lasting, emb | {b"search:g1:%d" % number: b"x" for number in range(700)} | others)
    fill(lasting, {b"sophia-operator:check:0123": b"x"})
    parts = await scan_all(caches, lasting, replace(TASK, sample=0.1, keys_per_second=20_000, seconds=0.2))
    assert len(parts) > 2, "it goes on where it was"
    assert sum(part.scanned for part in parts) == 21_002
    assert sum(part.unclaimed for part in parts) == 302
    found = of(parts, "embeddings")
    assert found.keys == 20_000
    assert of(parts, "search").keys == 700
    assert 1_600 < found.sampled < 2_400
    truth = sum(ask_all(lasting, [("MEMORY", "USAGE", key) for key in emb]))
    estimate = found.sampled_bytes / found.sampled * found.keys
    assert abs(estimate - truth) < truth / 10
    assert sum(found.idle.values()) == found.sampled_bytes


async def test_a_rule_has_a_sample_of_its_own(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:%d" % number: b"x" for number in range(500)})
    fill(lasting, {b"search:%d" % number: b"x" for number in range(500)})
    rules = (replace(EMB, sample=1.0), SEARCH)
    parts = await scan_all(caches, lasting, replace(TASK, rules=rules, sample=0.0))
    assert of(parts, "embeddings").sampled == 500
    assert of(parts, "search").sampled == 0


async def test_ttls_are_given_where_there_is_none(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:none:%d" % number: b"x" for number in range(300)})
    fill(lasting, {b"emb:some:%d" % number: b"x" for number in range(300)}, ttl=77)
    fill(lasting, {b"other:%d" % number: b"x" for number in range(50)})
    found = of(await scan_all(caches, lasting, TASK), "embeddings")
    assert (found.keys, found.without_ttl, found.ttls_given) == (600, 300, 300)
    with lasting.client() as client:
        ttls = {key: client.ttl(key) for key in all_keys(lasting)}
    assert all(3_500 < ttl <= 3_600 for key, ttl in ttls.items() if key.startswith(b"emb:none"))
    assert all(0 < ttl <= 77 for key, ttl in ttls.items() if key.startswith(b"emb:some"))
    assert all(ttl == -1 for key, ttl in ttls.items() if key.startswith(b"other"))
    again = of(await scan_all(caches, lasting, TASK), "embeddings")
    assert (again.keys, again.without_ttl, again.ttls_given) == (600, 0, 0)


async def test_a_ttl_that_somebody_gives_meanwhile_stays(caches: RedisCaches, fresh: RedisServer) -> None:
    fill(fresh, {b"emb:1": b"x"})
    fresh.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
    await scan_all(caches, fresh, TASK)
    with fresh.client() as client:
        given = [entry["command"] for entry in client.slowlog_get(128) if entry["command"].startswith(b"EXPIRE")]
    assert given == [b"EXPIRE emb:1 3600 NX"]


async def test_the_longest_prefix_claims_a_key(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"a:1": b"x", b"a:b:1": b"x", b"a:b:2": b"x"})
    rules = (NamespaceRule("outer", "a:", 60), NamespaceRule("inner", "a:b:", 60))
    parts = await scan_all(caches, lasting, replace(TASK, rules=rules))
    assert (of(parts, "outer").keys, of(parts, "inner").keys) == (1, 2)


async def test_generations_are_counted(caches: RedisCaches, lasting: RedisServer) -> None:
    names = {b"g1": 3, b"g2": 5, b"g2r7": 2, b"g": 1, b"gx": 1, b"G1": 1, b"g1r": 1, b"r1": 1, b"g1 ": 1}
    fill(lasting, {b"emb:%s:%d" % (name, number): b"x" for name, many in names.items() for number in range(many)})
    fill(lasting, {b"emb:g1": b"x", b"emb:": b"x"})
    found = of(await scan_all(caches, lasting, TASK), "embeddings")
    assert found.generations == {"g1": 4, "g2": 5, "g2r7": 2}
    assert found.keys == 18


async def test_at_most_64_generations_are_counted(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:g%d:x" % number: b"x" for number in range(100)})
    found = of(await scan_all(caches, lasting, TASK), "embeddings")
    assert len(found.generations) == 64
    assert found.keys == 100


async def test_keys_are_bytes(caches: RedisCaches, lasting: RedisServer) -> None:
    odd = {b"emb:\n", b"emb:\x00\xff\xfe", b"emb: *?[a]\\", "emb:ключ".encode(), b"emb:\r\n$3\r\nfoo"}
    fill(lasting, dict.fromkeys(odd, b"x"))
    found = of(await scan_all(caches, lasting, TASK), "embeddings")
    assert (found.keys, found.ttls_given, found.sampled) == (5, 5, 5)


async def test_what_was_idle_for_long_is_evicted(caches: RedisCaches, lasting: RedisServer) -> None:
    _fill_idle(lasting, {b"emb:old:%d" % number: 5_000 for number in range(150)})
    _fill_idle(lasting, {b"emb:mid:%d" % number: 900 for number in range(150)}, ttl=500)
    _fill_idle(lasting, {b"search:old:%d" % number: 5_000 for number in range(150)}, ttl=500)
    _fill_idle(lasting, {b"other:%d" % number: 5_000 for number in range(150)})
    rules = (replace(EMB, evict_idle_seconds=1_024), SEARCH)
    parts = await scan_all(caches, lasting, replace(TASK, rules=rules))
    found = of(parts, "embeddings")
    assert (found.evicted, found.keys, found.ttls_given) == (150, 150, 0)
    assert set(found.idle) == {512}
    assert of(parts, "search").evicted == 0
    assert set(of(parts, "search").idle) == {4_096}
    left = Counter(key.rpartition(b":")[0] for key in all_keys(lasting))
    assert left == {b"emb:mid": 150, b"search:old": 150, b"other": 150}


async def test_no_more_is_evicted_than_is_to_be(caches: RedisCaches, lasting: RedisServer) -> None:
    _fill_idle(lasting, {b"emb:old:%d" % number: 5_000 for number in range(500)})
    size = lasting.call("MEMORY", "USAGE", "emb:old:100")
    # Names of keys are of different lengths: about 120 of them.
    rules = (replace(EMB, evict_idle_seconds=1_024, evict_bytes=120 * size),)
    (part,) = await scan_all(caches, lasting, replace(TASK, rules=rules))
    found = part.namespaces["embeddings"]
    assert 118 <= found.evicted <= 124
    assert 120 * size <= found.evicted_bytes < 121 * size
    assert lasting.call("DBSIZE") == found.keys == 500 - found.evicted


@pytest.mark.parametrize("share", [0.25, 0.0, 1.0])
async def test_a_share_of_those_at_the_threshold_is_evicted(
    caches: RedisCaches, lasting: RedisServer, share: float
) -> None:
    for name, idle in ((b"old", 5_000), (b"mid", 1_200), (b"new", 500)):
        _fill_idle(lasting, {b"emb:%s:%d" % (name, number): idle for number in range(1_000)}, ttl=500)
    rules = (replace(EMB, evict_idle_seconds=1_024, evict_share=share),)
    await scan_all(caches, lasting, replace(TASK, rules=rules))
    left = Counter(key.rpartition(b":")[0] for key in all_keys(lasting))
    assert (left[b"emb:old"], left[b"emb:new"]) == (0, 1_000)
    assert abs(left[b"emb:mid"] - 1_000 * (1 - share)) < 100
    assert share == 0.25 or left[b"emb:mid"] in (0, 1_000)


async def test_what_is_older_finds_room_wherever_it_is(caches: RedisCaches, lasting: RedisServer) -> None:
    for name, idle in ((b"old", 5_000), (b"mid", 1_200)):
        _fill_idle(lasting, {b"emb:%s:%d" % (name, number): idle for number in range(1_000)}, ttl=500)
    size = lasting.call("MEMORY", "USAGE", "emb:old:100")
    rules = (replace(EMB, evict_idle_seconds=1_024, evict_bytes=1_200 * size, evict_share_bytes=200 * size),)
    (part,) = await scan_all(caches, lasting, replace(TASK, rules=rules))
    left = Counter(key.rpartition(b":")[0] for key in all_keys(lasting))
    assert left[b"emb:old"] == 0
    assert 795 <= left[b"emb:mid"] <= 802
    assert 200 * size <= part.namespaces["embeddings"].evicted_share_bytes < 201 * size


async def test_a_ttl_that_is_given_makes_a_key_young_and_it_counts_as_such(
    caches: RedisCaches, lasting: RedisServer
) -> None:
    _fill_idle(lasting, {b"emb:none:%d" % number: 5_000 for number in range(50)})
    waits = (replace(EMB, gives_ttls=False),)
    left = of(await scan_all(caches, lasting, replace(TASK, rules=waits)), "embeddings")
    assert (left.without_ttl, left.ttls_given, set(left.idle)) == (50, 0, {4_096})
    given = of(await scan_all(caches, lasting, TASK), "embeddings")
    assert (given.without_ttl, given.ttls_given, set(given.idle)) == (50, 50, {0})
    assert lasting.call("OBJECT", "IDLETIME", "emb:none:1") < 60, "so says Redis"


def _fill_idle(server: RedisServer, entries: dict[bytes, int], *, ttl: int = 0) -> None:
    """Keys that were idle for so many seconds."""
    dump = server.call("DUMP", "template") if server.call("SET", "template", "x") else b""
    server.call("DEL", "template")
    ask_all(
        server,
        [(b"RESTORE", key, b"%d" % (ttl * 1_000), dump, b"IDLETIME", b"%d" % idle) for key, idle in entries.items()],
    )


async def test_without_idle_times_it_measures_memory_all_the_same(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:%d" % number: b"x" for number in range(50)})
    lasting.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    try:
        rules = (replace(EMB, evict_idle_seconds=0),)
        (part,) = await scan_all(caches, lasting, replace(TASK, rules=rules))
    finally:
        lasting.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    found = part.namespaces["embeddings"]
    assert (found.sampled, found.idle, found.evicted) == (50, {}, 0)


async def test_looking_at_keys_keeps_none_of_them_young(caches: RedisCaches, lasting: RedisServer) -> None:
    _fill_idle(lasting, {b"search:old:%d" % number: 5_000 for number in range(50)}, ttl=500)
    for _ in range(3):
        found = of(await scan_all(caches, lasting, TASK), "search")
        assert (found.keys, set(found.idle)) == (50, {4_096})


async def test_a_scan_is_no_use_of_the_cache(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:%d" % number: b"x" for number in range(1_000)})
    before = seen(await caches.node(to(lasting)))
    rules = (replace(EMB, evict_idle_seconds=10_000), SEARCH)
    await scan_all(caches, lasting, replace(TASK, rules=rules, sample=0.5))
    await caches.copy(to(lasting), CopyTask("", (("emb:", "emb2:"),), 1_000_000, 60.0))
    assert lasting.info("stats")["keyspace_hits"] > before.hits + 3_000, "Redis says that it is"
    ask_all(lasting, [("GET", "emb:1"), ("GET", "nothing"), ("GET", "nothing")])
    after = seen(await caches.node(to(lasting)))
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 2)


async def test_an_empty_server(caches: RedisCaches, lasting: RedisServer) -> None:
    (part,) = await scan_all(caches, lasting, TASK)
    assert (part.scanned, part.unclaimed, part.failure) == (0, 0, None)
    assert part.namespaces == {"embeddings": NamespaceCount(), "search": NamespaceCount()}


async def test_a_cursor_that_is_none(caches: RedisCaches, lasting: RedisServer) -> None:
    result = await caches.scan(to(lasting), replace(TASK, cursor="nonsense"))
    assert failed(result.failure).fault is CacheFault.OTHER
    assert "'nonsense'" in failed(result.failure).message


async def test_a_part_that_fails_says_where_to_go_on(fresh: RedisServer) -> None:
    fill(fresh, {b"emb:%d" % number: b"x" for number in range(2_000)})

    class Breaking(FakeTime):
        async def _sleep(self, seconds: float) -> None:
            await super()._sleep(seconds)
            if len(self.waits) == 3:
                fresh.kill()

    caches = RedisCaches(time=Breaking().time())
    result = await caches.scan(to(fresh), replace(TASK, keys_per_second=2_000))
    await caches.close()
    assert failed(result.failure).fault is CacheFault.REFUSED
    assert result.cursor not in (None, "", "0")
    assert 250 < result.scanned < 600
    assert result.namespaces["embeddings"].keys == result.scanned


async def test_a_node_that_hangs_ends_the_part(caches: RedisCaches, fresh: RedisServer) -> None:
    fresh.suspend()
    result = await caches.scan(to(fresh, timeout_seconds=0.2), TASK)
    assert failed(result.failure).fault is CacheFault.TIMEOUT
    assert result.cursor == "0"


@pytest.mark.parametrize("per_second", [100, 1_000, 10_000])
async def test_its_pace(lasting: RedisServer, per_second: int) -> None:
    fill(lasting, {b"emb:%d" % number: b"x" for number in range(30_000)})
    time = FakeTime()
    caches = RedisCaches(time=time.time())
    result = await caches.scan(to(lasting), replace(TASK, keys_per_second=per_second, seconds=1.0))
    await caches.close()
    # A batch may bring a few keys more than were asked for, and is waited for.
    assert abs(result.scanned - per_second) <= per_second * 0.1 + 5
    assert result.scanned <= per_second * time.at * 1.001
    assert 1.0 <= time.at <= 1.1
    assert max(time.waits) <= 0.1, "spread evenly: no burst, and no long pause"
    assert result.seconds == time.at


async def test_a_slow_node_is_not_made_up_for(lasting: RedisServer) -> None:
    fill(lasting, {b"emb:%d" % number: b"x" for number in range(30_000)})
    time = FakeTime()
    time.costs = 0.2
    caches = RedisCaches(time=time.time())
    result = await caches.scan(to(lasting), replace(TASK, keys_per_second=1_000, seconds=2.0))
    await caches.close()
    # Each batch of 50 keys took 0.2 s beside its own pace, so no more than a handful of batches were done.
    assert result.scanned < 700
    assert min(time.waits) > 0


async def test_it_is_made_of_short_commands(caches: RedisCaches, lasting: RedisServer) -> None:
    fill(lasting, {b"emb:%d" % number: b"x" * 100 for number in range(20_000)})
    lasting.call("CONFIG", "RESETSTAT")
    await scan_all(caches, lasting, TASK)
    found = lasting.info("commandstats")
    assert found["cmdstat_scan"]["calls"] >= 20_000 / 100 * 0.8
    assert "cmdstat_keys" not in found
