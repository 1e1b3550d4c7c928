"""A replica of the gateway that cannot follow is named, and a failback does not go on without it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hack.rig import envoys, restricted
from hack.rig.api import Api
from hack.rig.models import by_http_route
from tests.e2e.models.conftest import Asking, Served

Make = Callable[..., Served]
Users = Callable[..., Asking]
PROVE_SECONDS = 6


@pytest.mark.timeout(400, func_only=True)
def test_failback_that_an_envoy_cannot_follow_is_reverted_and_the_envoy_is_named(
    cluster: Api, namespace: str, served: Make, asking: Users
) -> None:
    """One Envoy has lost whoever configures it: it goes on serving by what it knows, and says so of itself."""
    cut = envoys.CutEnvoy(cluster, namespace)
    lost = cut.up()
    (first,) = restricted.wait_pods(cluster, envoys.NAMESPACE, "envoy", 1)
    sound = first["status"]["podIP"]
    for obj in envoys.headless("carriers", namespace, [sound, lost]):
        cluster.apply(obj)
    carriers = by_http_route("chat", namespace, f"carriers.{namespace}.svc")
    world = served(gateway=carriers, switch={"proveSeconds": PROVE_SECONDS})
    route, (primary, _) = world.route, world.models
    assert {r["name"] for r in route.status()["replicas"]} == {sound, lost}
    primary.control(error_rate=1.0)
    told = route.wait_serves("second")["revision"]
    users = asking(world)

    cut.cut()
    began = time.time()
    primary.control(error_rate=0.0)
    past = route.wait_past("Failback", began, seconds=90)
    assert (past["to"], past["result"]) == ("primary", "Reverted")
    assert f"{lost} serves by {told}" in past["message"]
    assert f"{sound} serves" not in past["message"]
    said = route.wait_condition("TrafficVerified", "False", "ReplicaLags", seconds=40)
    assert f"{lost} serves by {told}" in said["message"]
    assert f"{sound} serves" not in said["message"]
    route.wait_condition("Ready", "False")
    assert route.shares() == {"second": 100}
    assert route.status()["failedFailbacks"] == 1
    for reason in ("FailingBack", "FailbackFailed", "ReplicaLags"):
        route.wait_events(reason)

    # Rolling forward is all there is: it ends once the replica can follow.
    cut.join()
    assert route.wait_past("Revert", began, seconds=120)["result"] == "Switched"
    users.stop()
    assert users.failed() == {}
