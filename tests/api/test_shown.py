"""What people and autoscalers see of an object, at the real API server: columns and the scale subresource."""

from __future__ import annotations

import pytest

from tests.api.examples import Example, examples
from tests.api.kube import Api, RefusedError

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("crds")]

_RESOURCES = "/apis/sophia.ai/v1alpha1/namespaces"


def example(name: str) -> Example:
    return next(found for found in examples("valid") if str(found) == name)


def test_columns_of_a_service(api: Api, namespace: str) -> None:
    api.submit(example("service-full").documents[0], namespace)
    (row,) = api.table(f"{_RESOURCES}/{namespace}/managedservices")
    row.pop("Age")
    assert row == {
        "Name": "shop",
        "Ready": "True",
        "Stable": "shop-6",
        "Rollout": "Shifting 5%",
        "Weight": "5%",
        "Replicas": 3,
        "Reason": "Progressing",
        "Message": "shop-7 is at 5 percent.",
    }


def test_columns_of_a_release(api: Api, namespace: str) -> None:
    api.submit(example("release-full").documents[0], namespace)
    (row,) = api.table(f"{_RESOURCES}/{namespace}/releases")
    row.pop("Age")
    assert row == {
        "Name": "shop-7",
        "Service": "shop",
        "Phase": "Shifting 10%",
        "Stage": 10,
        "Weight": 9,
        "Intent": "Proceed",
        "Reason": "Shifting",
        "Message": "At 10 percent.",
    }


def test_columns_of_a_pool(api: Api, namespace: str) -> None:
    api.submit(example("pool-full").documents[0], namespace)
    (row,) = api.table(f"{_RESOURCES}/{namespace}/connectionpools")
    row.pop("Age")
    assert row == {
        "Name": "orders",
        "Ready": "2/2",
        "Healthy": "True",
        "In use": "7/20",
        "Waiting": 0,
        "Role": "ReadWrite",
        "Score": 95,
        "Server": "192.0.2.7",
        "Reason": "PoolReady",
        "Message": "2 of 2 instances are ready.",
    }


def test_columns_of_a_cache(api: Api, namespace: str) -> None:
    api.submit(example("ctier-full").documents[0], namespace)
    (row,) = api.table(f"{_RESOURCES}/{namespace}/cachetiers")
    row.pop("Age")
    assert row == {
        "Name": "hot",
        "Ready": "True",
        "Healthy": "True",
        "Level": "Redis",
        "Used": "12Mi/256Mi",
        "Hit %": 91,
        "Primary": "hot-cache-0",
        "Score": 95,
        "Nodes": "2/2",
        "Reason": "TierReady",
        "Message": "2 of 2 nodes are ready.",
    }


def test_columns_of_a_model_route(api: Api, namespace: str) -> None:
    api.submit(example("mroute-full").documents[0], namespace)
    (row,) = api.table(f"{_RESOURCES}/{namespace}/modelroutes")
    row.pop("Age")
    assert row == {
        "Name": "chat",
        "Ready": "True",
        "Active": "small",
        "Best": "large",
        "To": "large",
        "Percent": 10,
        "Proved": "Unknown",
        "Pin": "small",
        "Reason": "RouteReady",
        "Message": "model small serves",
    }


def test_columns_of_a_recovery_policy(api: Api, namespace: str) -> None:
    api.submit(example("rpol-full").documents[0], namespace)
    (row,) = api.table(f"{_RESOURCES}/{namespace}/recoverypolicies")
    row.pop("Age")
    assert row == {
        "Name": "all",
        "Ready": "True",
        "Mode": "Auto",
        "Targets": 4,
        "Symptomatic": 1,
        "Storm": "False",
        "Reason": "Watching",
        "Message": "4 objects are looked at",
    }


def test_columns_of_a_recovery_action(api: Api, namespace: str) -> None:
    """They tell the story: of what, why, what was done, and whether it helped."""
    document = example("ract-full").documents[0]
    api.submit(document, namespace)
    of_the_operator = example("ract-of-the-operator-custom").documents[0]
    api.submit(of_the_operator, namespace)
    rows = {row.pop("Name"): row for row in api.table(f"{_RESOURCES}/{namespace}/recoveryactions")}
    for row in rows.values():
        row.pop("Age")
    assert rows["all"] == {
        "Kind": "ConnectionPool",
        "Target": "orders",
        "Symptom": None,
        "Action": "LimitConnections",
        "Phase": "Succeeded",
        "Verified": "Helped",
        "Policy": None,
        "By": "eve",
        "Reason": "Helped",
        "Message": "the symptom is gone",
    }
    found = rows["pools-orders-1"]
    assert (found["Symptom"], found["Policy"], found["By"]) == ("SlowQueries", "pools", None)


def test_a_new_object_has_its_columns_empty_and_its_defaults_set(api: Api, namespace: str) -> None:
    made = api.submit(example("service-minimal").documents[0], namespace)
    assert (made["spec"]["replicas"], made["spec"]["paused"], made["spec"]["historyLimit"]) == (1, False, 10)
    (row,) = api.table(f"{_RESOURCES}/{namespace}/managedservices")
    assert (row["Ready"], row["Stable"]) == (None, None)


def test_a_service_is_scaled_by_its_subresource(api: Api, namespace: str) -> None:
    api.submit(example("service-full").documents[0], namespace)
    path = f"{_RESOURCES}/{namespace}/managedservices/shop"
    scale = api.get(f"{path}/scale")
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 3, "selector": "sophia.ai/service=shop,sophia.ai/color=blue"}
    api.put(f"{path}/scale", {**scale, "spec": {"replicas": 5}})
    assert api.get(path)["spec"]["replicas"] == 5


def test_a_pool_is_scaled_by_its_subresource(api: Api, namespace: str) -> None:
    api.submit(example("pool-full").documents[0], namespace)
    path = f"{_RESOURCES}/{namespace}/connectionpools/orders"
    scale = api.get(f"{path}/scale")
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 2, "selector": "sophia.ai/pool=orders"}
    api.put(f"{path}/scale", {**scale, "spec": {"replicas": 3}})
    assert api.get(path)["spec"]["instances"] == 3
    most = api.get(path)["spec"]["size"]["max"]
    assert most < 50
    with pytest.raises(RefusedError, match=r"size\.max must be at least instances"):
        api.put(f"{path}/scale", {**api.get(f"{path}/scale"), "spec": {"replicas": most + 1}})


def test_the_status_is_written_by_its_subresource_alone(api: Api, namespace: str) -> None:
    document = example("service-full").documents[0]
    made = api.submit({key: value for key, value in document.items() if key != "status"}, namespace)
    assert "status" not in made
    path = f"{_RESOURCES}/{namespace}/managedservices/shop"
    # Each way in leaves the other part alone.
    api.put(f"{path}/status", {**made, "spec": {**made["spec"], "replicas": 9}, "status": {"summary": "new"}})
    api.put(path, {**api.get(path), "status": {"summary": "other"}})
    found = api.get(path)
    assert (found["spec"]["replicas"], found["status"]["summary"]) == (3, "new")
