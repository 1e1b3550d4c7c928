"""Marked requests through what carries the traffic, and to the pods behind it: what each serves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hack.rig.portkey import gateway
from sophia_operator.adapters.model_replicas import ask
from sophia_operator.core.model.findings import ModelFault, ReplicaFinding
from sophia_operator.core.model.render.http_route import http_route
from sophia_operator.core.model.targets import replica_request
from sophia_operator.core.model.views import GatewayPod, ModelAccess, ModelRouteObserved, ModelRouteView
from tests.component.model_portkey.carrier import Carrier
from tests.component.model_portkey.world import KEY, World

CARRIERS = ("127.0.0.1", "127.0.0.2")


@pytest.fixture
async def carrier(world: World) -> AsyncIterator[Carrier]:
    async with Carrier(world.portkey.url).running() as running:
        yield running


async def ask_all(world: World, carrier: Carrier, route: ModelRouteView) -> dict[str, ReplicaFinding]:
    """What the replicas say: two that carry the traffic, and a pod."""
    observed = ModelRouteObserved(
        access={"primary": ModelAccess(api_key=KEY), "second": ModelAccess(api_key=KEY)},
        pods=(GatewayPod("portkey-a", "127.0.0.1", ready=True), GatewayPod("portkey-b", "127.0.0.1", ready=False)),
    )
    request = replica_request(route, observed)
    assert request is not None

    async def resolve(host: str) -> list[str]:
        assert host == "envoy.infra.svc"
        return list(CARRIERS)

    answer = await ask(world.client, request, lambda: datetime.now(UTC), resolve=resolve)
    assert isinstance(answer, tuple), answer
    return {finding.name: finding for finding in answer}


def way_by(carrier: Carrier) -> dict[str, object]:
    return {"dataPlane": {"host": "envoy.infra.svc", "port": carrier.port}}


def served(findings: dict[str, ReplicaFinding]) -> dict[str, tuple[int | None, str | None]]:
    assert all(finding.failure is None for finding in findings.values()), findings
    return {name: (finding.revision, finding.model) for name, finding in findings.items()}


async def test_each_replica_says_by_what_it_serves(world: World, carrier: Carrier) -> None:
    route = world.route({"primary": 100}, revision=7, way=way_by(carrier))
    carrier.route = http_route(route)

    everybody = {*CARRIERS, "portkey-a"}
    assert served(await ask_all(world, carrier, route)) == dict.fromkeys(everybody, (7, "primary"))
    assert world.primary.counters.requests == 3
    assert world.primary.counters.last_body["max_tokens"] == 1


async def test_a_carrier_that_lags_says_its_old_revision_and_no_model(world: World, carrier: Carrier) -> None:
    carrier.route = http_route(world.route({"primary": 100}, revision=7))
    route = world.route({"second": 100}, revision=8, way=way_by(carrier))

    # A place in the old order is that of another model in the new one.
    lagging = dict.fromkeys(CARRIERS, (7, None))
    assert served(await ask_all(world, carrier, route)) == {**lagging, "portkey-a": (8, "second")}

    carrier.route = http_route(route)
    assert served(await ask_all(world, carrier, route)) == dict.fromkeys([*CARRIERS, "portkey-a"], (8, "second"))


async def test_that_a_model_fails_is_no_fault_of_its_gateway(world: World, carrier: Carrier) -> None:
    world.primary.control(error_rate=1.0)
    world.second.control(error_rate=1.0, status=401)
    route = world.route({"primary": 100}, revision=3, way=way_by(carrier))
    carrier.route = http_route(route)

    assert set(served(await ask_all(world, carrier, route)).values()) == {(3, "second")}


async def test_another_path_for_clients(world: World, carrier: Carrier) -> None:
    route = world.route({"primary": 100}, revision=2, way=way_by(carrier) | {"path": "/models/chat"})
    carrier.route = http_route(route)

    assert set(served(await ask_all(world, carrier, route)).values()) == {(2, "primary")}


async def test_before_the_route_is_there_carriers_answer_something_else(world: World, carrier: Carrier) -> None:
    route = world.route({"primary": 100}, revision=1, way=way_by(carrier))
    findings = await ask_all(world, carrier, route)

    failures = [findings[name].failure for name in CARRIERS]
    assert [f.fault for f in failures if f is not None] == [ModelFault.REQUEST_REFUSED] * 2
    assert findings["portkey-a"].model == "primary"


async def test_pods_that_may_not_ask_a_models_host_say_so(world: World, carrier: Carrier) -> None:
    with gateway(trusted_hosts=("models.example.com",)) as strict:
        carrier.backend = strict.url
        route = replace(world, portkey=strict).route({"primary": 100}, way=way_by(carrier))
        carrier.route = http_route(route)
        findings = await ask_all(world, carrier, route)

    failure = findings["portkey-a"].failure
    assert failure is not None
    assert "TRUSTED_CUSTOM_HOSTS" in failure.message


async def test_a_switch_is_proved_in_less_than_a_second(world: World, carrier: Carrier) -> None:
    for revision, name in enumerate(["primary", "second"] * 3, 1):
        route = world.route({name: 100}, revision=revision, way=way_by(carrier))
        began = time.perf_counter()
        carrier.route = http_route(route)
        findings = await ask_all(world, carrier, route)

        assert set(served(findings).values()) == {(revision, name)}
        assert time.perf_counter() - began < 1.0
