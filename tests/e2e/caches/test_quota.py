"""Entries without a TTL get one, and a namespace above its quota loses what was not used for longest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hack.rig.caches import NAMESPACE, Cache

Make = Callable[..., Cache]


def test_entries_without_a_ttl_are_given_one_and_others_are_left_alone(cached: Make) -> None:
    cache = cached()
    cache.fill(200)
    cache.fill(10, prefix="foreign:")
    with cache.client() as client:
        client.set("emb:g1:short", "x", ex=100)
        every = [f"emb:g1:{number}" for number in range(200)]
        cache.api.until("every entry to have a TTL", lambda: all(client.ttl(key) > 0 for key in every), seconds=60)
        assert 3000 < client.ttl("emb:g1:0") <= 3600
        assert client.ttl("emb:g1:short") <= 100
        assert client.ttl("foreign:0") == -1
    cache.wait("to have counted", lambda _: cache.namespace_status().get("keys") == 201, seconds=60)
    assert cache.status()["unclaimedKeys"] == 10


def test_a_namespace_above_its_quota_is_brought_below_it(cached: Make) -> None:
    other = {"name": "page", "prefix": "page"}
    cache = cached(namespaces=[NAMESPACE, other])
    cache.fill(4000, size=1024, ex=3600)
    cache.fill(100, prefix="page:g1:")
    used = [f"emb:g1:{number}" for number in range(100)]
    with cache.client() as client, in_use(cache, used):

        def aged() -> bool:
            # Far older than what is used ever gets, however busy the machine is.
            return int(client.object("idletime", "emb:g1:3999") or 0) >= 15

        cache.api.until("entries to be old", aged, seconds=90)
        cache.patch(namespaces=[{**NAMESPACE, "maxMemoryMegabytes": 2}, other])
        left = {"emb": 0}

        def below() -> bool:
            left["emb"] = cache.count("emb:*")
            return left["emb"] < 4000 and (cache.condition("WithinQuota") or {}).get("status") == "True"

        cache.api.until("the namespace to be within its quota", below, seconds=180, every=0.5)
        assert 100 <= left["emb"] < 2000
        assert cache.count("page:*") == 100
        assert sum(value is not None for value in client.mget(used)) == 100


@contextmanager
def in_use(cache: Cache, keys: list[str]) -> Iterator[None]:
    """Somebody asks for these keys all the time."""
    over = threading.Event()

    def ask() -> None:
        with cache.client() as client:
            while not over.wait(0.1):
                client.mget(keys)

    user = threading.Thread(target=ask)
    user.start()
    try:
        yield
    finally:
        over.set()
        user.join()
