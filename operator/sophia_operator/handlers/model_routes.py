"""ModelRoutes: each has one daemon, which runs its loop."""

from __future__ import annotations

from typing import Any

import kopf

from sophia_operator.handlers.children import feed_kind
from sophia_operator.handlers.daemon import run_loop
from sophia_operator.runtime.models.loop import ModelRouteLoop
from sophia_operator.runtime.models.world import ModelWorld
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import ROUTES


def register(registry: kopf.OperatorRegistry, world: ModelWorld, feed: Feed) -> None:
    """Register the daemon, and what feeds the store."""
    feed_kind(registry, feed, ROUTES)

    @kopf.daemon(ROUTES.group, ROUTES.version, ROUTES.plural, registry=registry, id="route", cancellation_timeout=5.0)
    async def route(namespace: str | None, name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        assert namespace is not None  # ModelRoutes live in namespaces
        key = (namespace, name)
        await run_loop(ModelRouteLoop(key, world), stopped, lambda: world.wakeups.wake(key, "stop"))
