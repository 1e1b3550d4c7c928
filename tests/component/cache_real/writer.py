"""A client that writes all the time, as an application does: to the pod that the Service leads to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import redis
from redis.exceptions import RedisError

from tests.component.cache_real.rig import RealTier


@dataclass
class Writer:
    """`acknowledged` holds what the primary, and a replica with it, said to have."""

    tier: RealTier
    #: Whether each write waits until a replica has it as well.
    replicated: bool = True
    acknowledged: list[str] = field(default_factory=list)
    failed: int = 0
    _stop: bool = False
    _number: int = 0

    async def __aenter__(self) -> Writer:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop = True
        await self._task

    async def _run(self) -> None:
        while not self._stop:
            pod = self.tier.primary
            if not pod:
                await asyncio.sleep(0.02)
                continue
            try:
                with self.tier.application(pod, timeout=1.0) as connection:
                    await self._write(pod, connection)
            except (RedisError, OSError, KeyError):
                self.failed += 1
                await asyncio.sleep(0.02)

    async def _write(self, pod: str, connection: redis.Redis) -> None:
        while not self._stop and self.tier.primary == pod:
            self._number += 1
            key = f"emb:g1:written-{self._number}"
            if await asyncio.to_thread(self._one, connection, key):
                self.acknowledged.append(key)
            await asyncio.sleep(0.005)

    def _one(self, connection: redis.Redis, key: str) -> bool:
        connection.set(key, "value", ex=3600)
        return not self.replicated or bool(connection.wait(1, 500))

    async def missing(self) -> set[str]:
        """What was acknowledged, and the primary does not have."""

        def look() -> set[str]:
            with self.tier.admin(self.tier.primary) as connection:
                return set(self.acknowledged) - set(connection.scan_iter("emb:g1:written-*", count=1000))

        return await asyncio.to_thread(look)
