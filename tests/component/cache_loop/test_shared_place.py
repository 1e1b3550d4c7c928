"""Tiers that keep keys in the same place: each says which keys are also those of another one."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.core.cache.places import place_of
from tests.support.cache_nodes import Redis
from tests.support.fake_caches import Process
from tests.support.fake_caches_harness import CacheHarness, cache_tier, secret


def adopting(name: str, prefix: str, host: str = "redis.shop") -> dict[str, Any]:
    external = {"host": host, "credentialsSecretRef": {"name": "redis-user"}}
    return cache_tier(name, redis={"external": external}, namespaces=[{"name": f"{name}-keys", "prefix": prefix}])


def ready(harness: CacheHarness, name: str) -> str:
    found = harness.condition("Ready", name)
    return found[2] if found is not None and found[0] == "True" else ""


async def both(one: dict[str, Any], other: dict[str, Any]) -> CacheHarness:
    user = secret("redis-user", username="app", password="pw-external")
    harness = CacheHarness(tiers=(one, other), objects=(user,))
    redis = Redis("run-external", "192.0.2.9", "elsewhere")
    harness.nodes.net.processes.append(redis)
    harness.nodes.net.make_primary(redis)
    redis.min_replicas = 0
    harness.fake.others["redis"] = Process(redis, harness.now, "", {"maxmemory": "0"}, password="pw-external")
    await harness.run_until(lambda: ready(harness, "hot") and ready(harness, "warm"))
    return harness


@pytest.mark.parametrize("prefix", ["emb", "emb:models"])
async def test_keys_of_two_tiers_are_told_by_both(prefix: str) -> None:
    harness = await both(adopting("hot", "emb"), adopting("warm", prefix, "redis.shop.svc.cluster.local"))
    said = ready(harness, "hot")
    assert "keys of namespace hot-keys are also those of namespace warm-keys of tier shop/warm" in said
    assert "choose another prefix" in said
    assert "namespace hot-keys of tier shop/hot" in ready(harness, "warm")
    wakeup = harness.wakeups.event(("shop", "hot"))
    wakeup.clear()
    harness.change("warm", namespaces=[{"name": "warm-keys", "prefix": "pages"}])
    assert wakeup.is_set()
    await harness.run_until(lambda: ready(harness, "hot") == ready(harness, "warm") == "clients are served")


@pytest.mark.parametrize(("prefix", "host"), [("embx", "redis.shop"), ("emb", "redis.other")])
async def test_other_prefixes_and_other_servers_are_nothing_to_tell(prefix: str, host: str) -> None:
    harness = await both(adopting("hot", "emb"), adopting("warm", prefix, host))
    assert ready(harness, "hot") == ready(harness, "warm") == "clients are served"


async def test_a_tier_that_goes_is_told_of_no_more() -> None:
    harness = await both(adopting("hot", "emb"), adopting("warm", "emb"))
    assert "shop/warm" in ready(harness, "hot")
    harness.cluster.remove("CacheTier", "warm")
    await harness.run_until(lambda: ready(harness, "hot") == "clients are served")


def test_tables_of_one_pool_are_one_place_when_they_have_one_name() -> None:
    def place(namespace: str, **level: Any) -> str | None:
        return place_of(namespace, {"level": "PostgreSQL", "postgresql": {"poolRef": {"name": "orders"}, **level}})

    assert place("shop") == place("shop", table="sophia_cache")
    assert len({place("shop"), place("shop", table="other"), place("office"), None}) == 4
    assert place_of("shop", {"level": "Redis", "redis": {"managed": {}}}) is None
    assert place_of("shop", {"level": "Memory"}) is None
