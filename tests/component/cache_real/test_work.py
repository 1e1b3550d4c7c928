"""Work on the keys of a real node: flushes, TTLs, quotas."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from tests.component.cache_real.rig import RealTier, running

TEXTS: Final[dict[str, Any]] = {"name": "texts", "prefix": "emb", "ttlSeconds": 600}
ALONE: Final[dict[str, Any]] = {"redis": {"managed": {"replicas": 0}}}


async def fill(tier: RealTier, prefix: str, number: int, size: int = 10, ttl: int | None = None) -> None:
    """Applications write so many entries."""

    def write() -> None:
        with tier.application(tier.primary) as connection:
            pipeline = connection.pipeline(transaction=False)
            for index in range(number):
                pipeline.set(f"{prefix}{index}", "x" * size, ex=ttl)
            pipeline.execute()

    await asyncio.to_thread(write)


async def count(tier: RealTier, pattern: str) -> int:
    """Keys that match."""

    def look() -> int:
        with tier.admin(tier.primary) as connection:
            return sum(1 for _ in connection.scan_iter(pattern, count=1000))

    return await asyncio.to_thread(look)


async def test_a_flush_survives_a_restart_of_the_operator_and_touches_nothing_else() -> None:
    async with running(**ALONE) as tier:
        await fill(tier, "emb:g1:", 20_000, ttl=3600)
        await fill(tier, "other:", 100)
        tier.change(flush={"name": "one", "namespaceName": "texts", "keysPerSecond": 4000})
        await tier.until("a part to be done", lambda: (f := tier.status().flush) and f.deleted)
        await tier.restart()
        first = tier.status().flush
        assert first is not None
        assert 0 < first.deleted < 20_000
        await tier.until("the flush to end", lambda: tier.status().flushes)
        (done,) = tier.status().flushes
        assert (done.name, done.phase.value) == ("one", "Done")
        assert done.deleted <= 20_000
        assert await count(tier, "emb:*") == 0
        assert await count(tier, "other:*") == 100


async def test_a_flush_that_is_stopped_stops() -> None:
    async with running(**ALONE) as tier:
        await fill(tier, "emb:g1:", 20_000, ttl=3600)
        flush = {"name": "one", "namespaceName": "texts", "keysPerSecond": 1000}
        tier.change(flush=flush)
        await tier.until("a part to be done", lambda: (f := tier.status().flush) and f.deleted)
        tier.change(flush={**flush, "stop": True})
        await tier.until("the flush to end", lambda: tier.status().flushes)
        assert tier.status().flushes[-1].phase.value == "Stopped"
        # The part that was under way ends by itself, within about a second.
        await tier.until("the last part to end", lambda: not tier.loop._working.kinds, 10)
        left = await count(tier, "emb:*")
        assert left > 5_000
        ended = tier.status().flushes[-1].ended_at
        assert ended is not None
        await tier.until("time to go by", lambda: (datetime.now(UTC) - ended).total_seconds() > 2.5)
        assert await count(tier, "emb:*") == left


async def test_keys_without_a_ttl_get_one_and_those_of_nobody_do_not() -> None:
    async with running(**ALONE, namespaces=[TEXTS], scan={"intervalSeconds": 5}) as tier:
        await fill(tier, "emb:g1:", 200)
        await fill(tier, "other:", 10)
        found = await tier.until("a scan", lambda: (n := tier.status().namespaces) and n[0].keys == 200 and n[0])
        assert found.ttls_given == 200
        assert 0 < await tier.call(tier.primary, "TTL", "emb:g1:7") <= 600
        assert await tier.call(tier.primary, "TTL", "other:7") == -1
        assert tier.status().unclaimed_keys == 10


async def test_a_namespace_above_its_quota_is_brought_below_it() -> None:
    space = {**TEXTS, "maxMemoryMegabytes": 1}
    async with running(**ALONE, namespaces=[space], scan={"intervalSeconds": 5, "sampledKeys": 1000}) as tier:
        await fill(tier, "emb:g1:", 2_000, size=1000, ttl=3600)
        await fill(tier, "other:", 100, size=1000)
        await tier.until("the excess to be seen", lambda: not tier.is_true("WithinQuota"))
        await tier.until("the quota to be kept", lambda: tier.is_true("WithinQuota"))
        left = await count(tier, "emb:*")
        assert 100 < left < 1_000
        assert await count(tier, "other:*") == 100
