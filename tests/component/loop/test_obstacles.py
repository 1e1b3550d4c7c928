"""What only the cluster can know: said in a condition with the remedy, and what serves keeps serving."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.core.findings import Samples
from sophia_operator.ports import Object
from tests.support.fake_cluster import Call, Fault
from tests.support.fake_cluster_controllers import Behaviour
from tests.support.fake_cluster_harness import NAME, NAMESPACE, Harness, managed_service


async def served(**spec: Any) -> Harness:
    harness = Harness(managed_service(**spec))
    await harness.run_until(harness.settled)
    return harness


def stalled(harness: Harness, reason: str, words: str) -> bool:
    """Whether the service is stalled for that reason, with these words in the message."""
    found = harness.condition("Stalled")
    return found is not None and found[0] == "True" and found[1] == reason and words in found[2]


def foreign(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """An object of somebody else."""
    versions = {"Deployment": "apps/v1", "HTTPRoute": "gateway.networking.k8s.io/v1"}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": metadata, **spec}


PLAIN_SERVICE = {"spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}}


async def test_a_template_that_the_server_refuses_becomes_no_release() -> None:
    harness = await served()
    harness.change(template={"spec": {"containers": [{"name": "app"}]}})
    await harness.run(5)
    assert stalled(harness, "InvalidTemplate", "spec.template.spec.containers[0].image: Required value")
    assert harness.state("app-2") is None
    assert harness.shares() == {"app-1": 100}
    harness.change("app:3")
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")


async def test_a_refused_template_is_asked_about_again_but_seldom() -> None:
    harness = await served()
    harness.cluster.admission = lambda obj: "not today" if obj["kind"] == "Deployment" else None
    harness.change("app:2")
    await harness.run(50, every=2.0)
    assert stalled(harness, "InvalidTemplate", "not today")
    assert [c.verb for c in harness.cluster.calls].count("dry-run") == 2  # of the first release, and of this one
    harness.cluster.admission = lambda _: None
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")


async def test_a_webhook_that_cannot_be_asked_is_no_refusal() -> None:
    harness = await served()
    dry_runs = 0

    def hook(call: Call) -> Fault | None:
        nonlocal dry_runs
        dry_runs += call.verb == "dry-run"
        return None

    def admission(obj: Object) -> str | None:
        if obj["metadata"]["name"] == "app-2" and harness.cluster.calls[-1].verb == "dry-run":
            return "admission webhook does not support dry run"
        return None

    harness.cluster.hook, harness.cluster.admission = hook, admission
    harness.change()
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")
    assert dry_runs == 1


async def test_a_missing_gateway() -> None:
    harness = Harness()
    harness.cluster.remove("Gateway", "gw")
    await harness.run(5)
    assert stalled(harness, "GatewayNotFound", "Gateway gw in namespace shop does not exist")
    harness.controllers.add_gateway()
    await harness.run_until(harness.settled)
    assert harness.shares() == {"app-1": 100}


def other_route(hostname: str, path: str = "/", gateway: str = "gw") -> dict[str, Any]:
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [{"name": "x", "port": 1}]}
    spec = {"parentRefs": [{"name": gateway}], "hostnames": [hostname], "rules": [rule]}
    return foreign("HTTPRoute", "theirs", spec=spec)


async def test_a_host_name_that_is_taken() -> None:
    harness = Harness()
    harness.cluster.add(other_route("app.example.com"))
    await harness.run(5)
    assert stalled(harness, "HostnameTaken", "HTTPRoute theirs in namespace shop already answers app.example.com")
    harness.cluster.remove("HTTPRoute", "theirs")
    await harness.run_until(harness.settled)


@pytest.mark.parametrize(
    "route",
    [
        other_route("other.example.com"),
        other_route("app.example.com", "/api"),
        other_route("app.example.com", "/", "g2"),
    ],
    ids=["another host", "another path", "another gateway"],
)
async def test_a_route_that_takes_nothing_from_us(route: dict[str, Any]) -> None:
    harness = Harness()
    harness.cluster.add(route)
    await harness.run_until(harness.settled)
    assert harness.condition("Stalled") is None


async def test_a_later_route_does_not_take_the_host_name() -> None:
    harness = await served()
    harness.now = harness.now.replace(minute=harness.now.minute + 1)
    harness.cluster.add(other_route("app.example.com"))
    await harness.run(5)
    assert harness.settled()


@pytest.mark.parametrize(
    "theirs",
    [
        foreign("Service", "app-green", **PLAIN_SERVICE),
        foreign("HTTPRoute", NAME, spec={"parentRefs": [], "rules": []}),
    ],
    ids=lambda o: f"{o['kind']} {o['metadata']['name']}",
)
async def test_an_object_of_somebody_else_is_never_overwritten(theirs: dict[str, Any]) -> None:
    harness = Harness()
    before = harness.cluster.add(theirs)
    await harness.run(5)
    kind, name = theirs["kind"], theirs["metadata"]["name"]
    assert stalled(harness, "NotOwned", f"{kind} {name} exists")
    after = harness.cluster.find(kind, name)
    assert after is not None
    assert (after["spec"], after["metadata"].get("labels")) == (before["spec"], None)
    harness.cluster.remove(kind, name)
    # It was never watched, as it has no label of ours, so it is looked for again now and then.
    await harness.run_until(harness.settled, limit=120)


async def test_nothing_is_taken_away_while_something_else_cannot_be_made() -> None:
    harness = await served()
    harness.cluster.add(foreign("Service", NAME, **PLAIN_SERVICE))
    harness.change("app:1", traffic={"none": {}})
    await harness.run(5)
    assert stalled(harness, "NotOwned", "Service app exists")
    assert harness.cluster.find("HTTPRoute", NAME) is not None
    harness.cluster.remove("Service", NAME)
    await harness.run_until(lambda: harness.cluster.find("HTTPRoute", NAME) is None, limit=120)
    assert harness.shares() == {"app-1": 100}


async def test_an_object_that_loses_our_label_is_ours_all_the_same() -> None:
    harness = await served()
    harness.cluster.edit("Service", "app-blue", lambda o: o["metadata"].pop("labels"))
    await harness.run(5)
    assert harness.settled()
    service = harness.cluster.find("Service", "app-blue")
    assert service is not None
    assert service["metadata"]["labels"]["sophia.ai/service"] == NAME


async def test_an_object_that_is_going_is_not_written_and_made_anew_once_it_is_gone() -> None:
    harness = await served()

    def go(obj: dict[str, Any]) -> None:
        obj["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["example.com/slow"])
        obj["spec"]["selector"] = {"app": "theirs"}

    harness.cluster.edit("Service", "app-green", go)
    writes = len(harness.cluster.writes)
    await harness.run(3)
    assert [c for c in harness.cluster.writes[writes:] if c.name == "app-green"] == []
    harness.cluster.remove("Service", "app-green")
    await harness.run(3)
    assert harness.cluster.find("Service", "app-green") is not None
    assert harness.settled()


async def test_a_release_of_that_name_that_is_not_ours() -> None:
    harness = await served()
    release = dict(harness.cluster.find("Release", "app-1") or {})
    theirs = {"name": "app-2", "namespace": NAMESPACE}
    harness.cluster.add(release | {"metadata": theirs})
    harness.change()
    await harness.run(5)
    assert stalled(harness, "NotOwned", "Release app-2 exists")
    harness.cluster.remove("Release", "app-2")
    await harness.run_until(lambda: harness.state("app-2") == "Promoted", limit=300)


async def test_children_of_a_deleted_service_of_that_name_are_left_to_the_garbage_collector() -> None:
    harness = await served()
    harness.cluster.remove("ManagedService", NAME)
    harness.cluster.add(managed_service("app:9"))
    for _ in range(3):
        await harness.once()
    assert harness.state("app-1") in ("Promoted", None)
    assert stalled(harness, "NotOwned", "is not this service's")
    await harness.run_until(harness.settled, limit=200)
    assert harness.shares() == {"app-1": 100}
    deployment = harness.cluster.find("Deployment", "app-1")
    assert deployment is not None
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "app:9"


async def test_a_quota_is_named() -> None:
    harness = await served()
    harness.controllers.quota = 3
    harness.change()
    await harness.run_until(lambda: harness.state("app-2") in ("RolledBack", "Failed"), limit=200)
    found = harness.condition("Stalled")
    assert found is not None
    assert "exceeded quota" in found[2]
    assert harness.shares() == {"app-1": 100}


async def test_an_image_that_cannot_be_pulled_is_named() -> None:
    harness = await served()
    harness.controllers.behaviours["app:2"] = Behaviour(ready_after=None, waits="ImagePullBackOff")
    harness.change()
    await harness.run_until(lambda: harness.state("app-2") in ("RolledBack", "Failed"), limit=200)
    found = harness.condition("Stalled")
    assert found is not None
    assert "ImagePullBackOff" in found[2]


async def test_an_object_that_the_server_refuses_is_named_and_stops_nothing_else() -> None:
    harness = await served()
    harness.cluster.admission = lambda obj: "no services" if obj["kind"] == "Service" else None
    harness.change()
    await harness.run(20)
    assert stalled(harness, "ApiError", "the API server refuses Service app-green: admission webhook denied")
    assert harness.shares() == {"app-1": 100}
    harness.cluster.admission = lambda _: None
    await harness.run_until(lambda: harness.state("app-2") == "Promoted", limit=300)


async def test_a_release_that_the_server_refuses_uses_up_no_revision() -> None:
    harness = await served()
    harness.cluster.admission = lambda obj: "no releases" if obj["kind"] == "Release" else None
    harness.change()
    await harness.run(120, every=5.0)
    assert stalled(harness, "ApiError", "the API server refuses Release app-2: admission webhook denied")
    harness.cluster.admission = lambda _: None
    await harness.run_until(lambda: harness.state("app-2") == "Promoted", limit=300)


async def test_a_spec_that_admission_let_through_is_named_and_nothing_is_touched() -> None:
    harness = await served()
    before = [
        (o["kind"], o["metadata"]["name"], o.get("spec"))
        for k in ("Service", "HTTPRoute")
        for o in harness.cluster.all(k)
    ]
    rollout = {"stages": [{"weightPercent": 60, "observeSeconds": 1}, {"weightPercent": 30, "observeSeconds": 1}]}
    harness.change(rollout=rollout)
    await harness.run(5)
    assert stalled(harness, "InvalidSpec", "stages must rise and end at 100")
    after = [
        (o["kind"], o["metadata"]["name"], o.get("spec"))
        for k in ("Service", "HTTPRoute")
        for o in harness.cluster.all(k)
    ]
    assert after == before
    calls = len(harness.cluster.calls)
    await harness.run(5)
    assert len(harness.cluster.calls) == calls


_NO_PLAN = {"stages": [{"weightPercent": 60, "observeSeconds": 1}, {"weightPercent": 30, "observeSeconds": 1}]}


async def test_a_first_spec_that_admission_let_through_is_named() -> None:
    harness = Harness(managed_service(rollout=_NO_PLAN))
    await harness.run(3)
    assert stalled(harness, "InvalidSpec", "stages must rise and end at 100")
    assert list(harness.cluster.all("Release")) == []


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_rollout_goes_on_by_its_own_plan_while_the_spec_cannot_be_read(restarted: bool) -> None:
    harness = await served()
    harness.change()
    await harness.run_until(lambda: harness.shares().get("app-2") == 25)
    harness.change("app:3", rollout=_NO_PLAN)
    if restarted:
        harness.start()
    harness.gate = lambda _: Samples({"total": 1000.0, "errors": 900.0})
    await harness.run_until(lambda: harness.state("app-2") in ("RolledBack", "Failed"))
    assert harness.shares() == {"app-1": 100}
    assert stalled(harness, "InvalidSpec", "stages must rise and end at 100")
    assert harness.state("app-3") is None


async def test_a_bug_in_a_decision_stops_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = await served()
    healthy = harness.mind.advance
    failures = 0

    def broken(*_: Any) -> Any:
        nonlocal failures
        failures += 1
        raise RuntimeError("a bug")

    object.__setattr__(harness.mind, "advance", broken)
    waits = [await harness.loop.once() for _ in range(12)]
    assert failures == 12
    numbers = [w for w in waits if w is not None]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 22.5  # 30 s, less what spreads retries
    object.__setattr__(harness.mind, "advance", healthy)
    await harness.run_until(harness.settled)
