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
    """Feed the store with one kind.

    What is there comes by an index handler, since no loop starts before every index is complete; the index itself
    stays empty. Deletions come by an event handler.
    """

    names = (watched.group, watched.version, watched.plural)

    @kopf.index(*names, registry=registry, id=f"seen-{watched.plural}")
    async def seen(body: kopf.Body, **_: Any) -> None:
        feed.seen({**body})

    @kopf.on.event(*names, registry=registry, id=f"gone-{watched.plural}")
    async def gone(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] == "DELETED":
            feed.gone(event["object"])
