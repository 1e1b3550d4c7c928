"""A spec whose traffic cannot be carried out: the route keeps its shape, and its weights are written all the same."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.release import Intent
from sophia_operator.core import kept_traffic
from sophia_operator.core.findings import Samples
from sophia_operator.ports import Object
from tests.component.loop.test_obstacles import foreign, served, stalled
from tests.support.fake_cluster_harness import NAME, NAMESPACE, Harness, managed_service

HOST = "app.example.com"


def gateway(name: str = "gw", host: str = HOST, **more: Any) -> dict[str, Any]:
    return {"gateway": {"parentRefs": [{"name": name}], "hostnames": [host], **more}}


TIMEOUT = gateway(rules=[{"timeouts": {"request": "1000h"}}])


def no_such_timeout(obj: Object) -> str | None:
    """What the API server's validation says to a route."""
    found = obj["kind"] == "HTTPRoute" and any("timeouts" in rule for rule in obj["spec"]["rules"])
    return "spec.rules[0].timeouts.request: Invalid value" if found else None


def theirs(host: str = "theirs.example.com") -> dict[str, Any]:
    rules = [{"backendRefs": [{"name": "x", "port": 80}]}]
    return foreign("HTTPRoute", "other", spec={"parentRefs": [{"name": "gw"}], "hostnames": [host], "rules": rules})


def route(harness: Harness) -> tuple[Any, Any]:
    """Gateways and host names of the live route."""
    found = harness.cluster.find("HTTPRoute", NAME)
    assert found is not None
    spec = found["spec"]
    return [p["name"] for p in spec["parentRefs"]], spec.get("hostnames")


async def shifting() -> Harness:
    harness = await served()
    harness.change()
    await harness.run_until(lambda: harness.shares().get("app-2") == 25)
    return harness


BAD = pytest.mark.parametrize(
    ("traffic", "reason"),
    [
        pytest.param(gateway("nowhere"), "GatewayNotFound", id="no such Gateway"),
        pytest.param(gateway(host="theirs.example.com"), "HostnameTaken", id="somebody else's host name"),
        pytest.param(TIMEOUT, "InvalidRoute", id="refused by the API server"),
    ],
)


def obstruct(harness: Harness) -> None:
    harness.cluster.admission = no_such_timeout
    harness.cluster.add(theirs())


@BAD
async def test_what_serves_keeps_its_route(traffic: dict[str, Any], reason: str) -> None:
    harness = await served()
    obstruct(harness)
    harness.change("app:1", traffic=traffic)
    await harness.run(30)
    assert stalled(harness, reason, "app-1 keeps serving")
    assert route(harness) == (["gw"], [HOST])
    assert harness.shares() == {"app-1": 100}
    harness.change("app:1", traffic=gateway())
    await harness.run_until(harness.settled)


@BAD
@pytest.mark.parametrize("image", ["app:2", "app:3"])
async def test_a_bad_release_goes_back(traffic: dict[str, Any], reason: str, image: str) -> None:
    harness = await shifting()
    obstruct(harness)
    harness.change(image, traffic=traffic)
    await harness.run(2)
    harness.gate = lambda _: Samples({"total": 1000.0, "errors": 900.0})
    await harness.run_until(lambda: harness.state("app-2") in ("RolledBack", "Superseded"))
    assert harness.shares() == {"app-1": 100}
    assert route(harness) == (["gw"], [HOST])
    assert stalled(harness, reason, "app-1 keeps serving")


@BAD
async def test_abort_is_heard(traffic: dict[str, Any], reason: str) -> None:
    harness = await shifting()
    obstruct(harness)
    harness.change("app:2", traffic=traffic)
    await harness.run(2)
    harness.intend("app-2", Intent.ABORT)
    await harness.run_until(lambda: harness.state("app-2") == "RolledBack")
    assert harness.shares() == {"app-1": 100}
    assert stalled(harness, reason, "app-1 keeps serving")


async def test_a_good_release_is_promoted_by_the_route_that_there_is() -> None:
    harness = await shifting()
    obstruct(harness)
    harness.change("app:2", traffic=gateway("nowhere"))
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")
    assert route(harness) == (["gw"], [HOST])
    assert harness.shares() == {"app-2": 100}


async def test_a_host_name_is_not_taken_from_a_route_that_is_younger_but_had_it_first() -> None:
    harness = await served()
    await harness.run(30)
    harness.cluster.add(theirs())
    await harness.run(2)
    harness.change("app:1", traffic=gateway(host="theirs.example.com"))
    await harness.run(30)
    assert stalled(harness, "HostnameTaken", "theirs.example.com")
    assert route(harness) == (["gw"], [HOST])


async def test_a_host_name_that_somebody_else_takes_later_is_no_obstacle() -> None:
    harness = await served()
    await harness.run(30)
    harness.cluster.add(theirs(HOST))
    await harness.run(30)
    assert harness.settled()


async def test_a_plain_service_stays_until_its_gateway_is_there() -> None:
    harness = await served(traffic={"none": {}})
    harness.change("app:1", traffic=gateway("nowhere"))
    await harness.run(30)
    assert stalled(harness, "GatewayNotFound", "nowhere")
    assert harness.cluster.find("Service", NAME) is not None
    harness.change("app:1", traffic=gateway())
    await harness.run_until(harness.settled)
    assert route(harness) == (["gw"], [HOST])


async def test_a_route_is_asked_about_once_and_only_when_its_shape_changes() -> None:
    harness = await served()
    harness.change("app:2", traffic=gateway(host="new.example.com"))
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")
    asked = [c for c in harness.cluster.calls if c.verb == "dry-run" and c.kind == "HTTPRoute"]
    assert len(asked) == 1
    assert route(harness) == (["gw"], ["new.example.com"])


async def test_a_refused_route_is_asked_about_again() -> None:
    harness = Harness(managed_service())
    await harness.run_until(harness.settled)
    obstruct(harness)
    harness.change("app:1", traffic=TIMEOUT)
    await harness.run(90, every=2.0)
    assert stalled(harness, "InvalidRoute", "timeouts.request")
    harness.cluster.admission = lambda _: None
    await harness.run(70, every=2.0)
    assert harness.settled()


async def test_a_route_that_stands_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = await served()
    await harness.run(5)
    compared, traffic_of = 0, kept_traffic.traffic_of

    def counted(*arguments: Any) -> Any:
        nonlocal compared
        compared += 1
        return traffic_of(*arguments)

    monkeypatch.setattr(kept_traffic, "traffic_of", counted)
    for _ in range(20):
        harness.wakeups.event((NAMESPACE, NAME)).set()
        await harness.once()
    assert compared == 0
