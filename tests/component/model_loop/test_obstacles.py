"""What only the cluster knows of that keeps a route from being carried out, and what hangs."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from sophia_operator.core.model import names
from tests.support.fake_cluster import Fault
from tests.support.fake_cluster_controllers import CONTROLLER
from tests.support.fake_models import Mood
from tests.support.fake_models_harness import ModelHarness
from tests.support.model_routes import NAME, NAMESPACE, http_route, model_route, secret


def foreign(name: str, hostname: str, path: str = "/v1") -> dict[str, Any]:
    """An HTTPRoute of somebody else."""
    rules = [{"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": []}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"parentRefs": [{"name": "gw"}], "hostnames": [hostname], "rules": rules},
    }


def stalled(made: ModelHarness) -> str | None:
    found = made.condition("Stalled")
    return None if found is None or found[0] != "True" else found[1]


async def test_a_gateway_that_comes_later() -> None:
    made = ModelHarness(routes=(http_route(),), with_gateway=False)
    await made.run_until(lambda: stalled(made) == "GatewayNotFound")
    made.controllers.add_gateway()
    await made.run_until(lambda: made.serves("primary"))
    await made.stop()


async def test_an_http_route_of_somebody_else_is_left_alone() -> None:
    theirs = foreign(names.workload(NAME), "other.example.com")
    made = ModelHarness(routes=(http_route(),))
    made.cluster.add(theirs)
    await made.run_until(lambda: stalled(made) == "NotOwned")
    found = made.cluster.find("HTTPRoute", names.workload(NAME))
    assert found is not None
    assert found["spec"]["hostnames"] == ["other.example.com"]
    assert names.LABEL_ROUTE not in found["metadata"].get("labels", {})
    made.cluster.remove("HTTPRoute", names.workload(NAME))
    await made.run_until(lambda: made.serves("primary"), limit=180)
    await made.stop()


async def test_a_host_name_that_is_taken_changes_nothing_for_users() -> None:
    made = ModelHarness(routes=(http_route(),))
    await made.run_until(lambda: made.serves("primary"))
    made.cluster.add(foreign("theirs", "taken.example.com"))
    made.change(gateway=http_route(way={"hostnames": ["taken.example.com"]})["spec"]["gateway"])
    await made.run_until(lambda: stalled(made) == "HostnameTaken")
    # Switches go on meanwhile, by the HTTPRoute that serves.
    made.endpoint("primary").mood = Mood.GONE
    await made.run_until(lambda: made.shares() == {"second": 100})
    await made.run(5)
    found = made.cluster.find("HTTPRoute", names.workload(NAME))
    assert found is not None
    assert found["spec"]["hostnames"] == ["models.example.com"]
    assert {r.model for r in made.status().replicas} == {"second"}
    made.cluster.remove("HTTPRoute", "theirs")
    await made.run_until(lambda: made.serves("second"))
    found = made.cluster.find("HTTPRoute", names.workload(NAME))
    assert found is not None
    assert found["spec"]["hostnames"] == ["taken.example.com"]
    await made.stop()


async def test_a_gateway_elsewhere_is_read_where_no_watch_brings_it() -> None:
    way = {"parentRefs": [{"name": "edge", "namespace": "infra"}]}
    made = ModelHarness(routes=(http_route(way=way),), namespaces=(NAMESPACE,), with_gateway=False)
    seen = made.feed.seen
    made.feed.seen = lambda obj: (  # type: ignore[method-assign]
        seen(obj) if obj["metadata"].get("namespace", NAMESPACE) in (NAMESPACE, "") else None
    )
    await made.run_until(lambda: stalled(made) == "GatewayNotFound")
    made.controllers.add_gateway("edge", "infra")
    await made.run_until(lambda: made.serves("primary"), limit=60)
    reads = [c for c in made.cluster.calls if (c.verb, c.kind) == ("get", "Gateway")]
    await made.run(30)
    assert [c for c in made.cluster.calls if (c.verb, c.kind) == ("get", "Gateway")] == reads
    assert made.store.get("GatewayClass", "", "example")["spec"]["controllerName"] == CONTROLLER  # type: ignore[index]
    await made.stop()


async def test_a_probe_that_hangs_delays_no_other_one_and_no_switch() -> None:
    made = ModelHarness()
    await made.run_until(lambda: made.serves("primary"))
    made.endpoint("third").mood = Mood.HANGS
    began = made.now
    await made.run(30)
    for name in ("primary", "second"):
        asked = [at for at in made.endpoint(name).asked_at if at >= began]
        gaps = [(b - a).total_seconds() for a, b in pairwise(asked)]
        assert max(gaps) < 1.6, name
    assert len([at for at in made.endpoint("third").asked_at if at >= began]) <= 4
    made.endpoint("primary").mood = Mood.ERRS
    began = made.now
    await made.run_until(lambda: made.shares() == {"second": 100})
    assert (made.now - began).total_seconds() < 8
    await made.stop()


async def test_a_replica_that_hangs_is_named() -> None:
    made = ModelHarness(routes=(model_route(switch={"forSeconds": 3, "proveSeconds": 10}),))
    await made.run_until(lambda: made.serves("primary"))
    made.gateways.proxies[1].stuck = True
    made.endpoint("primary").mood = Mood.GONE
    await made.run_until(lambda: made.shares() == {"second": 100})
    await made.run_until(lambda: made.status().switch is not None and made.status().switch.overdue)  # type: ignore[union-attr]
    said = made.condition("TrafficVerified")
    assert said is not None
    assert said[:2] == ("False", "ReplicaLags")
    assert "litellm-1" in said[2]
    assert "litellm-0" not in said[2]
    made.gateways.proxies[1].stuck = False
    await made.run_until(lambda: made.serves("second"), limit=180)
    await made.stop()


async def test_a_spec_that_admission_let_through_stops_nothing_that_serves() -> None:
    made = ModelHarness()
    await made.run_until(lambda: made.serves("primary"))
    made.endpoint("third").mood = Mood.HANGS
    await made.run(2)
    writes = len(made.cluster.writes)
    made.change(pin="nobody")
    await made.run(2)
    assert stalled(made) == "InvalidSpec"
    assert made.loop._prober.kept.under_way == {}
    assert {c.kind for c in made.cluster.writes[writes:]} == {"ModelRoute"}
    made.change(pin="second")
    await made.run_until(lambda: made.serves("second"))
    await made.stop()


async def test_an_api_server_that_writes_nothing_keeps_no_model_from_being_asked() -> None:
    made = ModelHarness()
    await made.run_until(lambda: made.serves("primary"))
    made.cluster.hook = lambda call: Fault.UNAVAILABLE if call.write is not None else None
    made.endpoint("primary").mood = Mood.GONE
    asked = len(made.endpoint("second").asked_at)
    await made.run(60)
    assert len(made.endpoint("second").asked_at) - asked > 45
    assert made.shares() == {"primary": 100}
    made.cluster.hook = lambda _: None
    await made.run_until(lambda: made.serves("second"), limit=60)
    await made.stop()


async def test_many_routes_in_calm_cost_little() -> None:
    count, seconds = 40, 60.0
    names_of = [f"r{i:03}" for i in range(count)]
    probe = {"intervalSeconds": 10}
    made = ModelHarness(
        routes=tuple(http_route(n, way={"hostnames": [f"{n}.example.com"]}, probe=probe) for n in names_of)
    )
    made.check = lambda: None  # type: ignore[method-assign]
    await made.run(20)
    assert all(made.settled(name) for name in names_of)
    made.world_works = False  # there is nothing to follow any more
    await made.run(100)
    writes, passes, once, spent = len(made.cluster.writes), made.passes, made.once, 0.0

    async def timed(key: tuple[str, str]) -> None:
        nonlocal spent
        start = time.process_time()
        await once(key)
        spent += time.process_time() - start

    made.once = timed  # type: ignore[method-assign]
    await made.run(seconds)
    assert len(made.cluster.writes) == writes
    # Each of two probes in ten seconds is begun by a pass, and wakes one when it ends; and the replicas now and then.
    each = (made.passes - passes) / count / seconds
    print(f"{each:.2f} passes a second of each route, {1000 * spent / (made.passes - passes):.2f} ms a pass")  # noqa: T201
    assert each < 0.5
    await made.stop()


async def test_nothing_that_is_given_is_told(caplog: Any) -> None:
    made = ModelHarness()
    await made.run_until(lambda: made.serves("primary"))
    made.endpoint("second").key = "another"
    made.cluster.edit("Secret", "third-key", lambda o: o.update(data=secret("x", other="y")["data"]))
    made.endpoint("primary").mood = Mood.LIMITED
    await made.run(30)
    loop = made.loop
    told = [caplog.text, made.telemetry.exposition().decode(), repr(loop._prober._kept), repr(loop._rendered)]
    assert not any("canary" in text for text in told)
    await made.stop()
