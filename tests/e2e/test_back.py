"""Bad changes: each goes back by itself, and no request is lost on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hack.rig.services import latency_gate, rollout, smoke_test, stages, success_gate
from tests.e2e import operators
from tests.e2e.conftest import Loaded
from tests.e2e.endings import goes_back

Make = Callable[..., Loaded]


def test_errors(loaded: Make) -> None:
    world = loaded(rate=100.0)
    world.service.apply(env={"DEMO_VERSION": "2", "DEMO_ERROR_PERCENT": "50", "DEMO_FAULT_AFTER_SECONDS": "3"})
    release = goes_back(world)
    assert release["status"]["outcome"]["reason"] == "GateFailed"
    report = world.report()
    assert report.app_errors > 0
    assert set(report.app_errors_by_release) == {"app-2"}


def test_errors_in_bursts(loaded: Make) -> None:
    world = loaded(rate=100.0)
    world.service.apply(
        env={"DEMO_VERSION": "2", "DEMO_ERROR_BURST": "2s/6s", "DEMO_FAULT_AFTER_SECONDS": "3"},
    )
    release = goes_back(world)
    assert release["status"]["outcome"]["reason"] == "GateFailed"
    world.report()


def test_latency(loaded: Make) -> None:
    plan = rollout(gates=[success_gate(), latency_gate(200)])
    world = loaded(rate=100.0, plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2", "DEMO_LATENCY_MS": "400", "DEMO_FAULT_AFTER_SECONDS": "2"}, plan=plan)
    release = goes_back(world)
    assert "latency" in release["status"]["outcome"]["message"]
    world.report()


def test_fails_only_under_load(loaded: Make) -> None:
    world = loaded(rate=120.0)
    world.service.apply(env={"DEMO_VERSION": "2", "DEMO_FAIL_ABOVE_RPS": "20"})
    release = goes_back(world)
    transitions = [t["weightPercent"] for t in release["status"]["transitions"] if "weightPercent" in t]
    assert 10 in transitions, "it was well at the first stage"
    world.report()


def test_crash_loop_never_gets_traffic(loaded: Make) -> None:
    plan = rollout(progressDeadlineSeconds=15)
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2", "DEMO_CRASH_AFTER_SECONDS": "0"}, plan=plan)
    release = goes_back(world, "Failed")
    assert release["status"]["outcome"]["reason"] in ("CrashLoop", "ProgressDeadlineExceeded")
    report = world.report()
    assert set(report.releases) == {"app-1"}


def test_crash_in_mid_stage_goes_back(loaded: Make) -> None:
    world = loaded(rate=40.0)
    world.loses_by_crash = True
    world.service.apply(env={"DEMO_VERSION": "2", "DEMO_CRASH_AFTER_SECONDS": "20"})
    goes_back(world, "RolledBack", "Failed", seconds=180)
    report = world.report()
    # Until the endpoints are gone, and the weight with them, green's share meets closed doors; no longer.
    assert report.lost <= 0.1 * report.sent, report.lost_reasons


def test_unready_release_never_gets_traffic(loaded: Make) -> None:
    plan = rollout(progressDeadlineSeconds=10)
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2", "DEMO_UNREADY": "1"}, plan=plan)
    goes_back(world, "Failed")
    report = world.report()
    assert set(report.releases) == {"app-1"}


def test_image_that_cannot_be_pulled(loaded: Make) -> None:
    plan = rollout(progressDeadlineSeconds=10)
    world = loaded(plan=plan)
    obj = world.service.object()
    containers = obj["spec"]["template"]["spec"]["containers"]
    patched = [{**containers[0], "image": "localhost/no-such-image:1"}]
    world.service.api.merge(
        "ManagedService", world.service.namespace, "app", {"spec": {"template": {"spec": {"containers": patched}}}}
    )
    release = goes_back(world, "Failed")
    assert release["status"]["outcome"]["reason"] == "ImagePullFailed"
    world.report()


def test_quota_keeps_the_pods_away(loaded: Make) -> None:
    plan = rollout(progressDeadlineSeconds=8)
    world = loaded(plan=plan)
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": world.service.namespace},
        "spec": {"hard": {"pods": "2"}},
    }
    world.service.api.apply(quota)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    release = goes_back(world, "Failed")
    assert release["status"]["outcome"]["reason"] == "QuotaExceeded"
    assert "quota" in release["status"]["outcome"]["message"]
    world.report()


def test_smoke_test_fails_before_any_traffic(loaded: Make) -> None:
    plan = rollout(smokeTests=[smoke_test(expect={"status": 200, "bodyContains": "no such words"})])
    world = loaded(plan={**plan, "smokeTests": []})
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    release = goes_back(world, "Failed")
    assert release["status"]["outcome"]["reason"] == "SmokeTestFailed"
    assert "no such words" in release["status"]["outcome"]["message"]
    report = world.report()
    assert set(report.releases) == {"app-1"}


@pytest.mark.disruptive
def test_failed_release_stays_latched_and_retry_starts_it_again(loaded: Make) -> None:
    plan = rollout(smokeTests=[smoke_test(attempts=1, expect={"status": 418})])
    world = loaded(plan=plan | {"smokeTests": []})
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    first = goes_back(world, "Failed")
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    world.service.api.merge(
        "ManagedService", world.service.namespace, "app", {"metadata": {"annotations": {"resync": "now"}}}
    )
    operators.replace(world.service.api)
    again = goes_back(world, "Failed")
    assert again["status"]["attempt"] == 1
    assert again["status"]["transitions"] == first["status"]["transitions"]
    assert world.service.release(3) is None
    world.service.intend(2, "Retry")
    world.service.api.until(
        "a second attempt",
        lambda: (world.service.release(2) or {})["status"]["attempt"] == 2 or None,
        seconds=30,
    )
    goes_back(world, "Failed")
    world.report()


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_abort_goes_back_at_once(loaded: Make, stage: int) -> None:
    plan = rollout(stages=stages(10, 25, 50, 100, seconds=4))
    # Nobody waits for its end.
    plan["stages"][stage]["observeSeconds"] = 60
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    world.service.wait_stage(2, stage)
    world.service.intend(2, "Abort", "at once")
    release = goes_back(world)
    assert "at once" in release["status"]["outcome"]["message"]
    world.report()


def test_abort_wins_over_promote(loaded: Make) -> None:
    plan = rollout(stages=stages(25, 100, seconds=20))
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    world.service.wait_stage(2, 0)
    world.service.intend(2, "Promote", "to the last stage")
    world.service.wait_stage(2, 1, effective=False)
    world.service.intend(2, "Abort", "at once")
    release = goes_back(world)
    assert "at once" in release["status"]["outcome"]["message"]
    world.report()
