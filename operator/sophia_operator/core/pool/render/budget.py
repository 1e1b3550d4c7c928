"""How many instances may be evicted at a time."""

from __future__ import annotations

from typing import Any

from sophia_operator.core.pool import names
from sophia_operator.core.pool.render import metadata
from sophia_operator.core.pool.views import PoolView


def disruption_budget(pool: PoolView) -> dict[str, Any]:
    """One at a time; an instance that is not ready keeps no node from being drained."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata.child(pool, names.workload(pool.name)),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names.selector(pool.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
