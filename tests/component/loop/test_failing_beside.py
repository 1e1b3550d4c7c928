"""Something else fails for as long as it likes: gates are looked at in time, and a rollback is no later for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from sophia_operator.core.findings import Samples
from sophia_operator.runtime.waits import MIN_INTERVAL_SECONDS
from tests.support.fake_cluster import Call, Fault
from tests.support.fake_cluster_harness import Harness, managed_service

_PLAN = {
    "stages": [{"weightPercent": 25, "observeSeconds": 300}, {"weightPercent": 100, "observeSeconds": 30}],
    "gates": [
        {"name": "errors", "successRate": {"minPercent": "99"}, "minRequests": 10, "windowSeconds": 4},
    ],
    "lookIntervalSeconds": 1,
}


async def shifting() -> Harness:
    """A service in mid-rollout."""
    harness = Harness(managed_service(rollout=_PLAN))
    await harness.run_until(harness.settled)
    harness.change(rollout=_PLAN)
    await harness.run_until(lambda: harness.shares().get("app-2") == 25)
    return harness


def refused(fault: Fault, verb: str, kind: str) -> Callable[[Call], Fault | None]:
    """Such calls fail."""
    return lambda call: fault if (call.verb, call.kind) == (verb, kind) else None


async def pass_by(harness: Harness) -> float:
    """One pass, and as much time as the loop would wait."""
    wait = await harness.once()
    harness.controllers.tick()
    seconds = max(MIN_INTERVAL_SECONDS, wait if wait is not None else 1.0)
    harness.now += timedelta(seconds=seconds)
    return seconds


@pytest.mark.parametrize("fault", [Fault.FORBIDDEN, Fault.UNAVAILABLE, Fault.INVALID])
async def test_a_fault_is_seen_in_time_while_the_service_status_cannot_be_written(fault: Fault) -> None:
    harness = await shifting()
    harness.cluster.hook = refused(fault, "apply-status", "ManagedService")
    started = harness.now
    while harness.now < started + timedelta(seconds=60):
        assert await pass_by(harness) <= 5.0
    harness.gate = lambda _: Samples({"total": 1000.0, "errors": 500.0})
    started = harness.now
    while harness.shares().get("app-2"):
        await pass_by(harness)
    assert harness.now - started <= timedelta(seconds=5)
    assert 'result="failed"' in harness.telemetry.exposition().decode()


async def test_what_is_refused_again_and_again_is_no_hot_loop() -> None:
    """A Release that cannot be made is wanted at once, each time."""
    harness = Harness(managed_service(rollout=_PLAN))
    await harness.run_until(harness.settled)
    harness.cluster.hook = refused(Fault.UNAVAILABLE, "create", "Release")
    harness.change(rollout=_PLAN)
    waits = [await pass_by(harness) for _ in range(12)]
    assert waits[-1] > 10.0


async def test_a_refused_release_is_tried_no_more_often_than_gates_are_looked_at() -> None:
    harness = await shifting()
    harness.cluster.hook = refused(Fault.UNAVAILABLE, "create", "Release")
    harness.change("app:3", rollout=_PLAN)
    waits = [await pass_by(harness) for _ in range(30)]
    late = waits[10:]
    assert min(late) >= 0.9
    assert max(late) <= 1.0
