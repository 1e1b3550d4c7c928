"""Good changes, on a real cluster, with real traffic."""

from __future__ import annotations

from collections.abc import Callable

from hack.demo.figures import stage_figures
from hack.rig.services import rollout, smoke_test, stages, success_gate
from tests.e2e.conftest import Loaded
from tests.e2e.endings import goes_forward

Make = Callable[..., Loaded]


def test_good_change_is_promoted_in_stages(loaded: Make) -> None:
    world = loaded(rate=100.0)
    world.service.apply(env={"DEMO_VERSION": "2"})
    release = goes_forward(world)
    report = world.report()
    figures = stage_figures(release, world.load.records)
    assert [f.weight_percent for f in figures] == [10, 25, 50, 100]
    for stage in figures:
        assert abs(stage.share_percent - stage.weight_percent) <= 6, stage
    assert report.app_errors == 0
    gate = release["status"]["gates"][0]
    assert gate["verdict"] == "Pass"
    assert gate["requests"] >= 20


def test_smoke_tests_can_go_through_the_gateway(loaded: Make) -> None:
    tests = [smoke_test(), smoke_test(name="through-gateway", via="Gateway")]
    plan = rollout(stages=stages(50, 100, seconds=3), smokeTests=tests)
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    release = goes_forward(world)
    assert all(t["passed"] for t in release["status"]["smokeTests"])
    world.report()


def test_marked_requests_prove_the_weight_without_traffic(loaded: Make) -> None:
    plan = rollout(stages=stages(50, 100, seconds=2), gates=[success_gate(minRequests=0, dryRun=True)])
    world = loaded(plan=plan, rate=2.0)
    world.load.stop()
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    release = goes_forward(world)
    seen = [t["message"] for t in release["status"]["transitions"] if t["reason"] == "WeightObserved"]
    assert seen
    assert all("marked requests" in words for words in seen)


def test_plain_service_is_switched_at_once(loaded: Make, namespace: str) -> None:
    plan = rollout(stages=stages(100, seconds=3), metrics={"preset": "App"}, gates=[success_gate(dryRun=True)])
    world = loaded(plan=plan, rate=1.0)
    world.load.stop()
    plain = {"traffic": {"none": {}}, "plan": plan}
    other = type(world.service)(world.service.api, "plain", namespace)
    other.apply(env={"DEMO_VERSION": "1"}, **plain)
    other.wait_settled(1)
    other.apply(env={"DEMO_VERSION": "2"}, **plain)
    other.wait_state(2, "Promoted")
    other.wait_settled(2)
    service = other.api.get("Service", namespace, "plain")
    assert service is not None
    assert service["spec"]["selector"]["sophia.ai/release"] == "plain-2"
    slices = other.api.list("EndpointSlice", namespace, "kubernetes.io/service-name=plain")
    pods = [e["targetRef"]["name"] for s in slices for e in s["endpoints"] if e["conditions"]["ready"]]
    assert len(pods) == 2
    assert all(pod.startswith("plain-2-") for pod in pods)


def test_configuration_moves_and_moves_back_with_the_release(loaded: Make, namespace: str) -> None:
    plan = rollout(stages=stages(50, 100, seconds=2))
    world = loaded(plan=plan)
    api = world.service.api
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": namespace},
        "data": {"DEMO_VERSION": "a"},
    }
    api.apply(config)
    spec = {"plan": plan, "config": {"configMaps": ["settings"]}}
    world.service.apply(env={"DEMO_VERSION": "2"}, **spec)
    goes_forward(world)
    api.apply({**config, "data": {"DEMO_VERSION": "b"}})
    third = goes_forward(world, 3)
    copies = third["spec"]["snapshot"]["config"]
    assert [c["name"] for c in copies] == ["settings"]
    kept = api.get("ConfigMap", namespace, copies[0]["copyName"])
    assert kept is not None
    assert kept["data"] == {"DEMO_VERSION": "b"}
    world.report()


def test_size_follows_the_scale_subresource_and_holds_in_mid_rollout(loaded: Make) -> None:
    world = loaded()
    api, namespace = world.service.api, world.service.namespace
    api.merge("ManagedService", namespace, "app", {"spec": {"replicas": 3}}, sub="scale")
    api.until("three pods", lambda: world.service.status().get("readyReplicas") == 3 or None, seconds=40)
    world.service.apply(env={"DEMO_VERSION": "2"}, replicas=3)
    world.service.wait_stage(2, 0)
    api.merge("ManagedService", namespace, "app", {"spec": {"replicas": 1}}, sub="scale")
    world.service.wait_stage(2, 1)
    for revision in (1, 2):
        deployment = api.get("Deployment", namespace, f"app-{revision}")
        assert deployment is not None
        assert deployment["spec"]["replicas"] == 3
    goes_forward(world)
    world.report()
