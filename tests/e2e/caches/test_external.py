"""A Redis that somebody else runs is looked at, kept to its namespaces, and otherwise left as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from hack.rig.api import Api, Json, is_ready
from hack.rig.caches import PORT, REDIS_IMAGE, Cache

PASSWORD = "somebody-else-s"


def foreign_pod(namespace: str) -> Json:
    """A Redis with one password and a limit of its own."""
    command = ["redis-server", "--port", str(PORT), "--requirepass", PASSWORD, "--maxmemory", "20mb"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "foreign", "namespace": namespace, "labels": {"app": "foreign"}},
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "redis",
                    "image": REDIS_IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": [*command, "--save", "", "--dir", "/tmp"],
                    "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


@pytest.fixture
def foreign(cluster: Api, namespace: str) -> str:
    """Host name of a Redis that the operator does not run."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "foreign", "namespace": namespace},
        "stringData": {"password": PASSWORD},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "foreign", "namespace": namespace},
        "spec": {"selector": {"app": "foreign"}, "ports": [{"port": PORT}]},
    }
    for obj in (secret, service, foreign_pod(namespace)):
        cluster.apply(obj)

    def started() -> bool:
        found = cluster.get("Pod", namespace, "foreign")
        return found is not None and is_ready(found)

    cluster.until("the foreign Redis to be ready", started, seconds=60)
    return f"foreign.{namespace}.svc"


@pytest.fixture
def client(cluster: Api, namespace: str, foreign: str) -> Iterator[redis.Redis]:
    """A client of it, who may do everything."""
    assert foreign
    pod = cluster.get("Pod", namespace, "foreign")
    assert pod is not None
    with redis.Redis(pod["status"]["podIP"], PORT, password=PASSWORD, decode_responses=True) as made:
        yield made


def external(host: str, **changes: Any) -> Json:
    return {"external": {"host": host, "credentialsSecretRef": {"name": "foreign"}, **changes}}


def test_adopted_redis_is_looked_at_and_its_settings_stay(
    cluster: Api, namespace: str, foreign: str, client: redis.Redis
) -> None:
    cache = Cache(cluster, namespace)
    before = client.config_get("*")
    client.set("foreign:one", "x")
    client.set("emb:g1:one", "x")
    cache.apply(redis=external(foreign))
    cache.wait_ready(seconds=60)
    binding = cache.binding()
    assert (binding["host"], binding["port"], binding["password"]) == (foreign, str(PORT), PASSWORD)
    cluster.until("the entry to have a TTL", lambda: client.ttl("emb:g1:one") > 0, seconds=60)
    assert client.ttl("foreign:one") == -1
    assert client.config_get("*") == before
    assert cache.pods() == []


def test_its_memory_is_set_when_that_is_asked_for_and_nothing_else(
    cluster: Api, namespace: str, foreign: str, client: redis.Redis
) -> None:
    cache = Cache(cluster, namespace)
    before = client.config_get("*")
    cache.apply(redis=external(foreign, manageConfig=True, maxMemoryMegabytes=24, evictionPolicy="AllKeysLRU"))
    cache.wait_ready(seconds=60)
    cache.wait_condition("LiveConfigApplied", "True")
    after = client.config_get("*")
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"maxmemory", "maxmemory-policy"}
    assert after["maxmemory"] == str(24 * 1024 * 1024)


def test_flush_of_it_leaves_keys_of_others(cluster: Api, namespace: str, foreign: str, client: redis.Redis) -> None:
    cache = Cache(cluster, namespace)
    cache.apply(redis=external(foreign))
    cache.wait_ready(seconds=60)
    for number in range(100):
        client.set(f"emb:g1:{number}", "x")
        client.set(f"foreign:{number}", "x")
    cache.patch(flush={"name": "one", "namespaceName": "emb"})
    assert cache.wait_flushed("one")["deleted"] == 100
    # Beside these two, the operator's check of writes may have its own key there for some seconds.
    assert client.keys("emb:*") == []
    assert len(client.keys("foreign:*")) == 100
