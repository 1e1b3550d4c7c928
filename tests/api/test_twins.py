"""Two items of one name in a list: the cluster in memory, which tests trust, refuses them as the real one does."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.ports import ClusterError, Refusal
from tests.api.kube import Api, Object, RefusedError
from tests.support import fake_cluster_fields

_APP: Object = {"name": "app", "image": "localhost/sophia-demo-app:dev"}


def _service(*ports: Object) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": {"ports": list(ports)}}


def _deployment(*containers: Object) -> Object:
    labels = {"app": "shop"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": list(containers)}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"}, "spec": spec}


def _custom(*ports: Object) -> Object:
    spec = {"template": {}, "ports": list(ports), "traffic": {"none": {}}}
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ManagedService",
        "metadata": {"name": "shop"},
        "spec": spec,
    }


_CASES: list[Any] = [
    pytest.param(
        "api/v1",
        "services",
        _service({"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "TCP"}),
        id="ports",
    ),
    pytest.param("apis/apps/v1", "deployments", _deployment(_APP, _APP), id="containers"),
    pytest.param(
        "apis/sophia.ai/v1alpha1",
        "managedservices",
        _custom({"name": "a", "port": 80}, {"name": "a", "port": 81}),
        id="ports-of-a-managed-service",
    ),
]


@pytest.mark.apiserver
@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize(("group", "plural", "body"), _CASES)
def test_the_cluster_in_memory_refuses_twins_in_the_same_words(
    group: str, plural: str, body: Object, api: Api, namespace: str
) -> None:
    with pytest.raises(ClusterError) as ours:
        fake_cluster_fields.apply(None, body, "schema-tests", {})
    assert ours.value.refusal is Refusal.INVALID
    with pytest.raises(RefusedError) as theirs:
        api.apply(f"/{group}/namespaces/{namespace}/{plural}/shop", body)
    start, said = ours.value.message.split(": ", 1)
    assert str(theirs.value).startswith(start)
    assert str(theirs.value).endswith(said)


def test_ports_of_two_protocols_are_no_twins() -> None:
    ports = [{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}]
    made, _ = fake_cluster_fields.apply(None, _service(*ports), "schema-tests", {})
    assert made["spec"]["ports"] == ports
