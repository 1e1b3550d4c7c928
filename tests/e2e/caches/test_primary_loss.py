"""The primary is lost: a replica takes over once the old one is known to accept no write, and only one ever does."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hack.rig.cache_writes import CacheWrites
from hack.rig.caches import Cache

Make = Callable[..., Cache]
Writing = Callable[[Cache], CacheWrites]
#: From the loss to the first write by an application: noticed, fenced, promoted, and led to.
_BACK_SECONDS = 30.0
#: Replication is asynchronous, and takes its time on a busy machine: writes of the last moments may be lost, which are
#: fewer than that, some 5 ms apart. What was written before is not.
_LAST_MOMENTS = 200


def test_killed_primary_is_replaced_and_comes_back_as_a_replica(
    cached: Make, writing: Writing, request: pytest.FixtureRequest
) -> None:
    cache = cached()
    running, old = writing(cache), cache.primary()
    assert old is not None
    running.wait_more(2 * _LAST_MOMENTS)
    uids, began = cache.uids(), time.time()
    cache.kill(old)
    written = len(running.books().acknowledged)
    past = cache.wait_failed_over(began, seconds=60)
    assert past["toNode"] != old
    assert not past["planned"]
    running.wait_more(50)
    cache.wait_ready(seconds=120)
    assert cache.wait_labelled("primary") == [past["toNode"]]
    assert cache.wait_labelled("replica") == [old]
    assert cache.uids() == uids, "its pod stays, and its container is another one"
    running.stop()
    books, missing = running.books(), running.missing()
    request.node.user_properties += [("cache_lost", len(missing)), ("cache_gap", round(books.longest_gap, 2))]
    assert books.longest_gap < _BACK_SECONDS, books.refused[:5]
    assert all(written - _LAST_MOMENTS < number <= written for number in missing), (written, missing)


def test_primary_whose_pod_is_gone_is_replaced(cached: Make, writing: Writing) -> None:
    """The kubelet asks it to end, and it may hand over while it does."""
    cache = cached()
    running, old = writing(cache), cache.primary()
    assert old is not None
    began = time.time()
    cache.api.delete("Pod", cache.namespace, old, grace_seconds=0)
    past = cache.wait_failed_over(began, seconds=60)
    assert past["toNode"] != old
    running.wait_more(50)
    cache.wait_ready(seconds=120)
    running.stop()
    assert running.books().longest_gap < _BACK_SECONDS, running.books().refused[:5]
    assert len(running.missing()) <= _LAST_MOMENTS


def test_never_are_two_labelled(cached: Make, writing: Writing) -> None:
    cache = cached()
    writing(cache)
    old = cache.primary()
    assert old is not None
    began = time.time()
    cache.kill(old)
    end = time.monotonic() + 30
    while time.monotonic() < end and not [f for f in cache.status().get("failovers") or [] if f.get("fromNode") == old]:
        assert len(cache.labelled("primary")) <= 1
        time.sleep(0.02)
    cache.wait_failed_over(began, seconds=60)
    assert len(cache.labelled("primary")) <= 1


def test_evicted_primary_hands_over_first(cached: Make, writing: Writing) -> None:
    """An eviction asks for a graceful end: the primary hands over, or is fenced by its end; nobody writes in vain."""
    cache = cached()
    running, old = writing(cache), cache.primary()
    assert old is not None
    began = time.time()
    cache.api.evict(cache.namespace, old)
    cache.wait_failed_over(began, seconds=90)
    running.wait_more(50)
    running.stop()
    assert running.books().longest_gap < _BACK_SECONDS
