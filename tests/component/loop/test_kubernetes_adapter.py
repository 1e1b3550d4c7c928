"""The adapter against a real API server: what is written, who owns it, and what each refusal is called."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sophia_operator.adapters import kubernetes_access
from sophia_operator.adapters.kubernetes import KubernetesCluster
from sophia_operator.core.decision import EventType, Notice
from sophia_operator.ports import ClusterError, ObjectRef, Refusal
from tests.component.loop.conftest import Server
from tests.support.fake_cluster_harness import managed_service

pytestmark = pytest.mark.apiserver

Requests = list[tuple[str, str, str]]


def ref(obj: dict[str, Any]) -> ObjectRef:
    meta = obj["metadata"]
    return ObjectRef(obj["apiVersion"], obj["kind"], meta["namespace"], meta["name"])


def service(namespace: str) -> dict[str, Any]:
    obj = managed_service()
    obj["metadata"]["namespace"] = namespace
    return obj


def deployment(namespace: str, **container: Any) -> dict[str, Any]:
    labels = {"app": "x"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i"} | container]},
            },
        },
    }


async def refused(action: Any) -> ClusterError:
    with pytest.raises(ClusterError) as caught:
        await action
    return caught.value


async def test_apply_makes_and_takes_back_fields(cluster: KubernetesCluster, config_map: dict[str, Any]) -> None:
    made = await cluster.apply(config_map)
    assert made["data"] == {"a": "1", "b": "2"}
    config_map["data"] = {"a": "3"}
    assert (await cluster.apply(config_map))["data"] == {"a": "3"}
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("sophia-operator", "Apply")


async def test_apply_wins_over_other_writers_and_leaves_their_own_fields(
    cluster: KubernetesCluster, api: Server, config_map: dict[str, Any]
) -> None:
    await cluster.apply(config_map)
    path = f"/api/v1/namespaces/{config_map['metadata']['namespace']}/configmaps/settings"
    api.patch(path, {"data": {"a": "theirs", "c": "theirs"}})
    assert (await cluster.apply(config_map))["data"] == {"a": "1", "b": "2", "c": "theirs"}


async def test_an_equal_apply_changes_nothing(cluster: KubernetesCluster, config_map: dict[str, Any]) -> None:
    first = await cluster.apply(config_map)
    again = await cluster.apply(config_map)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_dry_run_leaves_nothing(cluster: KubernetesCluster, config_map: dict[str, Any]) -> None:
    await cluster.apply(config_map, dry_run=True)
    assert await cluster.get(ref(config_map)) is None


async def test_an_old_version_is_a_conflict(cluster: KubernetesCluster, namespace: str) -> None:
    made = await cluster.create(service(namespace))
    body = {
        "apiVersion": made["apiVersion"],
        "kind": made["kind"],
        "metadata": {"name": "app", "namespace": namespace, "resourceVersion": made["metadata"]["resourceVersion"]},
        "status": {"summary": "one"},
    }
    written = await cluster.apply_status(body)
    assert written["status"]["summary"] == "one"
    assert written["metadata"]["generation"] == made["metadata"]["generation"]
    error = await refused(cluster.apply_status(body | {"status": {"summary": "two"}}))
    assert error.refusal is Refusal.CONFLICT
    assert "modified" in error.message


async def test_status_goes_by_a_manager_of_its_own_and_takes_back_fields(
    cluster: KubernetesCluster, namespace: str
) -> None:
    made = await cluster.create(service(namespace))
    meta = {"name": "app", "namespace": namespace}
    body = {"apiVersion": made["apiVersion"], "kind": made["kind"], "metadata": meta}
    await cluster.apply_status(body | {"status": {"summary": "one", "weight": "25%"}})
    written = await cluster.apply_status(body | {"status": {"summary": "two"}})
    # What the schema defaults stays; what was applied and is not any more goes.
    assert "weight" not in written["status"]
    managers = {e["manager"] for e in written["metadata"]["managedFields"] if e.get("subresource") == "status"}
    assert managers == {"sophia-operator-status"}


async def test_conditions_keep_the_order_that_the_server_gives_them(cluster: KubernetesCluster, namespace: str) -> None:
    """Why statuses are put in order before they are compared."""
    made = await cluster.create(service(namespace))
    meta = {"name": "app", "namespace": namespace}
    body = {"apiVersion": made["apiVersion"], "kind": made["kind"], "metadata": meta}
    time = "2026-01-01T00:00:00.123456Z"

    def conditions(*types: str) -> list[dict[str, Any]]:
        return [{"type": t, "status": "True", "lastTransitionTime": time, "reason": "Settled"} for t in types]

    await cluster.apply_status(body | {"status": {"conditions": conditions("Ready")}})
    written = await cluster.apply_status(body | {"status": {"conditions": conditions("Available", "Ready")}})
    found = written["status"]["conditions"]
    assert {c["type"] for c in found} == {"Available", "Ready"}
    assert {c["lastTransitionTime"] for c in found} == {time}


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_broken_object_is_invalid(cluster: KubernetesCluster, namespace: str, dry_run: bool) -> None:
    error = await refused(cluster.apply(deployment(namespace, image=""), dry_run=dry_run))
    assert error.refusal is Refusal.INVALID
    assert "spec.template.spec.containers[0].image: Required value" in error.message


@pytest.mark.parametrize(
    "container", [{"ports": "none"}, {"imagePolicy": "Always"}, {"livenessProbe": {"httpGet": 1}}], ids=str
)
async def test_fields_that_do_not_exist_or_have_the_wrong_type_are_invalid(
    cluster: KubernetesCluster, namespace: str, container: dict[str, Any]
) -> None:
    error = await refused(cluster.apply(deployment(namespace, **container), dry_run=True))
    assert error.refusal is Refusal.INVALID, error


async def test_immutable_fields_are_invalid(cluster: KubernetesCluster, namespace: str) -> None:
    obj = deployment(namespace)
    await cluster.apply(obj)
    obj["spec"]["selector"] = {"matchLabels": {"app": "y"}}
    obj["spec"]["template"]["metadata"]["labels"] = {"app": "y"}
    error = await refused(cluster.apply(obj))
    assert error.refusal is Refusal.INVALID
    assert "immutable" in error.message


async def test_create_twice_already_exists(cluster: KubernetesCluster, config_map: dict[str, Any]) -> None:
    await cluster.create(config_map)
    assert (await refused(cluster.create(config_map))).refusal is Refusal.ALREADY_EXISTS


async def test_an_object_of_another_controller_cannot_be_taken(
    cluster: KubernetesCluster, config_map: dict[str, Any]
) -> None:
    def owned_by(uid: str) -> dict[str, Any]:
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": uid, "controller": True}
        return config_map | {"metadata": config_map["metadata"] | {"ownerReferences": [owner]}}

    await cluster.create(owned_by("1"))
    error = await refused(cluster.apply(owned_by("2")))
    assert error.refusal is Refusal.INVALID
    assert "Only one reference can have Controller set to true" in error.message


async def test_quota_is_forbidden(cluster: KubernetesCluster, api: Server, config_map: dict[str, Any]) -> None:
    namespace = config_map["metadata"]["namespace"]
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/configmaps": "0"}}}
    api.post(f"/api/v1/namespaces/{namespace}/resourcequotas", quota)
    # The quota's status is a controller's work, and none runs here.
    status = {"status": {"hard": {"count/configmaps": "0"}, "used": {"count/configmaps": "0"}}}
    api.patch(f"/api/v1/namespaces/{namespace}/resourcequotas/none/status", status)
    error = await refused(cluster.apply(config_map))
    assert error.refusal is Refusal.FORBIDDEN
    assert "exceeded quota" in error.message


async def test_rights_are_forbidden(apiserver: Path, config_map: dict[str, Any]) -> None:
    client = (await kubernetes_access.load(apiserver)).client()
    client.set_default_header("Impersonate-User", "nobody")
    cluster = KubernetesCluster(client)
    error = await refused(cluster.apply(config_map))
    assert error.refusal is Refusal.FORBIDDEN
    assert 'User "nobody" cannot patch resource "configmaps"' in error.message
    await cluster.close()


async def test_a_missing_namespace_is_not_found(cluster: KubernetesCluster, config_map: dict[str, Any]) -> None:
    config_map["metadata"]["namespace"] = "nowhere"
    assert (await refused(cluster.create(config_map))).refusal is Refusal.NOT_FOUND


async def test_get_and_delete_of_what_is_missing(cluster: KubernetesCluster, config_map: dict[str, Any]) -> None:
    assert await cluster.get(ref(config_map)) is None
    await cluster.delete(ref(config_map))


async def test_delete_only_the_one_that_was_meant(cluster: KubernetesCluster, config_map: dict[str, Any]) -> None:
    made = await cluster.create(config_map)
    error = await refused(cluster.delete(replace(ref(config_map), uid="another")))
    assert error.refusal is Refusal.CONFLICT
    await cluster.delete(replace(ref(config_map), uid=made["metadata"]["uid"]))
    assert await cluster.get(ref(config_map)) is None


async def test_a_server_that_does_not_answer_is_unavailable(apiserver: Path, config_map: dict[str, Any]) -> None:
    access = await kubernetes_access.load(apiserver)
    client = access.client()
    client.configuration.host = "https://127.0.0.1:1"
    cluster = KubernetesCluster(client)
    assert (await refused(cluster.get(ref(config_map)))).refusal is Refusal.UNAVAILABLE
    await cluster.close()


async def test_a_server_that_hangs_is_unavailable_in_time(apiserver: Path, config_map: dict[str, Any]) -> None:
    given_up = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await given_up.wait()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        client = (await kubernetes_access.load(apiserver)).client()
        client.configuration.host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        cluster = KubernetesCluster(client, timeout_seconds=0.2)
        error = await refused(cluster.apply(config_map))
        assert error.refusal is Refusal.UNAVAILABLE
        given_up.set()
        await cluster.close()
        await asyncio.sleep(0)


async def test_events_are_told_once_and_then_counted(cluster: KubernetesCluster, api: Server, namespace: str) -> None:
    made = await cluster.create(service(namespace))
    about = ObjectRef(made["apiVersion"], made["kind"], namespace, "app", made["metadata"]["uid"])
    for _ in range(3):
        await cluster.emit(about, Notice(EventType.WARNING, "GateFailed", "errors: 3 %"))
    await cluster.emit(about, Notice(EventType.NORMAL, "Promoted", "ü" * 2000))
    events = api.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    failed, promoted = sorted(events, key=lambda e: str(e["reason"]))
    assert (failed["type"], failed["note"], failed["series"]["count"]) == ("Warning", "errors: 3 %", 3)
    assert failed["regarding"]["uid"] == made["metadata"]["uid"]
    assert len(promoted["note"].encode()) <= 1024


async def test_an_event_that_cannot_be_recorded_is_no_trouble(cluster: KubernetesCluster, requests: Requests) -> None:
    about = ObjectRef("sophia.ai/v1alpha1", "ManagedService", "nowhere", "app", "1")
    await cluster.emit(about, Notice(EventType.NORMAL, "Promoted", "x"))
    assert requests == [("create", "Event", "404")]


async def test_requests_are_counted_by_verb_kind_and_code(
    cluster: KubernetesCluster, requests: Requests, config_map: dict[str, Any]
) -> None:
    await cluster.get(ref(config_map))
    await cluster.apply(config_map, dry_run=True)
    await cluster.apply(config_map)
    await cluster.delete(ref(config_map))
    assert requests == [
        ("get", "ConfigMap", "404"),
        ("dry-run", "ConfigMap", "201"),
        ("apply", "ConfigMap", "201"),
        ("delete", "ConfigMap", "200"),
    ]


async def test_lists_carry_metadata_only(cluster: KubernetesCluster, config_map: dict[str, Any]) -> None:
    await cluster.apply(config_map)
    namespace = config_map["metadata"]["namespace"]
    (found,) = await cluster.list_metadata("v1", "ConfigMap", namespace, fields="metadata.name!=kube-root-ca.crt")
    assert found["metadata"]["name"] == "settings"
    assert "data" not in found
