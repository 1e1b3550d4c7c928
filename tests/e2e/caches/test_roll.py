"""Nodes are replaced one at a time, and the primary hands over: nothing that was acknowledged is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hack.rig.cache_writes import CacheWrites
from hack.rig.caches import VALKEY_IMAGE, Cache

Make = Callable[..., Cache]
Writing = Callable[[Cache], CacheWrites]
#: Of a handover, with the time until proxies lead to the new primary.
_GAP_SECONDS = 20.0


@pytest.mark.parametrize(
    "managed",
    [
        {"resources": {"requests": {"cpu": "11m", "memory": "33Mi"}, "limits": {"memory": "129Mi"}}},
        {"image": VALKEY_IMAGE},
    ],
    ids=["resources", "valkey"],
)
def test_roll_loses_nothing(
    cached: Make, writing: Writing, request: pytest.FixtureRequest, managed: dict[str, Any]
) -> None:
    cache = cached()
    before = cache.uids()
    running = writing(cache)
    cache.apply(managed=managed)

    def rolled() -> bool:
        now = cache.uids()
        return len(now) == len(before) and not set(now.values()) & set(before.values())

    cache.api.until("every node to be a new one", rolled, seconds=180)
    cache.wait_ready(seconds=120)
    running.wait_more(50)
    running.stop()
    gap = running.books().longest_gap
    request.node.user_properties += [("cache_lost", len(running.missing())), ("cache_gap", round(gap, 2))]
    assert running.missing() == []
    assert gap < _GAP_SECONDS, running.books().refused[:5]
    past = cache.status()["failovers"]
    assert past
    assert all(one["planned"] for one in past)


def test_scaling_up_and_down_keeps_the_primary(cached: Make, writing: Writing) -> None:
    cache = cached()
    running, primary = writing(cache), cache.primary()
    cache.apply(managed={"replicas": 2})
    cache.wait("to have three nodes", lambda o: (o.get("status") or {}).get("ready") == "3/3", seconds=120)
    cache.apply(managed={"replicas": 1})
    cache.wait("to have two nodes", lambda o: (o.get("status") or {}).get("ready") == "2/2", seconds=120)
    running.wait_more(20)
    running.stop()
    assert running.missing() == []
    assert cache.primary() == primary
