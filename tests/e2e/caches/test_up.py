"""A tier comes up: applications get what they need, and people see how it is."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

import pytest
import redis
import redis.exceptions

from hack.cluster import binaries, paths
from hack.cluster.kubectl import Kubectl
from hack.rig.caches import PORT, Cache, condition_of

Make = Callable[..., Cache]
#: Nothing else in the Secrets is so long.
_PASSWORD_LENGTH = 16


def test_tier_is_ready_and_its_binding_is_all_that_an_application_needs(cached: Make) -> None:
    cache = cached()
    found = cache.object()
    for kind in ("Ready", "Healthy", "LiveConfigApplied"):
        assert (condition_of(found, kind) or {}).get("status") == "True", kind
    status = found["status"]
    assert status["ready"] == "2/2"
    assert cache.wait_labelled("primary") == [status["primary"]]
    cache.wait_labelled("replica")
    assert {n["name"]: n["role"] for n in status["nodes"]}[status["primary"]] == "Primary"
    assert status["score"] == sum(part["points"] for part in status["scoreParts"])
    secret = cache.api.get("Secret", cache.namespace, status["binding"]["name"])
    assert secret is not None
    assert secret["type"] == "servicebinding.io/redis"
    binding = cache.binding()
    assert binding["type"] == "redis"
    assert (binding["host"], binding["port"]) == (f"near-cache.{cache.namespace}.svc", str(PORT))
    with cache.client() as client:
        assert client.set("emb:g1:one", "value", ex=60)
        assert client.get("emb:g1:one") == "value"
        for command in ("FLUSHALL", "SHUTDOWN", "CONFIG GET maxmemory", "REPLICAOF NO ONE"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split())
    with cache.client(password="wrong") as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    written = cache.api.get("ConfigMap", cache.namespace, status["binding"]["configMapName"])
    assert written is not None
    (level,) = json.loads(written["data"]["chain.json"])["levels"]
    assert (level["name"], level["namespaces"][0]["keyPrefix"]) == ("near", "emb:g1:")


def test_replica_takes_no_writes_from_applications(cached: Make) -> None:
    cache = cached()
    (replica,) = cache.wait_labelled("replica")
    with cache.client(cache.address(replica)) as client, pytest.raises(redis.ReadOnlyError):
        client.set("emb:g1:one", "value")


def test_tier_tells_nobody_a_password(cached: Make) -> None:
    cache = cached()
    access = cache.api.get("Secret", cache.namespace, "near-cache-access")
    assert access is not None
    made = {base64.b64decode(value).decode() for value in access["data"].values()}
    passwords = {cache.binding()["password"], *(value for value in made if len(value) >= _PASSWORD_LENGTH)}
    assert len(passwords) >= 3
    told = [str(cache.object()), *(str(pod) for pod in cache.pods())]
    told += [str(event) for event in cache.api.list("Event", cache.namespace)]
    told += [cache.api.logs(cache.namespace, name) for name in cache.uids()]
    (operator,) = cache.api.list("Pod", "sophia-system", "app.kubernetes.io/name=sophia-operator")
    told.append(cache.api.logs("sophia-system", operator["metadata"]["name"]))
    for password in passwords:
        assert not [text[:200] for text in told if password in text]


def test_tier_reads_well_in_kubectl(cached: Make) -> None:
    cache = cached()
    kubectl = Kubectl(binaries.view(), paths.kubeconfig())
    wide = kubectl.call("get", "cachetier", "near", f"--namespace={cache.namespace}", "--output=wide")
    assert re.search(r"\b2/2\b", wide), wide
    assert "near" in wide.split()
    described = kubectl.call("describe", "cachetier", "near", f"--namespace={cache.namespace}")
    assert str(cache.primary()) in described


def test_tier_without_replicas_serves(cached: Make) -> None:
    cache = cached(managed={"replicas": 0})
    assert cache.status()["ready"] == "1/1"
    with cache.client() as client:
        assert client.set("emb:g1:one", "value")
