"""ConnectionPools: each has one daemon, which runs its loop."""

from __future__ import annotations

from typing import Any

import kopf

from sophia_operator.handlers.children import feed_kind
from sophia_operator.handlers.daemon import run_loop
from sophia_operator.runtime.pools.loop import PoolLoop
from sophia_operator.runtime.pools.world import PoolWorld
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import POOLS


def register(registry: kopf.OperatorRegistry, world: PoolWorld, feed: Feed) -> None:
    """Register the daemon, and what feeds the store."""
    feed_kind(registry, feed, POOLS)

    @kopf.daemon(POOLS.group, POOLS.version, POOLS.plural, registry=registry, id="pool", cancellation_timeout=5.0)
    async def pool(namespace: str | None, name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        assert namespace is not None  # ConnectionPools live in namespaces
        key = (namespace, name)
        await run_loop(PoolLoop(key, world), stopped, lambda: world.wakeups.wake(key, "stop"))
