"""What the store keeps, which of two versions counts, and what it never keeps."""

from __future__ import annotations

from typing import Any

from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.runtime.store import ObjectStore


def obj(kind: str = "Pod", name: str = "a", version: int = 1, uid: str = "u", **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": str(version)}
    metadata |= rest.pop("metadata", {})
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest}


def labelled(name: str, service: str, **rest: Any) -> dict[str, Any]:
    return obj("Service", name, metadata={"labels": {LABEL_SERVICE: service}}, **rest)


def test_the_newer_version_counts_whichever_comes_first() -> None:
    store = ObjectStore()
    assert store.put(obj("Service", version=9, spec={"v": "new"}))
    assert not store.put(obj("Service", version=8, spec={"v": "old"}))
    found = store.get("Service", "shop", "a")
    assert found is not None
    assert found["spec"] == {"v": "new"}
    assert found["metadata"]["resourceVersion"] == "9"


def test_versions_are_compared_as_numbers() -> None:
    store = ObjectStore()
    store.put(obj("Service", version=9, spec={"v": "nine"}))
    assert store.put(obj("Service", version=10, spec={"v": "ten"}))


def test_what_says_nothing_new_is_no_news_but_its_version_counts() -> None:
    store = ObjectStore()
    store.put(obj("Service", version=1, spec={"v": 1}))
    changed = obj("Service", version=5, spec={"v": 1}, metadata={"managedFields": [{"manager": "x"}]})
    assert not store.put(changed)
    assert not store.put(obj("Service", version=4, spec={"v": 2}))
    found = store.get("Service", "shop", "a")
    assert found is not None
    assert found["metadata"]["resourceVersion"] == "5"


def test_an_object_that_was_made_anew_replaces_the_old_one() -> None:
    store = ObjectStore()
    store.put(obj(version=1, uid="old"))
    assert store.put(obj(version=2, uid="new"))
    assert not store.discard(obj(version=3, uid="old"))
    assert store.get("Pod", "shop", "a") is not None
    assert store.discard(obj(version=3, uid="new"))
    assert store.get("Pod", "shop", "a") is None


def test_an_old_deletion_does_not_take_a_newer_version_away() -> None:
    store = ObjectStore()
    store.put(obj(version=5))
    assert not store.discard(obj(version=4))


def test_children_are_found_by_label_and_sorted() -> None:
    store = ObjectStore()
    for name in ("c", "a", "b"):
        store.put(labelled(name, "app"))
    store.put(labelled("x", "other"))
    assert [o["metadata"]["name"] for o in store.children("Service", "shop", "app")] == ["a", "b", "c"]
    assert store.children("Service", "elsewhere", "app") == []


def test_a_child_that_changes_its_label_changes_its_parent() -> None:
    store = ObjectStore()
    store.put(labelled("a", "app"))
    store.put(labelled("a", "other", version=2))
    assert store.children("Service", "shop", "app") == []
    assert len(store.children("Service", "shop", "other")) == 1


def test_whoever_gets_an_object_may_change_it() -> None:
    store = ObjectStore()
    store.put(obj("Service", spec={"ports": [1]}))
    found: Any = store.get("Service", "shop", "a")
    found["spec"]["ports"].append(2)
    again = store.get("Service", "shop", "a")
    assert again is not None
    assert again["spec"] == {"ports": [1]}


def test_of_configuration_only_a_hash_is_kept() -> None:
    store = ObjectStore()
    store.put(obj("Secret", "key", data={"password": "c2VjcmV0"}, type="Opaque"))
    store.put(obj("ConfigMap", "settings", data={"a": "plain"}))
    assert "c2VjcmV0" not in str(store.get("Secret", "shop", "key"))
    assert "plain" not in str(store.get("ConfigMap", "shop", "settings"))
    assert store.config_hash("Secret", "shop", "key") is not None
    assert store.config_hash("Secret", "shop", "other") is None


def test_the_hash_tells_content_and_names_apart_but_not_objects() -> None:
    store = ObjectStore()
    hashes = set()
    contents: list[dict[str, Any]] = [{"data": {"a": "1"}}, {"data": {"a": "2"}}, {"binaryData": {"a": "1"}}, {}]
    for version, content in enumerate(contents, start=1):
        store.put(obj("ConfigMap", "c", version=version, **content))
        hashes.add(store.config_hash("ConfigMap", "shop", "c"))
    assert len(hashes) == 4
    store.put(obj("ConfigMap", "d", data={"a": "1"}))
    assert store.config_hash("ConfigMap", "shop", "d") not in hashes
    store.put(obj("ConfigMap", "c", version=9, uid="made anew", data={"a": "1"}, immutable=True))
    assert store.config_hash("ConfigMap", "shop", "c") in hashes


