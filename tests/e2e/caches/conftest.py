"""A CacheTier for each test, and somebody who writes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hack.rig.api import Api
from hack.rig.cache_writes import CacheWrites
from hack.rig.caches import Cache


@pytest.fixture
def cached(cluster: Api, namespace: str) -> Callable[..., Cache]:
    """Apply a tier, and wait until it is Ready and reached. Options as of `hack.rig.caches.tier`."""

    def make(name: str = "near", **spec: Any) -> Cache:
        cache = Cache(cluster, namespace, name)
        cache.apply(**spec)
        cache.wait_ready(seconds=120)
        cache.wait_served()
        return cache

    return make


@pytest.fixture
def writing(request: pytest.FixtureRequest) -> Iterator[Callable[[Cache], CacheWrites]]:
    """Start to write through the tier's Service; it ends at the end at the latest."""
    started: list[CacheWrites] = []

    def start(cache: Cache) -> CacheWrites:
        running = CacheWrites(cache.client)
        running.start()
        started.append(running)
        running.wait_more(20)
        return running

    yield start
    for running in started:
        running.stop()
        books = running.books()
        request.node.user_properties += [
            ("cache_writes", len(books.acknowledged)),
            ("cache_refusals", len(books.refused)),
        ]
