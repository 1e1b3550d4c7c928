"""Everything else that is watched: it is kept in the store, and wakes the services that it concerns."""

from __future__ import annotations

from typing import Any

import kopf

from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import OTHERS, Watched


def register(registry: kopf.OperatorRegistry, feed: Feed) -> None:
    """Register what feeds the store with every kind."""
    for watched in OTHERS:
        feed_kind(registry, feed, watched)


def feed_kind(registry: kopf.OperatorRegistry, feed: Feed, watched: Watched) -> None:
    """Feed the store with one kind: with what the watch lists first, and with each change."""

    @kopf.on.event(watched.group, watched.version, watched.plural, registry=registry, id=f"feed-{watched.plural}")
    async def changed(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] == "DELETED":
            feed.gone(event["object"])
        else:
            feed.seen(event["object"])
