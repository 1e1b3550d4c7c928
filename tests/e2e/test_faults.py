"""Faults of everything around the service: evictions, Prometheus, the gateway, other writers, newer changes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hack.demo.figures import seconds_of
from hack.rig.api import is_ready
from hack.rig.services import rollout, stages, success_gate
from tests.e2e.conftest import Loaded
from tests.e2e.endings import goes_back, goes_forward, settles

Make = Callable[..., Loaded]


def test_evicted_pods_of_the_new_release_hold_the_stage_and_come_back(loaded: Make) -> None:
    """As a node under pressure does to them, one after the other."""
    plan = rollout(stages=stages(25, 100, seconds=10))
    world = loaded(plan=plan)
    api, namespace = world.service.api, world.service.namespace
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    world.service.wait_stage(2, 0)
    selector = "sophia.ai/release=app-2"
    for pod in api.list("Pod", namespace, selector):
        name = pod["metadata"]["name"]
        api.evict(namespace, name)

        def replaced(gone: str = name) -> bool | None:
            there = api.list("Pod", namespace, selector)
            ready = [p for p in there if is_ready(p) and not p["metadata"].get("deletionTimestamp")]
            return (len(ready) == 2 and gone not in {p["metadata"]["name"] for p in ready}) or None

        api.until(f"{name} to be replaced", replaced, seconds=40)
    goes_forward(world)
    world.report()


@pytest.mark.disruptive
def test_prometheus_stopped_in_mid_stage_holds_and_goes_on(loaded: Make) -> None:
    """It holds for want of evidence, not for want of time: the stage's own time ends while Prometheus is away."""
    # So many that the outage, the start of Prometheus, and the first samples fit in: 80 s of looks.
    plan = rollout(stages=stages(25, 100, seconds=10), gates=[success_gate(inconclusiveLimit=40)])
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    before = world.service.wait_stage(2, 0)["status"]["stage"]
    scale(world, 0)
    try:
        world.service.api.until("the outage to show", lambda: metrics_are_away(world), seconds=40)
        time.sleep(max(0.0, seconds_of(before["effectiveAt"]) + 10 + 5 - time.time()))
        held = world.service.wait_state(2, "Shifting")["status"]
        assert held["stage"] == before
        assert "pause" not in held
        assert held["gates"][0]["verdict"] == "Inconclusive"
        assert metrics_are_away(world)
        assert world.service.weights() == {"blue": 75, "green": 25}
    finally:
        scale(world, 1)
    goes_forward(world, seconds=180)
    world.report()


def metrics_are_away(world: Loaded) -> bool:
    """Whether the second release says so."""
    status = (world.service.release(2) or {}).get("status", {})
    return any(c["type"] == "MetricsAvailable" and c["status"] == "False" for c in status.get("conditions", []))


def scale(world: Loaded, replicas: int) -> None:
    """Stop or start Prometheus."""
    api = world.service.api
    api.merge("Deployment", "monitoring", "prometheus", {"spec": {"replicas": replicas}}, sub="scale")

    def there() -> bool | None:
        deployment = api.get("Deployment", "monitoring", "prometheus") or {}
        return deployment["status"].get("readyReplicas", 0) == replicas or None

    api.until(f"Prometheus at {replicas}", there, seconds=60)


@pytest.mark.disruptive
def test_gateway_controller_restarted_in_mid_stage(loaded: Make) -> None:
    plan = rollout(stages=stages(25, 100, seconds=8))
    world = loaded(plan=plan)
    api = world.service.api
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    world.service.wait_stage(2, 0)
    for pod in api.list("Pod", "projectcontour", "app=contour"):
        api.delete("Pod", "projectcontour", pod["metadata"]["name"], grace_seconds=0)
    goes_forward(world, seconds=180)
    world.report()


