"""Gateways in namespaces that are not watched.

An operator that works in some namespaces only watches no others, but Gateways are often in one of their own. Those are
read one by one, when a service that refers to them looks, and at most once a minute.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.core.views import ServiceView
from sophia_operator.ports import Clock, Cluster, ObjectRef
from sophia_operator.runtime.store import Name, ObjectStore

_API: Final = "gateway.networking.k8s.io/v1"
FRESH_FOR: Final = timedelta(seconds=60)
#: A Gateway that was missing is looked for again this soon.
MISSING_FOR: Final = timedelta(seconds=15)


class Elsewhere:
    """Keeps Gateways in the store that no watch brings. Without namespaces, everything is watched."""

    def __init__(self, cluster: Cluster, store: ObjectStore, clock: Clock, namespaces: Collection[str] = ()) -> None:
        self._cluster = cluster
        self._store = store
        self._clock = clock
        self._namespaces = frozenset(namespaces)
        self._until: dict[Name, datetime] = {}

    async def look(self, service: ServiceView) -> None:
        """Read the Gateways that the service refers to, where that is due. Raises ClusterError."""
        traffic = service.spec.traffic.gateway
        if not self._namespaces or traffic is None:
            return
        for parent in traffic.parent_refs:
            where = (parent.namespace or service.namespace, parent.name)
            due = self._until.get(where)
            if where[0] not in self._namespaces and (due is None or self._clock.now() >= due):
                await self._read(where)

    async def _read(self, where: Name) -> None:
        found = await self._cluster.get(ObjectRef(_API, "Gateway", *where))
        if found is not None:
            self._store.put(found)
        else:
            gone = self._store.get("Gateway", *where)
            if gone is not None:
                self._store.discard(gone)
        self._until[where] = self._clock.now() + (FRESH_FOR if found is not None else MISSING_FOR)
