"""Releases with keys of a generation of their own, as a pass over a tier sees them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sophia_operator.core.cache.views import BoundRelease
from sophia_operator.runtime.caches.observe import tier_view
from sophia_operator.runtime.caches.observe_releases import bound_releases
from sophia_operator.runtime.store import ObjectStore
from tests.support import bound_tiers

BEGAN = "2026-03-01T12:00:00.250000Z"


def release(revision: int, *, own: bool = True, tier: str = "near", **status: Any) -> dict[str, Any]:
    bound = {"kind": "CacheTier", "name": tier, "ownGeneration": own}
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "Release",
        "metadata": {
            "name": f"shop-{revision}",
            "namespace": "shop",
            "uid": f"uid-{revision}",
            "resourceVersion": "1",
            "labels": {"sophia.ai/service": "shop"},
        },
        "spec": {"revision": revision, "snapshot": {"bindings": [bound], "ports": [{"name": "http", "port": 80}]}},
        "status": status,
    }


def seen(*releases: dict[str, Any]) -> dict[str, BoundRelease]:
    store = ObjectStore()
    for one in releases:
        store.put(one)
    raw = bound_tiers.tier()
    raw["metadata"] |= {"uid": "uid-near", "resourceVersion": "1", "creationTimestamp": "2026-03-01T12:00:00Z"}
    return {found.name: found for found in bound_releases(store, tier_view(raw))}


def test_a_new_release_is_warmed_from_the_one_that_serves() -> None:
    new = release(7, state="SmokeTesting", color="green", startedAt=BEGAN)
    found = seen(release(6, state="Promoted", color="blue", weights={"wantedPercent": 100}), new)
    began = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    assert found == {
        "shop-6": BoundRelease("shop-6", "shop", 6, False, None, "http://shop-blue.shop.svc:80"),
        "shop-7": BoundRelease("shop-7", "shop", 7, True, 6, "http://shop-green.shop.svc:80", began),
    }


def test_one_that_has_no_pods_yet_or_shares_its_keys_is_not() -> None:
    found = seen(release(6), release(7, own=False), release(8, tier="far"))
    assert found == {"shop-6": BoundRelease("shop-6", "shop", 6, False, None)}
