"""The ConfigMap with the chain."""

from __future__ import annotations

from typing import Any

from sophia_operator.core.cache import names
from sophia_operator.core.cache.chain import FILE, chain_text
from sophia_operator.core.cache.render import metadata
from sophia_operator.core.cache.views import Link, TierView


def chain_config_map(tier: TierView, below: tuple[Link, ...]) -> dict[str, Any]:
    """For applications that find the tier by themselves; releases have a chain of their own."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata.child(tier, names.chain_config_map(tier.name)),
        "data": {FILE: chain_text(tier, below)},
    }
