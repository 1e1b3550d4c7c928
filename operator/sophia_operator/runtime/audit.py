"""Compares what the watches brought with what the API server has, now and then.

A watch can lose a deletion when it has to start anew, and it can freeze without an error. Both would leave a service
as it was for ever. The audit lists metadata, a few requests for the whole cluster, and mends what it finds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Protocol

from sophia_operator.ports import ClusterError, Object, ObjectRef, Refusal
from sophia_operator.runtime.store import Name, ObjectStore
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import ALL, Watched

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 300.0
#: Until the store holds all there was, audits come sooner; each wait is twice as long as the last one.
_FIRST_SECONDS: Final = 1.0
#: So long a watch may trail behind a list before it counts as frozen.
GRACE_SECONDS: Final = 10.0
#: So many audits in a row that find a frozen watch make the process unhealthy.
_TOLERATED: Final = 2
#: So many audits at the start are no measure of a watch: for about a minute the framework lists everything itself.
_STARTING: Final = 6


class Listing(Protocol):
    """What the audit needs of the API server."""

    async def list_metadata(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> Sequence[Object]:
        """Metadata of the objects of a kind that match the selectors. Raises ClusterError."""

    async def get(self, ref: ObjectRef) -> Object | None:
        """One object, or None. Raises ClusterError."""


class Audit:
    """Runs as long as the operator acts."""

    def __init__(
        self,
        store: ObjectStore,
        feed: Feed,
        listing: Listing,
        namespaces: Sequence[str] = (),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._feed = feed
        self._listing = listing
        self._namespaces = namespaces
        self._sleep = sleep
        self._frozen = 0
        self._audits = 0
        #: Kinds that could not be watched when the process began.
        self._left_out: frozenset[Watched] = frozenset()
        #: Those of them that could be by now.
        self._missed: tuple[str, ...] = ()
        #: What the store lacked at the first complete listing and has not reached since; None before that.
        self._lacking: dict[tuple[Watched, Name], int] | None = None
        #: Whether the store came to hold everything that the API server once had.
        self.synced = False

    def trouble(self) -> str | None:
        """Why the process should be started anew; None when all is well."""
        if self._missed:
            return f"what was forbidden may be watched now: {', '.join(self._missed)}"
        return "watches make no progress" if self._frozen >= _TOLERATED else None

    def leave_out(self, kinds: Collection[Watched]) -> None:
        """Nobody watches these kinds, since it is forbidden. Once it is not, the process should be started anew."""
        self._left_out = frozenset(kinds)

    async def run(self) -> None:
        """Audit for ever: soon until the store has caught up with a listing, seldom then."""
        wait = _FIRST_SECONDS
        while True:
            await self._sleep(INTERVAL_SECONDS if self.synced else wait)
            await self.once()
            wait = min(INTERVAL_SECONDS, wait * 2)

    async def once(self) -> None:
        """One audit of every kind. A kind that cannot be listed is left for the next time."""
        behind: dict[tuple[Watched, Name], int] = {}
        complete = True
        missed: list[str] = []
        for watched in ALL:
            try:
                found = await self._kind(watched)
            except ClusterError as error:
                complete = complete and watched in self._left_out
                logger.warning("audit of %s: %s", watched.plural, error)
                continue
            if watched in self._left_out:
                missed.append(watched.plural)
            else:
                behind |= found
        self._missed = tuple(missed)
        if not self.synced:
            self._catch_up(behind, complete)
            return
        if behind:
            await self._sleep(GRACE_SECONDS)
        stuck = [key for key, version in behind.items() if self._version(*key) < version]
        self._frozen = self._frozen + 1 if stuck else 0
        for watched, name in stuck:
            logger.error("watch of %s missed %s/%s: read it instead", watched.plural, *name)
            await self._read(watched, name)

    def _catch_up(self, behind: dict[tuple[Watched, Name], int], complete: bool) -> None:
        """Whether the store has reached what one listing had. That it ever has all of the newest cannot be asked for:
        where objects change all the time, a list is always ahead of a healthy watch."""
        self._audits += 1
        if complete:
            # What is not behind any more was reached, or is gone.
            goal = behind if self._lacking is None else {k: v for k, v in self._lacking.items() if k in behind}
            self._lacking = {key: version for key, version in goal.items() if self._version(*key) < version}
            self.synced = not self._lacking
        stuck = self._audits > _STARTING and bool(self._lacking)
        self._frozen = self._frozen + 1 if stuck else 0
        if stuck:
            logger.error("watches have not brought %d objects since the start", len(self._lacking or ()))

    async def _kind(self, watched: Watched) -> dict[tuple[Watched, Name], int]:
        """What the store trails behind in; what is gone is taken out of it."""
        listed: dict[Name, tuple[str, int]] = {}
        places: Sequence[str | None] = self._namespaces if self._namespaces and watched.namespaced else [None]
        for namespace in places:
            try:
                items = await self._listing.list_metadata(
                    watched.api_version,
                    watched.kind,
                    namespace,
                    labels=watched.label_selector,
                    fields=watched.field_selector,
                )
            except ClusterError as error:
                if error.refusal is Refusal.NOT_FOUND:
                    continue  # not installed
                raise
            for item in items:
                meta = item["metadata"]
                listed[meta.get("namespace", ""), meta["name"]] = (meta["uid"], int(meta["resourceVersion"]))
        known = {name: (uid, version) for name, uid, version in self._store.versions(watched.kind)}
        for name in known.keys() - listed.keys():
            await self._read(watched, name)
        return {
            (watched, name): version
            for name, (uid, version) in listed.items()
            if name not in known or known[name][1] < version
        }

    def _version(self, watched: Watched, name: Name) -> int:
        return next((v for n, _, v in self._store.versions(watched.kind) if n == name), -1)

    async def _read(self, watched: Watched, name: Name) -> None:
        """Learn from the API server itself whether an object is there."""
        try:
            found = await self._listing.get(ObjectRef(watched.api_version, watched.kind, *name))
        except ClusterError as error:
            logger.warning("audit of %s %s/%s: %s", watched.kind, *name, error)
            return
        if found is not None:
            self._feed.seen(found)
            return
        obj = self._store.get(watched.kind, *name)
        if obj is not None:
            logger.warning("watch of %s missed that %s/%s was deleted", watched.plural, *name)
            self._feed.gone(obj)
