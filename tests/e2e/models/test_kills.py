"""The operator dies in the middle of a switch: its successor finds in the status where that was, and ends it proved."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hack.rig import envoys, restricted
from hack.rig.api import Api, Json
from hack.rig.models import Route, shares_of
from tests.e2e import operators
from tests.e2e.models.conftest import Asking, Served

Make = Callable[..., Served]
Users = Callable[..., Asking]


@pytest.mark.disruptive
def test_operator_killed_before_a_failover_is_proved(cluster: Api, namespace: str, served: Make) -> None:
    """A replica that answers nothing keeps the switch open, for as long as that takes."""
    world = served(switch={"proveSeconds": 8})
    route, (primary, second) = world.route, world.models
    (envoy,) = restricted.wait_pods(cluster, envoys.NAMESPACE, "envoy", 1)
    # A model listens elsewhere: at the port of an Envoy, its address refuses every connection.
    for obj in envoys.headless("stuck", namespace, [envoy["status"]["podIP"], second.address]):
        cluster.apply(obj)
    prove_at(route, f"stuck.{namespace}.svc")
    route.wait("to know of both", lambda o: knows_of(o, second.address), seconds=60)
    operators.fresh(cluster)
    primary.control(error_rate=1.0)
    going = route.wait_switch("Failover")
    killed = operators.kill(cluster)
    if killed.at_once:
        assert route.status()["switch"]["startedAt"] == going["startedAt"], "killed too late"
    killed.wait_back(cluster)

    route.wait("to send its traffic to the other model", lambda o: shares_of(o) == {"second": 100}, seconds=30)
    route.wait_condition("TrafficVerified", "False", "ReplicaLags")
    still = route.status()["switch"]
    assert (still["kind"], still["startedAt"]) == ("Failover", going["startedAt"])
    assert "provedAt" not in still
    assert route.ask(world.url).json()["system_fingerprint"] == "second"
    prove_at(route, envoys.PODS_HOST)
    route.wait_serves("second")
    assert route.switches() == [("First", "primary"), ("Failover", "second")]


@pytest.mark.disruptive
def test_operator_killed_at_each_stage_of_a_failback(cluster: Api, served: Make, asking: Users) -> None:
    # Longer than the operator takes to be there again, twice: it goes on with the stage meanwhile.
    world = served(failback={"stages": [25, 100], "stageSeconds": 20})
    route, (primary, _) = world.route, world.models
    primary.control(error_rate=1.0)
    route.wait_serves("second")
    users = asking(world)
    primary.control(error_rate=0.0)
    began = time.time()
    for percent in (25, 100):
        operators.fresh(cluster)
        going = route.wait("to reach a stage", lambda o, percent=percent: at(o, percent), seconds=90)  # type: ignore[misc]
        killed = operators.kill(cluster)
        if killed.at_once:
            assert route.status()["switch"] == going, "killed too late"
        killed.wait_back(cluster)
    back = route.wait_past("Failback", began, seconds=90)
    assert (back["to"], back["result"]) == ("primary", "Switched")
    route.wait_serves("primary")
    assert [kind for kind, _ in route.switches()] == ["First", "Failover", "Failback"]
    users.stop()
    assert users.failed() == {}


def prove_at(route: Route, host: str) -> None:
    """Change where the replicas are found: that is nothing that the gateway is told."""
    route.patch(gateway={"httpRoute": {"dataPlane": {"host": host}}})


def knows_of(found: Json, replica: str) -> bool:
    """Whether the replica was asked."""
    return any(r["name"] == replica for r in found["status"].get("replicas") or [])


def at(found: Json, percent: int) -> Json | None:
    """The failback once it is at that stage, which all replicas carry out."""
    going: Json = found["status"].get("switch") or {}
    reached = going.get("kind") == "Failback" and going["percent"] == percent and going["phase"] == "Observing"
    return going if reached else None
