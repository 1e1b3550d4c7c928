"""How many nodes may be evicted at a time."""

from __future__ import annotations

from typing import Any

from sophia_operator.core.cache import names
from sophia_operator.core.cache.render import metadata
from sophia_operator.core.cache.views import TierView


def disruption_budget(tier: TierView) -> dict[str, Any]:
    """One at a time, so that a replica is left to hand over to; the only node may go: it must not keep a machine from
    being drained. Nor must one that is not ready."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata.child(tier, names.workload(tier.name)),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names.selector(tier.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
