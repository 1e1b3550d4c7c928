"""The StatefulSet of the nodes."""

from __future__ import annotations

from typing import Any

from sophia_operator.api.redis_level import ManagedRedis, Storage
from sophia_operator.core.cache import names
from sophia_operator.core.cache.render import metadata
from sophia_operator.core.cache.render.pods import DATA_VOLUME, pod_template
from sophia_operator.core.cache.views import TierAccess, TierView


def stateful_set(tier: TierView, redis: ManagedRedis, access: TierAccess, default_image: str) -> dict[str, Any]:
    """The primary and its replicas: which is which, it does not know. So it replaces no pod by itself; the operator
    does, in an order that keeps the data."""
    spec: dict[str, Any] = {
        "replicas": _nodes(tier, redis),
        "serviceName": names.nodes_service(tier.name),
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": names.selector(tier.name)},
        "template": pod_template(tier, redis, access, default_image),
    }
    if redis.storage is not None:
        spec["volumeClaimTemplates"] = [_claim(tier, redis.storage)]
        # A replica that comes back later starts anew. What a tier leaves is its users' to remove.
        spec["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata.child(tier, names.workload(tier.name)),
        "spec": spec,
    }


def _nodes(tier: TierView, redis: ManagedRedis) -> int:
    """As decided: more than the spec asks for while the primary is among those that are to go."""
    return redis.replicas + 1 if tier.status.scale is None else tier.status.scale


def _claim(tier: TierView, storage: Storage) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{storage.size_megabytes}Mi"}},
    }
    if storage.storage_class_name is not None:
        spec["storageClassName"] = storage.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": DATA_VOLUME, "labels": names.labels(tier.name)},
        "spec": spec,
    }
