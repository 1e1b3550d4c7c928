"""Makes the kubelet look at a pod's volumes at once: it does when the pod changes, and else within a minute or so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sophia_operator.core.pool import names
from sophia_operator.core.pool.views import InstanceView, PoolDesired, PoolView
from sophia_operator.ports import Cluster
from sophia_operator.runtime.apply import Applied
from sophia_operator.runtime.pods import Mark, Marker
from sophia_operator.runtime.slim import config_hash
from sophia_operator.runtime.store import ObjectStore


class Poker:
    """Pokes the pods of one pool; `note` takes what the API server answers."""

    def __init__(self, cluster: Cluster, store: ObjectStore, note: Callable[[Mapping[str, Any]], object]) -> None:
        self._store = store
        self._marker = Marker(cluster, note)

    async def poke(self, pool: PoolView, desired: PoolDesired, instances: Iterable[InstanceView], out: Applied) -> None:
        """Write the hash of the configuration to the pods that do not have it, once the Secret with it is there."""
        if desired.config_hash is None or not self._is_applied(pool, desired):
            return
        for instance in instances:
            if not instance.terminating and instance.poked != desired.config_hash:
                await self._poke(pool, instance, desired.config_hash, out)

    async def _poke(self, pool: PoolView, instance: InstanceView, config: str, out: Applied) -> None:
        mark = {names.ANNOTATION_CONFIG: config}
        await self._marker.mark(Mark(pool.namespace, instance.name, instance.uid, annotations=mark), out)

    def _is_applied(self, pool: PoolView, desired: PoolDesired) -> bool:
        name = names.config_secret(pool.name)
        secret = next((o for o in desired.objects if o["kind"] == "Secret" and o["metadata"]["name"] == name), None)
        return secret is not None and self._store.config_hash("Secret", pool.namespace, name) == config_hash(secret)
