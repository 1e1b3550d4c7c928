"""A CacheTier whose keys are worked on, in short words: what tests of that work start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus, NodeRole
from sophia_operator.core.cache.findings import Node, NodeFinding, RequestsTask
from sophia_operator.core.cache.views import BoundRelease, Kept, NodeView, TierAccess, TierObserved, TierView

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def node(run_id: str = "run-1", keys: int = 0, **changes: Any) -> Node:
    """A primary that is as it should be."""
    values: dict[str, Any] = {
        "role": NodeRole.PRIMARY, "version": "redis 7.0.15", "run_id": run_id, "replication_id": "r", "offset": 1,
        "primary_host": None, "primary_port": None, "link_up": False, "link_down_seconds": None, "replicas": (),
        "failover_state": "no-failover", "loading": False, "used_memory": 1, "max_memory": 1, "keys": keys,
        "hits": 0, "misses": 0, "evicted": 0, "clients": 1,
    }  # fmt: skip
    return Node(**{**values, **changes})


NAMESPACES: Final[Mapping[str, dict[str, Any]]] = {
    "texts": {"name": "texts", "prefix": "emb", "tags": ["model", "slow"]},
    "images": {"name": "images", "prefix": "emb2", "tags": ["model"]},
    "users": {"name": "users", "prefix": "a.b:c", "ttlSeconds": 60},
}


def spec(**changes: Any) -> CacheTierSpec:
    """Of a tier with two namespaces; changes are as users write them."""
    values: dict[str, Any] = {
        "level": "Redis",
        "redis": {"managed": {}},
        "namespaces": [NAMESPACES["texts"], NAMESPACES["images"]],
        "scan": {"intervalSeconds": 30, "keysPerSecond": 100, "sampledKeys": 100},
        "warmUp": {"maxPerSecond": 100},
    }
    return CacheTierSpec.model_validate({**values, **changes})


def generation_of(key: str, prefix: str) -> tuple[int, int | None, str]:
    """Number, revision and rest of a key; -1 where it has no generation."""
    word, _, rest = key.removeprefix(f"{prefix}:").partition(":")
    number, _, revision = word.removeprefix("g").partition("r")
    if not word.startswith("g") or not number.isdecimal() or (revision and not revision.isdecimal()):
        return -1, None, rest
    return int(number), int(revision) if revision else None, rest


def rate_of(task: Any) -> int:
    """Entries, or requests, in a second."""
    return int(task.requests_per_second if isinstance(task, RequestsTask) else task.keys_per_second)


def tier(wish: CacheTierSpec, status: CacheTierStatus | None = None, generation: int = 1) -> TierView:
    """A tier that the operator knows."""
    known = status or CacheTierStatus(primary="n-0", observed_generation=generation)
    return TierView("shop", "tier", "uid", generation, "1", at(0), wish, known)


def observed(kept: Kept | None = None, *releases: BoundRelease, found: Node | None = None) -> TierObserved:
    """Its primary answers."""
    held = kept or Kept()
    held = replace(held, nodes={"n-0": NodeFinding(at(0), "u", found or node())})
    nodes = (NodeView("n-0", "u", "10.0.0.1", True, False, True),)
    return TierObserved(nodes=nodes, access=TierAccess("c", "p"), releases=releases, kept=held)
