"""Everything else that is watched: it is kept in the store, and wakes the services that it concerns."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, cast

import kopf

from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import OTHERS, Watched


def register(registry: kopf.OperatorRegistry, feed: Feed, forbidden: Collection[Watched] = ()) -> None:
    """Register what feeds the store with every kind that may be watched."""
    for watched in OTHERS:
        if watched not in forbidden:
            feed_kind(registry, feed, watched)


def feed_kind(registry: kopf.OperatorRegistry, feed: Feed, watched: Watched) -> None:
    """Feed the store with one kind: with what the watch lists first, and with each change."""

    @kopf.on.event(watched.group, watched.version, watched.plural, registry=registry, id=f"feed-{watched.plural}")
    async def changed(event: kopf.RawEvent, **_: Any) -> None:
        obj = cast("dict[str, Any]", event["object"])
        if event["type"] == "DELETED":
            feed.gone(obj)
        else:
            feed.seen(obj)
        _let_go(obj)


def _let_go(obj: dict[str, Any]) -> None:
    """Empty an object of what the store has by now.

    The framework keeps the newest version of each object with a daemon as long as that runs, and of every other one
    for some seconds: parsed, with its managed fields, twenty times what the store takes. It needs the names and the
    finalizers.
    """
    for field in _OF_NO_USE:
        obj.pop(field, None)
    obj["metadata"].pop("managedFields", None)


#: Everything that fills an object, of all kinds that are watched.
_OF_NO_USE: Final = ("spec", "status", "data", "binaryData", "endpoints", "ports")