def test_a_change_of_configuration_is_news() -> None:
    store = ObjectStore()
    store.put(obj("Secret", "key", data={"a": "1"}))
    assert store.put(obj("Secret", "key", version=2, data={"a": "2"}))
    assert not store.put(obj("Secret", "key", version=3, data={"a": "2"}))


def test_routes_are_found_by_host_name() -> None:
    store = ObjectStore()
    store.put(obj("HTTPRoute", "r", spec={"hostnames": ["a.example.com", "b.example.com"]}))
    store.put(obj("HTTPRoute", "all", spec={}))
    assert [r["metadata"]["name"] for r in store.routes_for("b.example.com")] == ["r"]
    assert [r["metadata"]["name"] for r in store.routes_for("")] == ["all"]
    store.put(obj("HTTPRoute", "r", version=2, spec={"hostnames": ["c.example.com"]}))
    assert store.routes_for("a.example.com") == []


def test_of_pods_and_endpoints_only_what_is_read_is_kept() -> None:
    store = ObjectStore()
    pod = obj(
        spec={"containers": [{"env": ["x" * 1000]}]},
        status={
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": None}, {"type": "Initialized"}],
            "containerStatuses": [
                {
                    "name": "app",
                    "ready": False,
                    "restartCount": 3,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"reason": "Error", "exitCode": 1, "containerID": "x"}},
                }
            ],
        },
    )
    store.put(pod)
    found = store.get("Pod", "shop", "a")
    assert found is not None
    assert found["status"] == {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": "app",
                "ready": False,
                "restartCount": 3,
                "waiting": {"reason": "CrashLoopBackOff", "message": "back-off"},
                "ended": {"reason": "Error", "exitCode": 1},
            }
        ],
    }
    assert "spec" not in found


def test_of_why_a_pod_ended_a_short_message_is_kept() -> None:
    store = ObjectStore()
    message = "The node was low on resource: memory. " + "Container app was using 1Gi. " * 50
    store.put(obj(status={"phase": "Failed", "reason": "Evicted", "message": message}))
    found = store.get("Pod", "shop", "a")
    assert found is not None
    assert found["status"]["reason"] == "Evicted"
    assert found["status"]["message"] == message[:200]


def test_children_of_a_pool_are_found_by_its_own_label() -> None:
    store = ObjectStore()
    store.put(labelled("of-service", "app"))
    store.put(obj("Service", "of-pool", metadata={"labels": {LABEL_POOL: "app"}}))
    store.put(obj("Service", "of-both", metadata={"labels": {LABEL_POOL: "app", LABEL_SERVICE: "app"}}))

    def found(**label: str) -> list[str]:
        return [o["metadata"]["name"] for o in store.children("Service", "shop", "app", **label)]

    assert found() == ["of-both", "of-service"]
    assert found(label=LABEL_POOL) == ["of-both", "of-pool"]
    store.discard(obj("Service", "of-both", version=2))
    assert (found(), found(label=LABEL_POOL)) == (["of-service"], ["of-pool"])


def test_pools_are_found_by_their_server_whatever_they_call_it() -> None:
    store = ObjectStore()

    def pool(name: str, host: str, version: int = 1) -> dict[str, Any]:
        status = {"budget": {"granted": 10 * version}}
        return obj("ConnectionPool", name, version, spec={"database": {"host": host}}, status=status)

    for name, host in (("a", "db"), ("b", "db.shop.svc"), ("c", "db.chat.svc")):
        store.put(pool(name, host))
    assert store.granted_at("db.shop:5432") == [(("shop", "a"), 10), (("shop", "b"), 10)]
    store.put(pool("b", "db", 3))
    store.put(pool("a", "elsewhere", 2))
    assert store.granted_at("db.shop:5432") == [(("shop", "b"), 30)]
    store.put(obj("ConnectionPool", "new", spec={"database": {"host": "new"}}))
    assert store.granted_at("new.shop:5432") == [(("shop", "new"), 0)]
    store.put(obj("ConnectionPool", "broken", spec={}))
    assert len(store.all("ConnectionPool")) == 5


def test_addresses_of_a_pools_pods() -> None:
    store = ObjectStore()
    for number, label in enumerate((LABEL_POOL, LABEL_POOL, LABEL_SERVICE)):
        status = {"podIP": f"10.0.0.{number}"} if number != 1 else {}
        store.put(obj("Pod", f"p{number}", metadata={"labels": {label: "app"}}, status=status))
    assert store.addresses_of("shop", "app", LABEL_POOL) == {"10.0.0.0"}
    store.put(obj("Pod", "p1", 2, metadata={"labels": {LABEL_POOL: "app"}}, status={"podIP": "fd00::1"}))
    assert store.addresses_of("shop", "app", LABEL_POOL) == {"10.0.0.0", "fd00::1"}
