"""Metadata of a tier's objects."""

from __future__ import annotations

from typing import Any

from sophia_operator.api.common import API_VERSION
from sophia_operator.core.cache import names
from sophia_operator.core.cache.views import TierView


def child(tier: TierView, name: str) -> dict[str, Any]:
    """Metadata of an object that belongs to the tier, and goes with it."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": "CacheTier",
        "name": tier.name,
        "uid": tier.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": tier.namespace,
        "labels": names.labels(tier.name),
        "ownerReferences": [owner],
    }
