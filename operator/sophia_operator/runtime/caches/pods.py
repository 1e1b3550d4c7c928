"""What a pass does to the pods of a tier: their role labels, and that one goes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sophia_operator.core.cache import names
from sophia_operator.core.cache.decision import NodeToDelete
from sophia_operator.core.cache.views import NodeView, TierObserved, TierView
from sophia_operator.ports import Cluster, ClusterError, ObjectRef, Refusal
from sophia_operator.runtime.apply import Applied
from sophia_operator.runtime.pods import Mark, Marker

logger = logging.getLogger(__name__)

Labels = Mapping[str, str | None]


class TierPods:
    """Pods of one tier; `note` takes what the API server answers."""

    def __init__(self, cluster: Cluster, note: Callable[[Mapping[str, Any]], object]) -> None:
        self._cluster = cluster
        self._marker = Marker(cluster, note)

    async def unlabel(self, tier: TierView, observed: TierObserved, labels: Labels, out: Applied) -> bool:
        """Take labels away, and change those of a primary; returns whether all of that was done."""
        done = True
        for node in _pods(tier, observed):
            if node.name in labels and _goes(node, labels[node.name]):
                done = await self._mark(tier, node, labels[node.name], out) and done
        return done

    async def label(self, tier: TierView, observed: TierObserved, labels: Labels, out: Applied) -> None:
        """Set the other labels."""
        for node in _pods(tier, observed):
            if node.name in labels and not _goes(node, labels[node.name]):
                await self._mark(tier, node, labels[node.name], out)

    async def _mark(self, tier: TierView, node: NodeView, role: str | None, out: Applied) -> bool:
        labels = {} if role is None else {names.LABEL_ROLE: role}
        without = (names.LABEL_ROLE,) if role is None else ()
        return await self._marker.mark(Mark(tier.namespace, node.name, node.uid, labels, without=without), out)

    async def delete(self, tier: TierView, pods: Iterable[NodeToDelete], out: Applied) -> None:
        """Let pods go; another one of the same name stays."""
        for pod in pods:
            try:
                await self._cluster.delete(ObjectRef("v1", "Pod", tier.namespace, pod.name, pod.uid))
            except ClusterError as error:
                if error.refusal is Refusal.CONFLICT:
                    continue
                logger.warning("Pod %s: %s", pod.name, error, extra={"reason": error.refusal.value})
                out.errors.append(error)
            else:
                logger.info("Pod %s is to be made anew", pod.name)
                out.writes += 1


def _goes(node: NodeView, role: str | None) -> bool:
    """Whether the node stops being labelled what it was."""
    return role is None or (node.role_label == names.ROLE_PRIMARY and role != names.ROLE_PRIMARY)


def _pods(tier: TierView, observed: TierObserved) -> tuple[NodeView, ...]:
    """An adopted Redis has no pod."""
    managed = tier.spec.redis is not None and tier.spec.redis.managed is not None
    return observed.nodes if managed else ()
