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
from sophia_operator.runtime.watched import ALL, Watched

logger = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS: Final = 0.5
_LAST_RETRY_SECONDS: Final = 10.0
#: An API server that just started may forbid for a moment what it allows.
_FORBIDDEN_TRIES: Final = 4


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
) -> frozenset[Watched]:
    """Take note of everything that is watched. Tries until it has all; kinds that are not installed are left out.

    So is what only pools or tiers need when it may not be listed, as when the operator is newer than its rights: the
    rest goes on without. Returns those kinds, which nobody may watch then.
    """
    # Once it was tried for long enough to forbid one kind, the API server has not just started any more.
    forbidden, most = set[Watched](), _FORBIDDEN_TRIES
    for watched in ALL:
        places: Sequence[str | None] = namespaces if namespaces and watched.namespaced else [None]
        for namespace in places:
            wait, tries = _FIRST_RETRY_SECONDS, 1
            while (refusal := await _list(feed, listing, watched, namespace)) is not None:
                if watched.only_for and refusal is Refusal.FORBIDDEN and tries >= most:
                    logger.error(
                        "the operator may not list %s, and does without: what is of kind %s does not work. "
                        "See that its roles are those of its version",
                        watched.plural,
                        " or ".join(watched.only_for),
                    )
                    forbidden.add(watched)
                    most = 2
                    break
                await sleep(wait)
                wait, tries = min(2 * wait, _LAST_RETRY_SECONDS), tries + 1
    return frozenset(forbidden)


async def _list(feed: Feed, listing: Listing, watched: Watched, namespace: str | None) -> Refusal | None:
    """List the kind to its end; returns why that did not work."""
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
            return None
        logger.warning("list of %s: %s", watched.plural, error)
        return error.refusal
    return None
