"""Fills the store before any loop starts, so that no pass takes what was not listed yet for missing.

The framework could hold loops back until it has listed everything, by an index; but it then wakes every object's
worker each time one of them is done, which takes minutes for ten thousand objects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

from sophia_operator.ports import ClusterError, Object, Refusal
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import OTHERS, SERVICES, Watched

logger = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS: Final = 0.5
_LAST_RETRY_SECONDS: Final = 10.0


class Listing(Protocol):
    """What priming needs of the API server."""

    def list_objects(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Sequence[Object]]:
        """The objects of a kind that match the selectors, page by page. Raises ClusterError."""


async def prime(
    feed: Feed,
    listing: Listing,
    namespaces: Sequence[str] = (),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Take note of everything that is watched. Tries until it has all; kinds that are not installed are left out."""
    for watched in (SERVICES, *OTHERS):
        places: Sequence[str | None] = namespaces if namespaces and watched.namespaced else [None]
        for namespace in places:
            wait = _FIRST_RETRY_SECONDS
            while not await _list(feed, listing, watched, namespace):
                await sleep(wait)
                wait = min(2 * wait, _LAST_RETRY_SECONDS)


async def _list(feed: Feed, listing: Listing, watched: Watched, namespace: str | None) -> bool:
    """Whether the kind is listed to its end."""
    try:
        async for page in listing.list_objects(
            watched.api_version,
            watched.kind,
            namespace,
            labels=watched.label_selector,
            fields=watched.field_selector,
        ):
            for obj in page:
                feed.seen(obj)
    except ClusterError as error:
        if error.refusal is Refusal.NOT_FOUND:
            return True
        logger.warning("list of %s: %s", watched.plural, error)
        return False
    return True
