"""Writes down what a pass decided, before anything is done about it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sophia_operator.api.common import API_VERSION
from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.release import ReleaseStatus
from sophia_operator.core import names
from sophia_operator.core.decision import NewRelease
from sophia_operator.core.render.metadata import service_child
from sophia_operator.core.views import Observed, ReleaseView, ServiceView
from sophia_operator.ports import Cluster, ClusterError, Object, ObjectRef, Refusal
from sophia_operator.runtime.observe import release_view
from sophia_operator.runtime.ownership import is_ours
from sophia_operator.runtime.statuses import Statuses, Target, target_of
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry

logger = logging.getLogger(__name__)


class Persistence:
    """Statuses and Releases of one service. What the API server answers is in the store at once."""

    def __init__(self, cluster: Cluster, store: ObjectStore, telemetry: Telemetry) -> None:
        self._cluster = cluster
        self._store = store
        self._telemetry = telemetry
        self._statuses = Statuses(cluster, store.put)

    async def releases(
        self, service: ServiceView, observed: Observed, statuses: Mapping[str, ReleaseStatus], now: datetime
    ) -> tuple[Observed, int]:
        """Write the statuses that differ; returns what is observed with them in it, and how many were written.

        Raises ClusterError when one cannot be written: then nothing may be done about any of them.
        """
        after: list[ReleaseView] = []
        writes = 0
        for release in observed.releases:
            status = statuses.get(release.name)
            if status is None or (status == release.status and not release.status_lost):
                after.append(release)
                continue
            version = await self._write("Release", _target(service, release), status.to_dict())
            writes += 1
            self._telemetry.release_changed(service.namespace, service.name, release.status, status, now)
            if status.state is not release.status.state:
                logger.info(
                    "%s is %s",
                    release.name,
                    status.state.value,
                    extra={
                        "release": release.name,
                        "reason": status.transitions[-1].reason if status.transitions else "",
                    },
                )
            after.append(replace(release, status=status, status_lost=False, resource_version=version))
        return replace(observed, releases=tuple(after)), writes

    async def service(self, obj: Object, before: ManagedServiceStatus, after: ManagedServiceStatus) -> int:
        """Write the status of a ManagedService if it differs; returns how many writes that took."""
        if before == after:
            return 0
        # Nobody else writes it, and nothing is decided on it.
        target = target_of(obj, lambda _: True)
        await self._write("ManagedService", target, after.to_dict())
        return 1

    async def create(self, service: ServiceView, new: NewRelease) -> None:
        """Make a Release. One that is there already is taken note of: the store trailed behind."""
        metadata: dict[str, Any] = service_child(service, new.name, "release")
        metadata["labels"] |= {names.LABEL_RELEASE: new.name}
        obj = {"apiVersion": API_VERSION, "kind": "Release", "metadata": metadata, "spec": new.spec.to_dict()}
        try:
            self._store.put(await self._cluster.create(obj))
        except ClusterError as error:
            if error.refusal is not Refusal.ALREADY_EXISTS:
                raise
            found = await self._cluster.get(ObjectRef(API_VERSION, "Release", service.namespace, new.name))
            if found is None:
                raise
            self._store.put(found)
            if not is_ours(found, service.name, (service.uid,)):
                raise
            return
        logger.info("made release %s", new.name, extra={"release": new.name, "reason": "NewRelease"})

    async def delete_release(self, service: ServiceView, release: ReleaseView) -> None:
        """Delete a Release that nobody needs any more; what it owns goes with it."""
        ref = ObjectRef(API_VERSION, "Release", service.namespace, release.name, release.uid)
        await self._cluster.delete(ref)
        obj = self._store.get("Release", service.namespace, release.name)
        if obj is not None:
            self._store.discard(obj)
        logger.info("deleted release %s, beyond historyLimit", release.name, extra={"release": release.name})

    async def _write(self, kind: str, target: Target, status: Mapping[str, Any]) -> str:
        return await self._statuses.write(API_VERSION, kind, target, status)


def _target(service: ServiceView, release: ReleaseView) -> Target:
    def has_status(obj: Object) -> bool:
        found = release_view(obj)
        return (found.status, found.status_lost) == (release.status, release.status_lost)

    return Target(
        namespace=service.namespace,
        name=release.name,
        uid=release.uid,
        generation=release.generation,
        version=release.resource_version,
        has_status=has_status,
    )
