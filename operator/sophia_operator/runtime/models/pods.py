"""Makes kubelets bring a new ConfigMap to the pods of a gateway at once: they look at a pod's volumes when the pod
changes, and else within a minute or so.

The pods are somebody else's, so no watch brings them: what they were marked with is remembered here. After a restart of
the operator they are marked once more, which changes nothing at a pod that has the mark.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from sophia_operator.core.model import names
from sophia_operator.core.model.views import GatewayPod, ModelRouteDesired, ModelRouteView
from sophia_operator.ports import Cluster
from sophia_operator.runtime.apply import Applied
from sophia_operator.runtime.pods import Mark, Marker
from sophia_operator.runtime.slim import config_hash
from sophia_operator.runtime.store import ObjectStore

_KIND: Final = "ConfigMap"


class GatewayPoker:
    """Pokes the pods of one route's gateway."""

    def __init__(self, cluster: Cluster, store: ObjectStore) -> None:
        self._store = store
        # What the API server answers is kept by nobody: no watch would ever take it out of the store again.
        self._marker = Marker(cluster, _forget)
        #: By name: the uid, and what the pod was marked with.
        self._marked: dict[str, tuple[str, str]] = {}

    def known(self, pods: Iterable[GatewayPod]) -> tuple[GatewayPod, ...]:
        """The pods, with what they were marked with. Pods that are not among them are forgotten."""
        there = tuple(pods)
        self._marked = {p.name: self._marked[p.name] for p in there if p.name in self._marked}
        return tuple(replace(pod, poked=self._mark_of(pod)) for pod in there)

    def _mark_of(self, pod: GatewayPod) -> str | None:
        uid, mark = self._marked.get(pod.name, ("", None))
        return mark if uid == pod.uid else None

    async def poke(
        self, route: ModelRouteView, desired: ModelRouteDesired, pods: Iterable[GatewayPod], out: Applied
    ) -> None:
        """Write the hash to the pods that do not have it, once what it is the hash of is in the cluster."""
        wanted = desired.mounted_hash
        if wanted is None or not self._is_applied(route, desired):
            return
        async with asyncio.TaskGroup() as group:
            for pod in pods:
                if pod.uid and self._mark_of(pod) != wanted:
                    group.create_task(self._poke(route.namespace, pod, wanted, out))

    async def _poke(self, namespace: str, pod: GatewayPod, wanted: str, out: Applied) -> None:
        mark = Mark(namespace, pod.name, pod.uid, annotations={names.ANNOTATION_CONFIG: wanted})
        if await self._marker.mark(mark, out):
            self._marked[pod.name] = (pod.uid, wanted)

    def _is_applied(self, route: ModelRouteView, desired: ModelRouteDesired) -> bool:
        name = names.litellm_config_map(route.name)
        mounted = next((o for o in desired.objects if o["kind"] == _KIND and o["metadata"]["name"] == name), None)
        return mounted is not None and self._store.config_hash(_KIND, route.namespace, name) == config_hash(mounted)


def _forget(_: Mapping[str, Any]) -> None:
    """Take no note."""
