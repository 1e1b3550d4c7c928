"""What only the cluster can know is wrong: Stalled with a remedy, and what serves keeps serving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hack.rig.api import ApiError
from hack.rig.services import GATEWAY, Service, hostname, rollout, service, stages
from tests.e2e.conftest import Loaded
from tests.e2e.endings import goes_back, goes_forward, serves_alone, settles

Make = Callable[..., Loaded]


def stalled(target: Service, reason: str, *words: str) -> dict[str, Any]:
    """Wait until the service is Stalled for that reason, in words that help."""

    def look() -> dict[str, Any] | None:
        found = target.condition("Stalled")
        return found if found is not None and found["reason"] == reason else None

    found = target.api.until(f"Stalled: {reason}", look, seconds=30)
    for word in words:
        assert word in found["message"], found["message"]
    assert target.condition("Reconciling") is None
    return found


def test_missing_gateway(loaded: Make) -> None:
    world = loaded()
    traffic = {"gateway": {"parentRefs": [{"name": "nowhere", "namespace": "projectcontour"}], "hostnames": ["x.test"]}}
    other = Service(world.service.api, "lost", world.service.namespace)
    other.apply(traffic=traffic)
    stalled(other, "GatewayNotFound", "nowhere")
    other.apply()
    other.wait_settled(1)
    settles(world, 1)
    world.report()


def test_serving_service_keeps_its_route_while_the_spec_names_no_gateway_that_there_is(loaded: Make) -> None:
    world = loaded()
    nowhere = {"parentRefs": [{"name": "nowhere", "namespace": "projectcontour"}], "hostnames": [world.service.host]}
    world.service.apply(traffic={"gateway": nowhere})
    stalled(world.service, "GatewayNotFound", "nowhere", "app-1 keeps serving")
    serves_alone(world, 1)
    world.service.apply()
    goes_forward(world, 2)
    world.report()


def test_serving_release_that_is_deleted_by_hand_takes_no_users_away(loaded: Make) -> None:
    world = loaded(plan=rollout(stages=stages(50, 100, seconds=2)))
    world.service.api.delete("Release", world.service.namespace, "app-1")
    goes_forward(world, 2)
    world.report()


def test_hostname_taken_by_another_route(loaded: Make) -> None:
    world = loaded()
    name, namespace = "squatter", world.service.namespace
    traffic = {"gateway": {"parentRefs": [GATEWAY], "hostnames": [hostname("app", namespace)]}}
    other = Service(world.service.api, name, namespace)
    other.apply(traffic=traffic)
    stalled(other, "HostnameTaken", "app")
    settles(world, 1)
    world.report()


def test_object_of_somebody_else_is_left_alone(loaded: Make) -> None:
    world = loaded(rate=1.0)
    world.load.stop()
    api, namespace = world.service.api, world.service.namespace
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "mine-blue", "namespace": namespace, "labels": {"owner": "somebody"}},
        "spec": {"ports": [{"port": 8080}], "selector": {"app": "else"}},
    }
    api.apply(foreign)
    other = Service(api, "mine", namespace)
    other.apply()
    stalled(other, "NotOwned", "mine-blue")
    kept = api.get("Service", namespace, "mine-blue")
    assert kept is not None
    assert kept["spec"]["selector"] == {"app": "else"}
    api.delete("Service", namespace, "mine-blue")
    other.wait_settled(1, seconds=90)


def test_template_that_the_server_refuses(loaded: Make) -> None:
    world = loaded()
    bad = service("app", world.service.namespace)
    bad["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 99999}]
    world.service.api.apply(bad)
    stalled(world.service, "InvalidTemplate", "containerPort", "app-1 keeps serving")
    assert world.service.release(2) is None
    world.service.apply(env={"DEMO_VERSION": "1"})
    settles(world, 1)
    world.report()


def test_missing_secret(loaded: Make) -> None:
    world = loaded()
    api, namespace = world.service.api, world.service.namespace
    plan = rollout(stages=stages(50, 100, seconds=2))
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan, config={"secrets": ["credentials"]})
    stalled(world.service, "ConfigNotFound", "credentials", "app-1 keeps serving")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "credentials", "namespace": namespace},
        "stringData": {"password": "correct horse"},
    }
    api.apply(secret)
    goes_forward(world)
    for kind in ("ManagedService", "Release"):
        for obj in api.list(kind, namespace):
            assert "correct horse" not in str(obj)
    world.report()


def test_query_that_prometheus_refuses(loaded: Make) -> None:
    world = loaded()
    gate = {"name": "odd", "promql": {"query": "sum(rate(", "max": "1"}, "minRequests": 0}
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=rollout(gates=[gate]))
    goes_back(world, "Failed")
    stalled(world.service, "ReleaseLatched", "odd", "parse error")
    report = world.report()
    assert set(report.releases) == {"app-1"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stages": stages(50, 25, 100, seconds=5)}, "stages must rise"),
        ({"stages": stages(10, 50, seconds=5)}, "stages must rise"),
        ({"stages": stages(0, 100, seconds=5)}, "weightPercent"),
        ({"gates": [{"name": "empty", "successRate": {}}]}, "bound"),
    ],
)
def test_what_the_schema_can_know_is_refused_at_admission(
    cluster: Any, namespace: str, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ApiError) as refused:
        Service(cluster, "bad", namespace).apply(plan=rollout(**changes))
    assert refused.value.code == 422
    assert words in refused.value.message


def test_name_too_long_for_its_children(cluster: Any, namespace: str) -> None:
    with pytest.raises(ApiError) as refused:
        Service(cluster, "a" * 51, namespace).apply(traffic={"none": {}}, plan=rollout(metrics={"preset": "App"}))
    assert refused.value.code == 422
    assert "at most 50 characters" in refused.value.message
