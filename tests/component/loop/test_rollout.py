"""Whole rollouts over a cluster in memory: what users' traffic sees, and what a settled service costs."""

from __future__ import annotations

import pytest

from sophia_operator.api.release import Intent
from sophia_operator.core.findings import MetricsOutage, Samples
from sophia_operator.runtime.telemetry import Telemetry
from tests.support.fake_cluster_controllers import Behaviour
from tests.support.fake_cluster_harness import NAME, Harness, managed_service


@pytest.fixture
async def settled() -> Harness:
    """A service whose first release serves."""
    harness = Harness()
    await harness.run_until(harness.settled)
    return harness


async def test_the_first_release_takes_all_traffic(settled: Harness) -> None:
    assert settled.state("app-1") == "Promoted"
    assert settled.shares() == {"app-1": 100}
    assert settled.condition("Available") is not None


async def test_a_change_goes_through_its_stages_and_is_promoted(settled: Harness) -> None:
    seen: set[int] = set()
    settled.change()

    def promoted() -> bool:
        seen.add(settled.shares().get("app-2", 0))
        return settled.state("app-2") == "Promoted"

    await settled.run_until(promoted)
    assert seen == {0, 25, 100}
    await settled.run(90)
    assert settled.settled()
    assert settled.shares() == {"app-2": 100}
    assert settled.controllers.pods("app-1") == []


async def test_a_settled_service_is_silent(settled: Harness) -> None:
    await settled.run(90)
    calls, events = len(settled.cluster.calls), len(settled.cluster.events)
    for _ in range(20):
        assert await settled.loop.once() is None
        settled.controllers.tick()
    assert settled.cluster.calls[calls:] == []
    assert settled.cluster.events[events:] == []


async def test_a_restart_of_the_operator_over_a_settled_service_is_silent(settled: Harness) -> None:
    await settled.run(90)
    calls = len(settled.cluster.calls)
    settled.start()
    assert await settled.loop.once() is None
    assert settled.cluster.calls[calls:] == []


async def test_a_failing_gate_sends_all_traffic_back_at_once(settled: Harness) -> None:
    settled.gate = lambda _: Samples({"total": 1000.0, "errors": 500.0})
    settled.change()
    await settled.run_until(lambda: settled.state("app-2") == "RollingBack")
    assert settled.shares().get("app-2", 0) == 0 or settled.cluster.find("HTTPRoute", NAME) is not None
    settled.controllers.tick()
    assert settled.shares() == {"app-1": 100}
    await settled.run_until(lambda: settled.state("app-2") in ("RolledBack", "Failed"))
    await settled.run(60)
    assert settled.controllers.pods("app-2") == []
    assert settled.condition("Stalled") is not None


async def test_an_outage_of_prometheus_holds(settled: Harness) -> None:
    settled.change()
    await settled.run_until(lambda: settled.shares().get("app-2") == 25)
    settled.gate = lambda _: MetricsOutage("connection refused")
    await settled.run(200)
    assert settled.state("app-2") == "Shifting"
    assert settled.shares() == {"app-1": 75, "app-2": 25}


async def test_crash_looping_pods_never_get_traffic(settled: Harness) -> None:
    settled.controllers.behaviours["app:2"] = Behaviour(ready_after=None, waits="CrashLoopBackOff")
    settled.change()
    await settled.run_until(lambda: settled.state("app-2") in ("RolledBack", "Failed"))
    assert settled.shares() == {"app-1": 100}


async def test_abort_wins(settled: Harness) -> None:
    settled.change()
    await settled.run_until(lambda: settled.shares().get("app-2") == 25)
    settled.intend("app-2", Intent.ABORT)
    await settled.once()
    settled.controllers.tick()
    assert settled.shares() == {"app-1": 100}


async def test_without_a_gateway_the_plain_service_is_switched() -> None:
    harness = Harness(managed_service(traffic={"none": {}}))
    await harness.run_until(harness.settled)
    assert harness.shares() == {"app-1": 100}
    harness.change(traffic={"none": {}})
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")
    await harness.run_until(harness.settled)
    assert harness.shares() == {"app-2": 100}


async def test_a_rollout_that_stands_still_has_its_metrics_after_a_restart() -> None:
    harness = await shifting_and_paused()
    harness.telemetry = Telemetry(process=False)
    harness.start()
    await harness.run(5)
    said = harness.telemetry.exposition().decode()
    assert 'sophia_rollout_stage{namespace="shop",service="app"} 1.0' in said
    assert 'sophia_rollout_weight_percent{namespace="shop",service="app"} 25.0' in said
    assert "sophia_gate_verdict{" in said


async def shifting_and_paused() -> Harness:
    harness = Harness()
    await harness.run_until(harness.settled)
    harness.change()
    await harness.run_until(lambda: harness.shares().get("app-2") == 25)
    harness.intend("app-2", Intent.PAUSE)
    await harness.run(60)
    assert harness.state("app-2") == "Shifting"
    return harness
