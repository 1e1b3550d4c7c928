"""Lets pods of releases see a changed chain at once: the kubelet looks when a pod changes, and else within a minute or
so. Where that fails it is left to the kubelet."""

from __future__ import annotations

from sophia_operator.core import names
from sophia_operator.core.cache.chain import FILE
from sophia_operator.core.render import Desired
from sophia_operator.core.views import ServiceView
from sophia_operator.ports import Cluster
from sophia_operator.runtime.apply import Applied
from sophia_operator.runtime.pods import Mark, Marker
from sophia_operator.runtime.slim import config_hash
from sophia_operator.runtime.store import ObjectStore


class ChainPoker:
    """Pokes the pods of one service."""

    def __init__(self, cluster: Cluster, store: ObjectStore) -> None:
        self._store = store
        self._marker = Marker(cluster, store.put)

    async def poke(self, service: ServiceView, desired: Desired) -> int:
        """Mark the pods of releases whose chains were raised since. Returns the number of writes."""
        out = Applied()
        if not desired.chains:
            return 0
        late = self._not_applied(service, desired)
        for pod in self._store.children("Pod", service.namespace, service.name):
            meta = pod["metadata"]
            release = (meta.get("labels") or {}).get(names.LABEL_RELEASE, "")
            wanted = desired.chains.get(release)
            seen = (meta.get("annotations") or {}).get(names.ANNOTATION_CHAINS)
            if wanted in (None, seen) or release in late or meta.get("deletionTimestamp"):
                continue
            mark = Mark(
                service.namespace, meta["name"], meta["uid"], annotations={names.ANNOTATION_CHAINS: str(wanted)}
            )
            await self._marker.mark(mark, out)
        return out.writes

    def _not_applied(self, service: ServiceView, desired: Desired) -> set[str]:
        """Releases of which a chain could not be written."""
        return {
            obj["metadata"]["labels"][names.LABEL_RELEASE]
            for obj in desired.objects
            if obj["kind"] == "ConfigMap" and FILE in obj["data"]
            if self._store.config_hash("ConfigMap", service.namespace, obj["metadata"]["name"]) != config_hash(obj)
        }
