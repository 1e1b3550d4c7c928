"""A Redis that somebody else runs."""

from __future__ import annotations

import asyncio
from typing import Any

from hack.rig.redis import server
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD
from sophia_operator.core.cache import names
from tests.component.cache_real.rig import RealTier
from tests.support.fake_caches_harness import secret


async def test_an_adopted_redis_is_checked_kept_to_its_ttls_and_not_configured() -> None:
    with server() as redis:
        external: dict[str, Any] = {
            "host": redis.host,
            "port": redis.port,
            "credentialsSecretRef": {"name": "redis-user"},
        }
        before = await asyncio.to_thread(redis.call, "CONFIG", "GET", "*")
        await asyncio.to_thread(redis.call, "SET", "emb:g1:a", "1")
        tier = RealTier(
            objects=(secret("redis-user", username=ADMIN, password=ADMIN_PASSWORD),),
            redis={"external": external},
            scan={"intervalSeconds": 5},
        )
        tier.begin()
        try:
            await tier.until("the tier to settle", tier.settled)
            assert tier.status().primary == names.EXTERNAL
            await tier.until("a TTL", lambda: redis.call("TTL", "emb:g1:a") > 0)
            assert await asyncio.to_thread(redis.call, "CONFIG", "GET", "*") == before
            await asyncio.to_thread(redis.kill)
            await tier.until("the loss to be told", lambda: not tier.is_true("Healthy"), 20)
            await asyncio.to_thread(redis.start)
            await tier.until("the tier to settle again", lambda: tier.settled() and tier.is_true("Healthy"))
        finally:
            await tier.end()
