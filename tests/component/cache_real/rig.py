"""A tier that is real below Kubernetes: Redis runs, the loop and its adapters are the operator's own, and only the
cluster is in memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import redis
from redis.exceptions import RedisError

from hack.rig.redis_base import Flavor
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.core.cache import names
from sophia_operator.ports import Caches
from sophia_operator.runtime.caches.loop import CacheLoop
from sophia_operator.runtime.world import wait_for
from tests.component.cache_real.nodes import Process, RealNodes, client
from tests.support.fake_caches_harness import NAME, NAMESPACE, CacheHarness, cache_tier

_TICK_SECONDS: Final = 0.1


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class RealTier(CacheHarness):
    """A tier of a primary and two replicas, unless `spec` says otherwise."""

    def __init__(self, flavor: Flavor = Flavor.REDIS, objects: tuple[dict[str, Any], ...] = (), **spec: Any) -> None:
        self.adapter = RedisCaches()
        chosen: dict[str, Any] = {"healthCheck": {"intervalSeconds": 2}}
        super().__init__(tiers=(cache_tier(NAME, **(chosen | spec)),), objects=objects)
        self.real = RealNodes(self.cluster, _Clock().now, flavor=flavor)
        self.tasks: list[asyncio.Task[Any]] = []

    def caches(self) -> Caches:
        """As in CacheHarness."""
        return self.adapter

    def start(self) -> None:
        super().start()
        self.cluster.clock = _Clock().now
        self.world = replace(self.world, clock=_Clock(), wait=wait_for)
        self.loops = {NAME: CacheLoop((NAMESPACE, NAME), self.world)}

    def begin(self) -> None:
        """The cluster, the kubelets and the operator run."""
        self.tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self.real.probe())]
        self.operator = asyncio.create_task(self.loop.run())

    async def kill_operator(self) -> None:
        """The operator's process ends in the midst of whatever it does."""
        self.operator.cancel()
        await asyncio.gather(self.operator, return_exceptions=True)
        await self.adapter.close()

    def start_operator(self) -> None:
        """Another process begins, with nothing but what the cluster has."""
        self.adapter = RedisCaches()
        self.start()
        self.operator = asyncio.create_task(self.loop.run())

    async def restart(self) -> None:
        """Both."""
        await self.kill_operator()
        self.start_operator()

    async def end(self) -> None:
        """Everything ends."""
        for task in (*self.tasks, self.operator):
            task.cancel()
        await asyncio.gather(*self.tasks, self.operator, return_exceptions=True)
        await self.adapter.close()
        await asyncio.to_thread(self.real.stop)

    def process(self, number: int) -> Process:
        """The process of a node."""
        return self.real.process(f"hot-cache-{number}")

    @property
    def primary(self) -> str:
        """The pod that the Service leads to; empty while there is none."""
        return next((name for name, role in self.roles().items() if role == names.ROLE_PRIMARY), "")

    def admin(self, pod: str) -> redis.Redis:
        """A client with the operator's own user."""
        password = self.content(names.access_secret(NAME))[names.ADMIN_KEY]
        return client(self.real.process(pod).address, names.ADMIN, password)

    def application(self, pod: str, timeout: float = 5.0) -> redis.Redis:
        """A client as applications are, of that pod."""
        given = self.content(names.binding_secret(NAME))
        return client(self.real.process(pod).address, given["username"], given["password"], timeout=timeout)

    async def call(self, pod: str, *words: Any) -> Any:
        """Give a command as the operator's user, behind its back."""
        with self.admin(pod) as connection:
            return await asyncio.to_thread(connection.execute_command, *words)

    async def until(self, what: str, look: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Wait until there is an answer that is not None or False."""
        end = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < end, f"waited {seconds} s for {what}: {self.describe()}; {self.status()}"
            assert not self.operator.done() or self.operator.exception() is None, self.operator.exception()
            await asyncio.sleep(0.02)
        return found

    def at_rest(self) -> bool:
        """Settled, with a primary that is guarded when it has replicas."""
        replicas = self.tier()["spec"]["redis"]["managed"].get("replicas", 1)
        return self.settled() and len(self.pods()) == replicas + 1 and self.status().guarded == (replicas > 0)

    async def rest(self, seconds: float = 90.0) -> None:
        """Wait until the tier is at rest."""
        await self.until("the tier to be at rest", self.at_rest, seconds)

    def accepting(self) -> list[str]:
        """Pods that accept a write right now; those that do not answer in time do not."""
        return [p["metadata"]["name"] for p in self.pods() if self._accepts(p["metadata"]["name"])]

    def _accepts(self, pod: str) -> bool:
        try:
            with self.application(pod, timeout=1.0) as connection:
                return bool(connection.set("other:probe", "1"))
        except (RedisError, OSError, KeyError):
            return False

    async def _tick(self) -> None:
        while True:
            await asyncio.to_thread(lambda: None)
            self.real.tick()
            await asyncio.sleep(_TICK_SECONDS)


@contextlib.asynccontextmanager
async def running(flavor: Flavor = Flavor.REDIS, **spec: Any) -> AsyncIterator[RealTier]:
    """The tier with its loop, at rest; gone at the end."""
    tier = RealTier(flavor, **spec)
    tier.begin()
    try:
        await tier.rest()
        yield tier
    finally:
        await tier.end()
