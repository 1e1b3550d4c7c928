"""Listing at a real API server, page by page; and what the framework is left with once the store has an object."""

from __future__ import annotations

import pytest

from sophia_operator.adapters import kubernetes
from sophia_operator.adapters.kubernetes import KubernetesCluster
from sophia_operator.handlers import children
from sophia_operator.ports import ClusterError, Refusal
from tests.component.loop.conftest import Server

pytestmark = pytest.mark.apiserver


async def test_pages_hold_every_object_once_and_say_what_it_is(
    cluster: KubernetesCluster, api: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "_PAGE", 2)
    names = [f"settings-{n}" for n in range(5)]
    for name in names:
        api.post(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": name, "labels": {"a": "b"}}})
    pages = [page async for page in cluster.list_objects("v1", "ConfigMap", namespace, labels="a=b")]
    assert [len(page) for page in pages] == [2, 2, 1]
    found = [obj for page in pages for obj in page]
    assert [obj["metadata"]["name"] for obj in found] == names
    assert {(obj["apiVersion"], obj["kind"]) for obj in found} == {("v1", "ConfigMap")}


async def test_a_kind_that_is_not_installed_is_not_found(cluster: KubernetesCluster) -> None:
    with pytest.raises(ClusterError) as refused:
        async for _ in cluster.list_objects("gateway.networking.k8s.io/v1", "HTTPRoute", None):
            pass
    assert refused.value.refusal is Refusal.NOT_FOUND


def test_of_an_object_that_was_fed_the_framework_keeps_names_and_finalizers() -> None:
    metadata = {"name": "x", "uid": "1", "finalizers": ["f"], "managedFields": [{"manager": "m"}]}
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"a": 1}, "status": {"b": 2}}
    children._let_go(obj)
    assert obj == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "uid": "1", "finalizers": ["f"]},
    }
