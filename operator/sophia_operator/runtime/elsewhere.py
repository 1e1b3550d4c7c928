"""Gateways in namespaces that are not watched.

An operator that works in some namespaces only watches no others, but Gateways are often in one of their own. Those are
read one by one, when an object that refers to them looks, and at most once a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.traffic import ParentRef
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Clock, Cluster, ClusterError, Object, ObjectRef, Refusal
from sophia_operator.runtime.store import Name, ObjectStore

logger = logging.getLogger(__name__)

_API: Final = "gateway.networking.k8s.io/v1"
FRESH_FOR: Final = timedelta(seconds=60)
#: A Gateway that was missing is looked for again this soon.
MISSING_FOR: Final = timedelta(seconds=15)
#: So long a pass waits for the API server here.
PATIENCE_SECONDS: Final = 2.0


class Elsewhere:
    """Keeps Gateways in the store that no watch brings. Without namespaces, everything is watched."""

    def __init__(self, cluster: Cluster, store: ObjectStore, clock: Clock, namespaces: Collection[str] = ()) -> None:
        self._cluster = cluster
        self._store = store
        self._clock = clock
        self._namespaces = frozenset(namespaces)
        self._until: dict[Name, datetime] = {}
        #: What went wrong with each at the last reading, and how often in a row.
        self._failed: dict[Name, tuple[ClusterError, int]] = {}

    async def look(self, namespace: str, parents: Sequence[ParentRef]) -> Blocker | None:
        """Read the Gateways that an object of that namespace refers to, where that is due.

        One that cannot be read stays as it was; what is returned says which one was never read.
        """
        if not self._namespaces:
            return None
        unread: Blocker | None = None
        for parent in parents:
            where = (parent.namespace or namespace, parent.name)
            if where[0] in self._namespaces:
                continue
            due = self._until.get(where)
            if due is None or self._clock.now() >= due:
                await self._read(where)
            unread = unread or self._unread(where)
        return unread

    def wait(self, namespace: str, parents: Sequence[ParentRef]) -> float | None:
        """Seconds until one of the Gateways is tried again that could not be read; None when there is none."""
        names = {(parent.namespace or namespace, parent.name) for parent in parents}
        now = self._clock.now()
        waits = [(self._until[name] - now).total_seconds() for name in names & self._failed.keys()]
        return max(0.0, min(waits)) if waits else None

    def _unread(self, where: Name) -> Blocker | None:
        failed = self._failed.get(where)
        if failed is None or self._store.get("Gateway", *where) is not None:
            return None
        words = f"Gateway {where[1]} in namespace {where[0]} cannot be read: {failed[0]}"
        return Blocker(Reason.GATEWAY_NOT_FOUND, words[:4096])

    async def _read(self, where: Name) -> None:
        try:
            found = await self._get(where)
        except ClusterError as error:
            self._put_off(where, error)
            return
        self._failed.pop(where, None)
        if found is not None:
            self._store.put(found)
        else:
            gone = self._store.get("Gateway", *where)
            if gone is not None:
                self._store.discard(gone)
        self._until[where] = self._clock.now() + (FRESH_FOR if found is not None else MISSING_FOR)

    async def _get(self, where: Name) -> Object | None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._cluster.get(ObjectRef(_API, "Gateway", *where))
        except TimeoutError as error:
            raise ClusterError(Refusal.UNAVAILABLE, f"no answer within {PATIENCE_SECONDS:g} s") from error

    def _put_off(self, where: Name, error: ClusterError) -> None:
        """Try again, but later and later: passes do not depend on it."""
        times = self._failed[where][1] + 1 if where in self._failed else 1
        self._failed[where] = (error, times)
        wait = min(FRESH_FOR, timedelta(seconds=2.0 ** min(times - 1, 16)))
        self._until[where] = self._clock.now() + wait
        logger.warning("Gateway %s/%s: %s", *where, error, extra={"reason": error.refusal.value})
