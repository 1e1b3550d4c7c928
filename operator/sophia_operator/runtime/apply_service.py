"""What a service has of its own beside objects: immutable copies of its configuration, which its pods must not miss."""

from __future__ import annotations

import logging
from typing import Final

from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.core.render import ChildRef, ConfigCopy, Desired, config_copy_object
from sophia_operator.core.views import Blocker, Observed, ServiceView
from sophia_operator.ports import Cluster, ClusterError, ObjectRef, Refusal
from sophia_operator.runtime.apply import Applied, Applier, Owner
from sophia_operator.runtime.slim import config_hash
from sophia_operator.runtime.store import ObjectStore

logger = logging.getLogger(__name__)

#: Kinds that rendering makes.
RENDERED_KINDS: Final = ("Deployment", "Service", "HTTPRoute", "ConfigMap", "Secret")


class ServiceApplier:
    """Applies the objects of one service."""

    def __init__(self, cluster: Cluster, store: ObjectStore) -> None:
        self._cluster = cluster
        self._store = store
        self._applier = Applier(cluster, store)

    @property
    def blockers(self) -> tuple[Blocker, ...]:
        """What stands in the way, for the next pass to tell."""
        return self._applier.blockers

    def existing(self, service: ServiceView, observed: Observed) -> list[ChildRef]:
        """The service's children, made by the operator, that are there now."""
        owner = _owner(service, observed)
        return [
            ChildRef(obj["apiVersion"], kind, obj["metadata"]["name"])
            for kind in RENDERED_KINDS
            for obj in self._store.children(kind, service.namespace, service.name)
            if owner.has(obj) and not obj["metadata"].get("deletionTimestamp")
        ]

    async def bring(self, service: ServiceView, observed: Observed, desired: Desired) -> Applied:
        """Make the cluster hold what is desired. One object's failure keeps no other from being written."""
        out = Applied()
        owner = _owner(service, observed)
        waiting: set[str] = set()
        for copy in desired.config_copies:
            await self._applier.guard(out, copy.kind.value, copy.copy_name, self._copy(service, owner, copy))
            if not self._is_there(owner, copy):
                waiting.update(one.name for one in copy.owners)
        for obj in desired.objects:
            kind, name = obj["kind"], obj["metadata"]["name"]
            # Pods must not start on another content than their release's, nor without.
            if kind == "Deployment" and name in waiting and self._store.get(kind, service.namespace, name) is None:
                continue
            await self._applier.bring(owner, [obj], out)
        self._applier.keep_only(
            [(obj["kind"], obj["metadata"]["name"]) for obj in desired.objects]
            + [(copy.kind.value, copy.copy_name) for copy in desired.config_copies]
        )
        await self._applier.remove(owner, desired.delete, out)
        return out

    async def _copy(self, service: ServiceView, owner: Owner, copy: ConfigCopy) -> int:
        kind, namespace = copy.kind.value, service.namespace
        live = await self._applier.live(owner, "v1", kind, copy.copy_name)
        if live is None:
            return await self._make_copy(service, copy)
        if not self._applier.may_write(owner, live):
            return 0
        there = {r.get("uid") for r in live["metadata"].get("ownerReferences") or ()}
        if all(one.uid in there for one in copy.owners):
            return 0
        # The content is immutable and not ours to send again: only the owners are applied.
        whole = config_copy_object(service, copy, {})
        obj = {key: whole[key] for key in ("apiVersion", "kind", "metadata")}
        self._store.put(await self._cluster.apply(obj))
        logger.info("%s %s has a new owner in namespace %s", kind, copy.copy_name, namespace)
        return 1

    def _is_there(self, owner: Owner, copy: ConfigCopy) -> bool:
        found = self._store.get(copy.kind.value, owner.namespace, copy.copy_name)
        return found is not None and owner.has(found)

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


def _owner(service: ServiceView, observed: Observed) -> Owner:
    uids = frozenset({service.uid, *(r.uid for r in observed.releases)})
    return Owner("ManagedService", service.namespace, service.name, LABEL_SERVICE, uids, "service")
