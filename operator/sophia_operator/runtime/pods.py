"""Writes what the operator marks pods with: labels and annotations, and nothing else of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sophia_operator.ports import Cluster, ClusterError, Object, Refusal
from sophia_operator.runtime.apply import Applied

logger = logging.getLogger(__name__)

#: In place of a label that somebody else wrote, and that so cannot be taken away: no Service selects by it.
_NO_VALUE: Final = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything that a pod is marked with: what it had from the operator and is not named goes."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    #: Labels that must be gone afterwards, whoever wrote them.
    without: tuple[str, ...] = ()


class Marker:
    """Marks pods; `note` takes what the API server answers."""

    def __init__(self, cluster: Cluster, note: Callable[[Mapping[str, Any]], object]) -> None:
        self._cluster = cluster
        self._note = note

    async def mark(self, mark: Mark, out: Applied) -> bool:
        """Write it. Returns False when that failed, which `out` says; a pod that went meanwhile is no failure."""
        try:
            answer = await self._apply(mark, mark.labels)
            left = [label for label in mark.without if (answer["metadata"].get("labels") or {}).get(label)]
            if left:
                await self._apply(mark, {**mark.labels, **dict.fromkeys(left, _NO_VALUE)})
        except ClusterError as error:
            if error.refusal in (Refusal.CONFLICT, Refusal.NOT_FOUND):
                return True  # the pod went meanwhile
            logger.warning("Pod %s: %s", mark.name, error, extra={"reason": error.refusal.value})
            out.errors.append(error)
            return False
        out.writes += 1
        return True

    async def _apply(self, mark: Mark, labels: Mapping[str, str]) -> Object:
        # An apply makes what is not there; with a uid it refuses.
        metadata: dict[str, Any] = {"name": mark.name, "namespace": mark.namespace, "uid": mark.uid}
        metadata |= {
            key: dict(value) for key, value in (("labels", labels), ("annotations", mark.annotations)) if value
        }
        answer = await self._cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})
        self._note(answer)
        return answer