@pytest.mark.disruptive
def test_gateway_rolled_in_mid_stage(loaded: Make) -> None:
    """Every Envoy is replaced while green has a share: a new one begins its counts at zero."""
    plan = rollout(stages=stages(25, 100, seconds=12))
    world = loaded(plan=plan)
    world.loses_connections = True
    api = world.service.api
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    world.service.wait_stage(2, 0)
    old = {p["metadata"]["name"] for p in api.list("Pod", "projectcontour", "app=envoy")}
    # As `kubectl rollout restart` does; the time is another one when the cluster stays for the next run.
    restarted = {"spec": {"template": {"metadata": {"annotations": {"restarted-by-test": str(time.time())}}}}}
    api.merge("Deployment", "projectcontour", "envoy", restarted)

    def replaced() -> bool | None:
        return not old & {p["metadata"]["name"] for p in api.list("Pod", "projectcontour", "app=envoy")} or None

    api.until("every Envoy to be replaced", replaced, seconds=90)
    goes_forward(world, seconds=180)
    world.report()


def test_newer_change_supersedes_and_those_between_are_skipped(loaded: Make) -> None:
    plan = rollout(stages=stages(25, 100, seconds=6))
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    world.service.wait_stage(2, 0)
    world.service.apply(env={"DEMO_VERSION": "3"}, plan=plan)
    world.service.api.until("release 3", lambda: world.service.release(3), seconds=45)
    world.service.apply(env={"DEMO_VERSION": "4"}, plan=plan)
    goes_forward(world, 4)
    assert world.service.state(2) == "Superseded"
    assert world.service.state(3) == "Superseded"
    report = world.report()
    assert "app-3" not in report.releases


def test_spec_put_back_returns_to_the_kept_release_at_once(loaded: Make) -> None:
    plan = rollout(stages=stages(50, 100, seconds=3))
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    goes_forward(world)
    world.service.apply(env={"DEMO_VERSION": "1"}, plan=plan)
    settles(world, 1, seconds=30)
    assert world.service.state(2) == "Superseded"
    assert world.service.release(3) is None
    world.report()


def test_abort_after_promotion_returns_to_the_kept_release_at_once(loaded: Make) -> None:
    plan = rollout(stages=stages(50, 100, seconds=3))
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    goes_forward(world)
    world.service.intend(2, "Abort", "users complain")
    goes_back(world)
    world.report()


def test_lost_status_and_deleted_children_lose_nothing(loaded: Make) -> None:
    plan = rollout(stages=stages(25, 100, seconds=6))
    world = loaded(plan=plan)
    api, namespace = world.service.api, world.service.namespace
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    world.service.wait_stage(2, 0)
    for kind, name in (("Release", "app-1"), ("Release", "app-2"), ("ManagedService", "app")):
        api.merge(kind, namespace, name, {"status": None}, sub="status")
    goes_forward(world)
    assert world.service.state(1) == "Promoted"
    world.report()


def test_edits_by_hand_are_put_right(loaded: Make) -> None:
    world = loaded()
    api, namespace = world.service.api, world.service.namespace
    api.merge("Deployment", namespace, "app-1", {"spec": {"replicas": 5}})
    api.until(
        "the size to be put right",
        lambda: (api.get("Deployment", namespace, "app-1") or {})["spec"]["replicas"] == 2 or None,
        seconds=45,
    )
    api.delete("Service", namespace, "app-green")
    api.until("the Service to be made again", lambda: api.get("Service", namespace, "app-green"), seconds=45)
    settles(world, 1)
    world.report()


def test_deleted_service_leaves_nothing(loaded: Make) -> None:
    world = loaded(rate=1.0)
    world.load.stop()
    api, namespace = world.service.api, world.service.namespace
    api.delete("ManagedService", namespace, "app")
    for kind in ("Release", "Deployment", "HTTPRoute", "Service", "Pod"):
        api.until(f"no {kind}", lambda kind=kind: not api.list(kind, namespace, "sophia.ai/service=app"), seconds=90)  # type: ignore[misc]


def test_failed_gate_with_dry_run_does_not_stop_the_rollout(loaded: Make) -> None:
    gates = [success_gate(), success_gate(name="strict", successRate={"minPercent": "100"}, dryRun=True)]
    plan = rollout(stages=stages(50, 100, seconds=4), gates=gates)
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    goes_forward(world)
    world.report()
