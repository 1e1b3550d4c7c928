"""What a pass sees of a pool's pods, and what it keeps of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.core.pool import names
from sophia_operator.core.pool.views import Kept, PoolObserved
from sophia_operator.runtime.pools.observe import observe, pool_view
from sophia_operator.runtime.slim import slim
from sophia_operator.runtime.store import ObjectStore, _Entry
from tests.support.fake_pools_harness import connection_pool

LABELS = names.labels("orders")


def obj(kind: str, name: str, **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "1", "labels": LABELS}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata | rest.pop("metadata", {}), **rest}


def pod(name: str = "p1", restart: str = "new", image: str = "pgbouncer:1", **status: Any) -> dict[str, Any]:
    metadata = {"annotations": {names.ANNOTATION_RESTART: restart}}
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "podIP": "10.2.0.1", "phase": "Running"}
    spec = {"containers": [{"name": "pgbouncer", "image": image}, {"name": "injected", "image": "mesh:9"}]}
    return obj("Pod", name, metadata=metadata, spec=spec, status=ready | status)


def deployment(updated: int = 1, replicas: int = 2, observed: int = 1) -> dict[str, Any]:
    template = {
        "metadata": {"annotations": {names.ANNOTATION_RESTART: "new"}},
        "spec": {"containers": [{"name": "pgbouncer", "image": "pgbouncer:1"}]},
    }
    status = {"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated}
    owner = {"kind": "ConnectionPool", "name": "orders", "uid": "uid-orders", "controller": True}
    metadata = {"generation": 1, "ownerReferences": [owner]}
    return obj(
        "Deployment", "orders-pool", metadata=metadata, spec={"replicas": 2, "template": template}, status=status
    )


def seen(*objects: dict[str, Any], **spec: Any) -> PoolObserved:
    store = ObjectStore()
    for one in objects:
        store.put(one)
    raw = connection_pool(**spec)
    raw["metadata"] |= {"uid": "uid-orders", "resourceVersion": "1", "creationTimestamp": "2026-03-01T12:00:00Z"}
    return observe(store, pool_view(raw), None, Kept(), usernames={}).observed


@pytest.mark.parametrize(
    ("one", "current"),
    [
        (pod(), True),
        (pod(restart="old"), False),
        (pod(image="pgbouncer:0"), False),
    ],
    ids=["new", "older settings", "older image"],
)
def test_pods_of_the_newest_template_are_told_by_what_they_were_made_from(one: dict[str, Any], current: bool) -> None:
    found = seen(one, pod("p2", restart="old"), deployment())
    assert [i.current for i in found.instances] == [current, False]
    assert found.fleet is not None
    assert found.fleet.rolling


def test_all_pods_are_current_when_the_controller_says_so() -> None:
    """An admission webhook may have given them another image."""
    mirrored = [pod(name, image="mirror.example.com/pgbouncer:1") for name in ("p1", "p2")]
    found = seen(*mirrored, deployment(updated=2))
    assert [i.current for i in found.instances] == [True, True]
    assert found.fleet is not None
    assert not found.fleet.rolling
    behind = seen(*mirrored, deployment(updated=2, observed=0))
    assert [i.current for i in behind.instances] == [False, False]
    assert behind.fleet is not None
    assert not behind.fleet.caught_up


def test_pods_that_go_are_no_instances_to_count_on() -> None:
    going = pod("p2")
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    evicted = pod("p3", phase="Failed", reason="Evicted", message="low on memory")
    found = seen(pod(), going, evicted, deployment())
    assert [(i.name, i.terminating) for i in found.instances] == [("p1", False), ("p2", True)]
    assert found.fleet is not None
    assert (found.fleet.pods, found.fleet.ready_pods) == (1, 1)
    assert found.fleet.problem is not None
    assert "evicted" in found.fleet.problem.message


def test_a_deployment_of_somebody_else_is_not_seen() -> None:
    theirs = deployment()
    theirs["metadata"]["ownerReferences"] = [{"kind": "Other", "name": "x", "uid": "other", "controller": True}]
    assert seen(theirs).fleet is None


def test_little_is_kept_of_a_pod_and_nothing_of_a_budgets_status() -> None:
    kept = slim(pod())
    assert kept["spec"] == {
        "containers": [
            {"name": "pgbouncer", "image": "pgbouncer:1"},
            {"name": "injected", "image": "mesh:9"},
        ]
    }
    assert kept["status"]["podIP"] == "10.2.0.1"
    budget = obj("PodDisruptionBudget", "orders-pool", spec={"minAvailable": 1}, status={"currentHealthy": 2})
    assert slim(budget).keys() == {"apiVersion", "kind", "metadata", "spec"}


def test_other_pools_of_the_server_cost_no_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a hundred, and each is looked at by every other one every few seconds."""
    loaded = []
    load = _Entry.load

    def count_and_load(entry: _Entry) -> dict[str, Any]:
        loaded.append(entry)
        return load(entry)

    monkeypatch.setattr(_Entry, "load", count_and_load)
    others = []
    for number in range(3):
        other = connection_pool(f"other-{number}")
        other["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": "1"}
        labels = names.labels(f"other-{number}")
        others += [
            other | {"status": {"budget": {"granted": 5 + number}}},
            pod(f"q{number}", podIP=f"10.3.0.{number}")
            | {"metadata": pod(f"q{number}")["metadata"] | {"labels": labels}},
        ]
    alone = seen(pod(), deployment())
    count = len(loaded)
    observed = seen(pod(), deployment(), *others)
    assert len(loaded) == 2 * count
    assert replace(observed, claims=()) == alone
    found = [(c.name, c.granted, c.addresses) for c in observed.claims]
    assert found == [(f"other-{number}", 5 + number, frozenset({f"10.3.0.{number}"})) for number in range(3)]
