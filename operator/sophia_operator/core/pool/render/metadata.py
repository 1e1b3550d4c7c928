"""Metadata of a pool's objects."""

from __future__ import annotations

from typing import Any

from sophia_operator.api.common import API_VERSION
from sophia_operator.core.pool import names
from sophia_operator.core.pool.views import PoolView


def child(pool: PoolView, name: str) -> dict[str, Any]:
    """Metadata of an object that belongs to the pool, and goes with it."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": "ConnectionPool",
        "name": pool.name,
        "uid": pool.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": pool.namespace,
        "labels": names.labels(pool.name),
        "ownerReferences": [owner],
    }
