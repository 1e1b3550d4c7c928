"""Settings that Redis takes live are set with no pod replaced, and put right when somebody changes them."""

from __future__ import annotations

import base64
from collections.abc import Callable

import redis

from hack.rig.caches import Cache

Make = Callable[..., Cache]
_MIB = 1024 * 1024


def admin(cache: Cache, node: str) -> redis.Redis:
    """The operator's own user, as only a test may use it."""
    access = cache.api.get("Secret", cache.namespace, "near-cache-access")
    assert access is not None
    keys = {key: base64.b64decode(value).decode() for key, value in access["data"].items()}
    return cache.client(cache.address(node), username="sophia-admin", password=keys["admin-password"])


def test_live_settings_replace_no_pod(cached: Make) -> None:
    cache = cached()
    before = cache.uids()
    cache.apply(managed={"maxMemoryMegabytes": 48, "evictionPolicy": "VolatileTTL"})
    cache.wait_condition("LiveConfigApplied", "True", seconds=60)
    cache.wait_ready()
    assert cache.uids() == before
    for node in before:
        with admin(cache, node) as client:
            found = client.config_get("maxmemory*")
            assert (int(found["maxmemory"]), found["maxmemory-policy"]) == (48 * _MIB, "volatile-ttl")


def test_what_somebody_sets_by_hand_is_put_right(cached: Make) -> None:
    cache = cached()
    node = str(cache.primary())
    with admin(cache, node) as client:
        client.config_set("maxmemory", 1024 * 1024 * 5)
        cache.api.until(
            "the setting to be put right",
            lambda: int(client.config_get("maxmemory")["maxmemory"]) == 32 * _MIB,
            seconds=60,
        )
