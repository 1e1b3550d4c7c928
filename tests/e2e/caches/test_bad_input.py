"""What is wrong with a tier: a condition with a reason and a remedy, an Event once, and what serves keeps serving."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from hack.rig.api import Api, ApiError
from hack.rig.cache_writes import CacheWrites
from hack.rig.caches import NAMESPACE, Cache
from hack.rig.database_objects import IMAGE

Make = Callable[..., Cache]
Writing = Callable[[Cache], CacheWrites]
#: Several looks, at one a second: who tells the same at each of them would have told it by then.
_LOOKS_SECONDS = 4.0


def says(cache: Cache, reason: str, *words: str) -> None:
    """The tier gives that reason, in words that help, and told it once."""
    cache.wait_reason(reason, *words, seconds=120)
    time.sleep(_LOOKS_SECONDS)
    told = cache.wait_events(reason)
    assert len(told) == 1, [event["message"] for event in told]
    assert not told[0].get("series"), "told again and again"


@pytest.mark.parametrize(
    ("redis", "reason", "word"),
    [
        ({"external": {"host": "nowhere.invalid"}}, "HostUnknown", "nowhere.invalid"),
        ({"external": {"host": "kubernetes.default.svc", "port": 6380}}, "NodeUnreachable", "6380"),
        ({"external": {"host": "x", "credentialsSecretRef": {"name": "nothing"}}}, "SecretNotFound", "nothing"),
    ],
)
def test_external_redis_that_does_not_answer(
    cluster: Api, namespace: str, redis: dict[str, Any], reason: str, word: str
) -> None:
    cache = Cache(cluster, namespace)
    cache.apply(redis=redis)
    says(cache, reason, word)
    assert (cache.condition("Ready") or {}).get("status") == "False"


@pytest.mark.parametrize(("image", "reason"), [("localhost/no-such-redis:1", "ImagePullFailed"), (IMAGE, "CrashLoop")])
def test_image_that_does_not_work_never_takes_the_primary(
    cached: Make, writing: Writing, image: str, reason: str
) -> None:
    cache = cached()
    primary = str(cache.primary())
    uid = cache.uids()[primary]
    running = writing(cache)
    cache.apply(managed={"image": image, "imagePullPolicy": "IfNotPresent"})
    cache.wait_reason(reason, seconds=180)
    running.wait_more(50)
    assert cache.uids().get(primary) == uid
    cache.apply()
    cache.wait_ready(seconds=180)
    running.stop()
    assert running.missing() == []


def test_tier_below_that_is_missing_is_told_and_found_once_it_is_there(cached: Make) -> None:
    cache = cached()
    cache.patch(next="far")
    cache.wait_reason("TierNotFound", "far", seconds=60)
    with cache.client() as client:
        assert client.ping()
    far = Cache(cache.api, cache.namespace, "far")
    far.apply(level="Memory", namespaces=[NAMESPACE])
    cache.wait("to have a chain of two", lambda o: o["status"].get("chain") == ["near", "far"], seconds=60)
    far.patch(next="near")
    cache.wait_reason("ChainCycle", seconds=60)
    far.patch(next=None)
    cache.wait_ready(seconds=60)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"redis": {"managed": {}, "external": {"host": "x"}}}, "redis needs managed or external, not both"),
        ({"namespaces": [{"name": "emb", "prefix": "emb:"}]}, "prefix"),
        ({"namespaces": [NAMESPACE, {**NAMESPACE, "name": "other"}]}, "prefix"),
        ({"warmUp": {"source": "HttpList"}}, "HttpList needs warmUp.httpList"),
        ({"origin": {}}, "origin needs poolRef or query"),
        ({"flush": {"name": "x"}}, "flush needs exactly one of"),
        ({"managed": {"replicas": 9}}, "replicas"),
    ],
)
def test_refused_at_admission(cluster: Api, namespace: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError) as refused:
        Cache(cluster, namespace).apply(**changes)
    assert refused.value.code == 422
    assert words in refused.value.message
