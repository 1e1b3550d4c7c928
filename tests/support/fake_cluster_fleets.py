"""Deployments of pools, in memory: pods of an older template are replaced one at a time, as `maxSurge: 1` says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sophia_operator.core.hashing import versioned_hash
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.ports import Object
from tests.support.fake_cluster import FakeCluster

TEMPLATE: Final = "pod-template-hash"


@dataclass(slots=True)
class Fleets:
    """The Deployment controller and the network, for pods of pools."""

    cluster: FakeCluster
    _addresses: dict[str, str] = field(default_factory=dict)
    _made: int = 0

    def pods(self, deployment: Object) -> list[Object]:
        """All pods of a Deployment."""
        meta = deployment["metadata"]
        return [
            pod
            for pod in self.cluster.all("Pod")
            if pod["metadata"]["namespace"] == meta["namespace"]
            and pod["metadata"]["labels"].get(LABEL_POOL) == meta["labels"][LABEL_POOL]
        ]

    def updated(self, deployment: Object) -> list[Object]:
        """Those of the newest template."""
        newest = _template_hash(deployment)
        return [pod for pod in self.pods(deployment) if pod["metadata"]["labels"][TEMPLATE] == newest]

    def address(self, pod: Object) -> str:
        """The address of a pod."""
        uid = pod["metadata"]["uid"]
        return self._addresses.setdefault(uid, f"10.2.0.{len(self._addresses) + 1}")

    def run(self, deployment: Object) -> None:
        """One step: make what is missing, or replace one pod."""
        wanted, pods, new = deployment["spec"]["replicas"], self.pods(deployment), self.updated(deployment)
        old = [pod for pod in pods if pod not in new]
        for pod in (*old, *new)[: max(0, len(pods) - wanted - (1 if old else 0))]:
            self._remove(pod)
        if not old:
            for _ in range(wanted - len(pods)):
                self._make(deployment)
        elif len(pods) <= wanted:
            self._make(deployment)
        elif all(_is_ready(pod) for pod in new):
            self._remove(old[0])

    def _remove(self, pod: Object) -> None:
        self.cluster.remove("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])

    def _make(self, deployment: Object) -> None:
        self._made += 1
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        newest = _template_hash(deployment)
        owner = {"kind": "ReplicaSet", "name": meta["name"], "uid": meta["uid"], "controller": True}
        metadata: dict[str, Any] = {
            "name": f"{meta['name']}-{newest[3:8]}-{self._made:05d}",
            "namespace": meta["namespace"],
            "labels": template["metadata"]["labels"] | {TEMPLATE: newest},
            "annotations": dict(template["metadata"].get("annotations") or {}),
            "ownerReferences": [owner],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        self.cluster.add(pod | {"status": {"phase": "Pending"}})


def _template_hash(deployment: Object) -> str:
    return versioned_hash(deployment["spec"]["template"])


def _is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
