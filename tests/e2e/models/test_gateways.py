"""Gateways that somebody else runs follow a switch while they run: nothing of them is started anew."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hack.demo.figures import seconds_of
from hack.rig import envoys, model_gateways
from hack.rig.api import Api, Json
from hack.rig.database_objects import secret
from hack.rig.model_gateways import GatewayPods
from hack.rig.models import Route, completion, model, way
from hack.rig.simulators import Simulator
from tests.e2e.models.conftest import Asking, Served, wait_answers

Users = Callable[..., Asking]
Proved = Callable[[Json], float]
Simulated = Callable[..., list[Simulator]]
KEY = "sk-of-the-primary"
#: A kubelet brings a ConfigMap within a minute or so by itself; it is made to do so at once.
MOUNTED_SECONDS = 20.0
#: A header follows with the HTTPRoute.
PROVED_SECONDS = 10.0


@pytest.mark.timeout(420, func_only=True)
def test_litellm_proxies_follow_without_a_restart(
    cluster: Api, namespace: str, simulated: Simulated, asking: Users, proved: Proved
) -> None:
    models = [*simulated("primary", api_key=KEY), *simulated("second")]
    cluster.apply(secret("primary-key", namespace, {"api-key": KEY}))
    cluster.apply(model_gateways.master_secret(namespace))
    route = Route(cluster, namespace)
    pods = GatewayPods(cluster, namespace, "litellm")
    reference = {"name": model_gateways.MASTER_SECRET}
    gateway = {"liteLLM": {"selector": pods.selector, "timeoutSeconds": 3, "credentialsSecretRef": reference}}
    keyed = {"credentialsSecretRef": {"name": "primary-key"}}
    route.apply([model("primary", "0.9", **keyed), model("second", "0.6")], gateway)
    cluster.until("what proxies read", lambda: cluster.get("ConfigMap", namespace, "chat-litellm"), seconds=60)
    model_gateways.litellm(cluster, namespace, "chat", {"MODEL_KEY_CHAT__PRIMARY": KEY})
    pods.wait_ready()
    route.wait_serves("primary", seconds=90)
    world = Served(route, models, f"http://{service_address(route)}:{model_gateways.LITELLM_PORT}/")
    body, key = completion("chat"), {"Authorization": f"Bearer {model_gateways.MASTER_KEY}"}
    users = asking(world, rate=10.0, body=body, headers=key, timeout=15.0)
    past = follows_a_death(world, pods, users, sorted(pods.names()))
    assert proved(past) < MOUNTED_SECONDS
    assert users.answered_by(seconds_of(past["provedAt"])) == {"second"}
    assert KEY not in str(cluster.get("ConfigMap", namespace, "chat-litellm"))


@pytest.mark.usefixtures("two_envoys")
def test_portkey_gateways_follow_by_a_header(
    cluster: Api, gateway: str, simulated: Simulated, asking: Users, proved: Proved
) -> None:
    models = simulated("primary", "second")
    namespace = models[0].namespace
    pods = model_gateways.portkey(cluster, namespace)
    pods.wait_ready()
    route = Route(cluster, namespace)
    way_in = {"portkey": {"selector": pods.selector, "timeoutSeconds": 3, "httpRoute": way("chat", namespace)}}
    route.apply([model("primary", "0.9"), model("second", "0.6")], way_in)
    route.wait_serves("primary", seconds=90)
    wait_answers(route, gateway)
    world = Served(route, models, gateway)
    # Which model answered is in no header that clients get.
    users = asking(world, rate=20.0, named_by="x-sophia-revision")
    past = follows_a_death(world, pods, users, sorted([*envoys.addresses(cluster), *pods.names()]))
    assert route.ask(gateway).json()["system_fingerprint"] == "second"
    assert proved(past) < PROVED_SECONDS


def follows_a_death(world: Served, pods: GatewayPods, users: Asking, replicas: list[str]) -> Json:
    """The first model is killed: no user notices, since the gateway asks the other one itself, and every replica is
    seen to follow the switch, with no pod started anew. Returns the switch."""
    route, before = world.route, pods.lives()
    assert len(before) == 2
    began = time.time()
    world.models[0].kill()
    past = route.wait_past("Failover", began, seconds=60)
    status = route.wait_serves("second")
    seen = {r["name"]: (r["revision"], r["model"]) for r in status["replicas"]}
    assert seen == dict.fromkeys(replicas, (status["revision"], "second"))
    assert pods.lives() == before
    after = seconds_of(past["provedAt"])
    route.api.until("an answer after the proof", lambda: users.answered_by(after) or None, seconds=45)
    users.stop()
    assert users.failed() == {}
    return past


def service_address(route: Route) -> str:
    """Address of the Service that the operator makes for the gateway's pods."""
    service = route.api.get("Service", route.namespace, f"{route.name}-models")
    assert service is not None, "the Service of the gateway is gone"
    return str(service["spec"]["clusterIP"])
