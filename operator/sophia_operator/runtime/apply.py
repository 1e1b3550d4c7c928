"""Brings the cluster to what rendering desires: writes on drift only, and only what is ours."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sophia_operator.api.conditions import Reason
from sophia_operator.core import drift
from sophia_operator.core.render import ChildRef, ConfigCopy, Desired, config_copy_object
from sophia_operator.core.views import Blocker, Observed, ServiceView
from sophia_operator.ports import Cluster, ClusterError, Object, ObjectRef, Refusal
from sophia_operator.runtime.ownership import describe_owner, is_ours
from sophia_operator.runtime.slim import config_hash
from sophia_operator.runtime.store import ObjectStore

logger = logging.getLogger(__name__)

#: Kinds that rendering makes.
RENDERED_KINDS = ("Deployment", "Service", "HTTPRoute", "ConfigMap", "Secret")


@dataclass(slots=True)
class Applied:
    """What came of it."""

    writes: int = 0
    errors: list[ClusterError] = field(default_factory=list)


class Applier:
    """Applies the objects of one service, and remembers what stood in the way."""

    def __init__(self, cluster: Cluster, store: ObjectStore) -> None:
        self._cluster = cluster
        self._store = store
        self._fingerprints: dict[tuple[str, str], str] = {}
        self._blockers: dict[tuple[str, str], Blocker] = {}

    @property
    def blockers(self) -> tuple[Blocker, ...]:
        """What stands in the way, for the next pass to tell."""
        return tuple(blocker for _, blocker in sorted(self._blockers.items()))

    def existing(self, service: ServiceView, observed: Observed) -> list[ChildRef]:
        """The service's children, made by the operator, that are there now."""
        owners = _owners(service, observed)
        return [
            ChildRef(obj["apiVersion"], kind, obj["metadata"]["name"])
            for kind in RENDERED_KINDS
            for obj in self._store.children(kind, service.namespace, service.name)
            if is_ours(obj, service.name, owners) and not obj["metadata"].get("deletionTimestamp")
        ]

    async def bring(self, service: ServiceView, observed: Observed, desired: Desired) -> Applied:
        """Make the cluster hold what is desired. One object's failure keeps no other from being written."""
        out = Applied()
        owners = _owners(service, observed)
        waiting: set[str] = set()
        for copy in desired.config_copies:
            await self._guard(out, copy.kind.value, copy.copy_name, self._copy(service, owners, copy))
            if not self._is_there(service, owners, copy):
                waiting.update(owner.name for owner in copy.owners)
        for obj in desired.objects:
            kind, name = obj["kind"], obj["metadata"]["name"]
            # Pods must not start on another content than their release's, nor without.
            if kind == "Deployment" and name in waiting and self._store.get(kind, service.namespace, name) is None:
                continue
            await self._guard(out, kind, name, self._apply(service, owners, obj))
        self._forget_others(desired)
        if not out.errors and not self._blockers:
            for child in desired.delete:
                await self._guard(out, child.kind, child.name, self._delete(service, owners, child))
        return out

    async def _guard(self, out: Applied, kind: str, name: str, work: Any) -> None:
        try:
            out.writes += await work
        except ClusterError as error:
            logger.warning("%s %s: %s", kind, name, error, extra={"reason": error.refusal.value})
            out.errors.append(error)
            if error.refusal in (Refusal.INVALID, Refusal.FORBIDDEN):
                message = f"the API server refuses {kind} {name}: {error.message}"
                self._blockers[kind, name] = Blocker(Reason.API_ERROR, message[:4096])
            return
        blocker = self._blockers.get((kind, name))
        if blocker is not None and blocker.reason is Reason.API_ERROR:
            del self._blockers[kind, name]

    async def _apply(self, service: ServiceView, owners: frozenset[str], obj: Mapping[str, Any]) -> int:
        kind, name = obj["kind"], obj["metadata"]["name"]
        live = await self._live(service, obj["apiVersion"], kind, name)
        if live is not None and not self._may_write(service, owners, live):
            return 0
        self._blockers.pop((kind, name), None)
        if live is not None and live["metadata"].get("deletionTimestamp"):
            return 0  # what is going away is made anew once it is gone
        if not drift.needs_apply(obj, live, self._fingerprints.get((kind, name))):
            return 0
        if live is not None:
            logger.info("%s %s differs: %s", kind, name, drift.first_difference(obj, live) or "by its hash")
        answer = await self._cluster.apply(drift.stamped(obj))
        self._store.put(answer)
        self._fingerprints[kind, name] = drift.fingerprint(answer)
        return 1

    async def _live(self, service: ServiceView, api_version: str, kind: str, name: str) -> Object | None:
        """The object as it is. The store holds labelled objects only, so a miss is asked about."""
        found = self._store.get(kind, service.namespace, name)
        if found is None:
            found = await self._cluster.get(ObjectRef(api_version, kind, service.namespace, name))
        return found

    def _may_write(self, service: ServiceView, owners: frozenset[str], live: Object) -> bool:
        if is_ours(live, service.name, owners):
            return True
        kind, name = live["kind"], live["metadata"]["name"]
        message = (
            f"{kind} {name} exists and is not this service's ({describe_owner(live)}): "
            "remove it, or rename the ManagedService"
        )
        self._blockers[kind, name] = Blocker(Reason.NOT_OWNED, message)
        return False

    async def _copy(self, service: ServiceView, owners: frozenset[str], copy: ConfigCopy) -> int:
        kind, namespace = copy.kind.value, service.namespace
        live = await self._live(service, "v1", kind, copy.copy_name)
        if live is None:
            return await self._make_copy(service, copy)
        if not self._may_write(service, owners, live):
            return 0
        self._blockers.pop((kind, copy.copy_name), None)
        there = {r.get("uid") for r in live["metadata"].get("ownerReferences") or ()}
        if all(owner.uid in there for owner in copy.owners):
            return 0
        # The content is immutable and not ours to send again: only the owners are applied.
        whole = config_copy_object(service, copy, {})
        obj = {key: whole[key] for key in ("apiVersion", "kind", "metadata")}
        self._store.put(await self._cluster.apply(obj))
        logger.info("%s %s has a new owner in namespace %s", kind, copy.copy_name, namespace)
        return 1

    def _is_there(self, service: ServiceView, owners: frozenset[str], copy: ConfigCopy) -> bool:
        found = self._store.get(copy.kind.value, service.namespace, copy.copy_name)
        return found is not None and is_ours(found, service.name, owners)

    async def _make_copy(self, service: ServiceView, copy: ConfigCopy) -> int:
        kind = copy.kind.value
        source = await self._cluster.get(ObjectRef("v1", kind, service.namespace, copy.source_name))
        if source is None or config_hash(source) != copy.hash:
            # Changed since the release was made: the change is a release of its own, and replaces this one.
            what = "is gone" if source is None else "has changed"
            raise ClusterError(
                Refusal.CONFLICT, f"{kind} {copy.source_name} {what} since the release was made that uses it"
            )
        self._store.put(await self._cluster.create(config_copy_object(service, copy, source)))
        return 1

    async def _delete(self, service: ServiceView, owners: frozenset[str], child: ChildRef) -> int:
        live = self._store.get(child.kind, service.namespace, child.name)
        if live is None or live["metadata"].get("deletionTimestamp") or not is_ours(live, service.name, owners):
            return 0
        ref = ObjectRef(child.api_version, child.kind, service.namespace, child.name, live["metadata"]["uid"])
        await self._cluster.delete(ref)
        self._store.discard(live)
        self._fingerprints.pop((child.kind, child.name), None)
        return 1

    def _forget_others(self, desired: Desired) -> None:
        """Drop what is remembered about objects that are not desired any more."""
        wanted = {(obj["kind"], obj["metadata"]["name"]) for obj in desired.objects}
        wanted |= {(copy.kind.value, copy.copy_name) for copy in desired.config_copies}
        for memory in (self._fingerprints, self._blockers):
            for gone in [key for key in memory if key not in wanted]:
                del memory[gone]


def _owners(service: ServiceView, observed: Observed) -> frozenset[str]:
    return frozenset({service.uid, *(r.uid for r in observed.releases)})


def worst(errors: Iterable[ClusterError]) -> ClusterError | None:
    """The error that decides how long to wait: a server that does not answer outweighs one that refuses."""
    return min(errors, key=lambda e: e.refusal is not Refusal.UNAVAILABLE, default=None)
