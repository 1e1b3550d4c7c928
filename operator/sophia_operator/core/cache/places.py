"""Where the keys of a tier lie when that is a place that is not its own, and tiers that share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sophia_operator.api.cache_tier import CacheNamespace, PostgreSQLLevel
from sophia_operator.core.cache.views import SharedKeys
from sophia_operator.core.cache.work.patterns import beginning
from sophia_operator.core.pool.servers import server_key


def place_of(namespace: str, spec: Mapping[str, Any]) -> str | None:
    """The same text for tiers that keep keys in the same place, by the spec as it is written; None: its own nodes."""
    external = (spec.get("redis") or {}).get("external") or {}
    if "host" in external:
        return f"redis {server_key(namespace, external['host'], int(external.get('port', 6379)))}"
    level = spec.get("postgresql") or {}
    pool = (level.get("poolRef") or {}).get("name")
    if pool is None:
        return None
    return f"table {namespace}/{pool}/{level.get('table', PostgreSQLLevel.model_fields['table'].default)}"


def shared_keys(
    own: Iterable[CacheNamespace], tier: str, others: Iterable[Mapping[str, Any]]
) -> tuple[SharedKeys, ...]:
    """Namespaces whose keys are also those of a namespace of that other tier, as its spec is written."""
    theirs = [(str(n.get("name", "")), beginning(str(n.get("prefix", "")))) for n in others]
    return tuple(
        SharedKeys(mine.name, tier, name)
        for mine in own
        for name, start in theirs
        if start.startswith(beginning(mine.prefix)) or beginning(mine.prefix).startswith(start)
    )
