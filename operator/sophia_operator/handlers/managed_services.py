"""ManagedServices: each has one daemon, which runs its loop."""

from __future__ import annotations

from typing import Any

import kopf

from sophia_operator.handlers.children import feed_kind
from sophia_operator.handlers.daemon import run_loop
from sophia_operator.runtime.loop import ServiceLoop
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import SERVICES
from sophia_operator.runtime.world import World


def register(registry: kopf.OperatorRegistry, world: World, feed: Feed) -> None:
    """Register the daemon, and what feeds the store."""
    feed_kind(registry, feed, SERVICES)

    @kopf.daemon(
        SERVICES.group, SERVICES.version, SERVICES.plural, registry=registry, id="loop", cancellation_timeout=5.0
    )
    async def loop(namespace: str | None, name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        assert namespace is not None  # ManagedServices live in namespaces
        key = (namespace, name)
        await run_loop(ServiceLoop(key, world), stopped, lambda: world.wakeups.wake(key, "stop"))
