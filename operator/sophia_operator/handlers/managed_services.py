"""ManagedServices: each has one daemon, which runs its loop."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import kopf

from sophia_operator.handlers.children import feed_kind
from sophia_operator.runtime.loop import ServiceLoop
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import SERVICES
from sophia_operator.runtime.world import World

#: Time for the pass under way to end when the operator does. It may be cut off anywhere: every order of writes is safe.
_LAST_PASS_SECONDS: Final = 1.5


def register(registry: kopf.OperatorRegistry, world: World, feed: Feed) -> None:
    """Register the daemon, and what feeds the store."""
    feed_kind(registry, feed, SERVICES)

    @kopf.daemon(
        SERVICES.group, SERVICES.version, SERVICES.plural, registry=registry, id="loop", cancellation_timeout=5.0
    )
    async def loop(namespace: str | None, name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        assert namespace is not None  # ManagedServices live in namespaces
        passes = asyncio.ensure_future(ServiceLoop((namespace, name), world).run(lambda: bool(stopped)))
        stopping = asyncio.ensure_future(stopped.wait())
        try:
            await asyncio.wait({passes, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not passes.done():
                world.wakeups.wake((namespace, name), "stop")
                await asyncio.wait({passes}, timeout=_LAST_PASS_SECONDS)
        finally:
            for task in (passes, stopping):
                task.cancel()
            await asyncio.gather(passes, stopping, return_exceptions=True)
