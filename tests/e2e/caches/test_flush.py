"""Flushes take away what they say, once, at their rate, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hack.rig.api import ApiError
from hack.rig.caches import NAMESPACE, Cache

Make = Callable[..., Cache]
_OTHER = {"name": "page", "prefix": "page", "ttlSeconds": 3600, "tags": ["web"]}


def two(cached: Make) -> Cache:
    cache = cached(namespaces=[NAMESPACE, _OTHER])
    cache.fill(3000)
    cache.fill(500, prefix="page:g1:")
    cache.fill(10, prefix="foreign:")
    return cache


def test_paced_flush_of_a_namespace(cached: Make) -> None:
    cache = two(cached)
    cache.patch(flush={"name": "one", "namespaceName": "emb", "keysPerSecond": 1000})
    told = cache.wait_flushed("one")
    assert (told["phase"], told["deleted"]) == ("Done", 3000)
    assert (cache.count("emb:*"), cache.count("page:*"), cache.count("foreign:*")) == (0, 500, 10)
    # Each name is done once.
    cache.fill(5)
    cache.patch(flush={"keysPerSecond": 2000})
    cache.wait_ready()
    assert cache.count("emb:*") == 5


def test_flush_by_tag(cached: Make) -> None:
    cache = two(cached)
    cache.patch(flush={"name": "web", "tag": "web"})
    assert cache.wait_flushed("web")["phase"] == "Done"
    assert (cache.count("emb:*"), cache.count("page:*")) == (3000, 0)


def test_flush_by_generation_raises_it_at_once(cached: Make) -> None:
    cache = two(cached)
    cache.patch(flush={"name": "next", "kind": "Generation", "namespaceName": "emb", "keysPerSecond": 500})
    cache.wait("to raise the generation", lambda _: cache.namespace_status().get("generation") == 2, seconds=45)
    name = cache.status()["binding"]["configMapName"]

    def led() -> bool:
        found = cache.api.get("ConfigMap", cache.namespace, name)
        return found is not None and "emb:g2:" in found["data"]["chain.json"]

    cache.api.until("clients to be told", led, seconds=45)
    cache.fill(7, prefix="emb:g2:")
    assert cache.wait_flushed("next")["phase"] == "Done"
    assert (cache.count("emb:g1:*"), cache.count("emb:g2:*"), cache.count("page:*")) == (0, 7, 500)


def test_flush_that_is_stopped_stays_where_it_is(cached: Make) -> None:
    cache = two(cached)
    cache.patch(flush={"name": "slow", "namespaceName": "emb", "keysPerSecond": 50})

    def begun(found: dict[str, object]) -> bool:
        status = found.get("status")
        flush = status.get("flush") if isinstance(status, dict) else None
        return isinstance(flush, dict) and int(flush.get("deleted", 0)) > 0

    cache.wait("to have begun", begun, seconds=30)
    cache.patch(flush={"stop": True})
    assert cache.wait_flushed("slow")["phase"] == "Stopped"
    assert 0 < cache.count("emb:*") < 3000


def test_everything_goes_only_by_the_tier_s_name(cached: Make) -> None:
    cache = two(cached)
    with pytest.raises(ApiError) as refused:
        cache.patch(flush={"name": "wrong", "flushAll": "far"})
    assert refused.value.code == 422
    assert "flush.flushAll must be the name of this tier" in refused.value.message
    assert cache.count("foreign:*") == 10
    cache.patch(flush={"name": "all", "flushAll": "near"})
    assert cache.wait_flushed("all")["phase"] == "Done"
    assert cache.count("*") == 0


def test_flush_of_two_scopes_is_refused_at_admission(cached: Make) -> None:
    cache = cached()
    with pytest.raises(ApiError) as refused:
        cache.patch(flush={"name": "both", "namespaceName": "emb", "tag": "web"})
    assert refused.value.code == 422
    assert "exactly one of" in refused.value.message
