"""CacheTiers: each has one daemon, which runs its loop."""

from __future__ import annotations

from typing import Any

import kopf

from sophia_operator.handlers.children import feed_kind
from sophia_operator.handlers.daemon import run_loop
from sophia_operator.runtime.caches.loop import CacheLoop
from sophia_operator.runtime.caches.world import CacheWorld
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import TIERS


def register(registry: kopf.OperatorRegistry, world: CacheWorld, feed: Feed) -> None:
    """Register the daemon, and what feeds the store."""
    feed_kind(registry, feed, TIERS)

    @kopf.daemon(TIERS.group, TIERS.version, TIERS.plural, registry=registry, id="tier", cancellation_timeout=5.0)
    async def tier(namespace: str | None, name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        assert namespace is not None  # CacheTiers live in namespaces
        key = (namespace, name)
        await run_loop(CacheLoop(key, world), stopped, lambda: world.wakeups.wake(key, "stop"))
