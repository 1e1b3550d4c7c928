"""What a service keeps of its past, and what it leaves behind."""

from __future__ import annotations

import pytest

from sophia_operator.core.findings import Samples
from tests.support.fake_cluster_harness import NAME, Gone, Harness, managed_service

_PLAN = {"stages": [{"weightPercent": 100, "observeSeconds": 2}], "keepPreviousSeconds": 3, "gates": []}


async def promote(harness: Harness, image: str, limit: int) -> None:
    harness.change(image, rollout=_PLAN, historyLimit=limit)
    revision = harness.status().last_revision + 1
    await harness.run_until(lambda: harness.state(f"{NAME}-{revision}") == "Promoted", every=2.0)
    await harness.run(20, every=2.0)


async def test_old_releases_go_with_what_they_own() -> None:
    harness = Harness(managed_service(rollout=_PLAN, historyLimit=2))
    await harness.run_until(harness.settled)
    for i in range(2, 8):
        await promote(harness, f"app:{i}", limit=2)
    releases = [o["metadata"]["name"] for o in harness.cluster.all("Release")]
    assert releases == ["app-4", "app-5", "app-6", "app-7"]  # two beside the stable one and the one before it
    assert {o["metadata"]["name"] for o in harness.cluster.all("Deployment")} <= set(releases)
    assert harness.shares() == {"app-7": 100}


async def test_a_failure_that_the_spec_still_asks_for_is_not_forgotten() -> None:
    harness = Harness(managed_service(rollout=_PLAN, historyLimit=1))
    await harness.run_until(harness.settled)
    gates = [{"name": "errors", "successRate": {"minPercent": "99"}, "minRequests": 1, "windowSeconds": 4}]
    harness.gate = lambda _: Samples({"total": 1000.0, "errors": 900.0})
    for image in ("app:bad", "app:worse", "app:bad"):
        harness.change(image, rollout=_PLAN | {"gates": gates, "lookIntervalSeconds": 1}, historyLimit=1)
        await harness.run(40, every=2.0)
    states = {o["metadata"]["name"]: harness.state(o["metadata"]["name"]) for o in harness.cluster.all("Release")}
    # The first failure was latched: the third change is not tried again.
    assert states == {"app-1": "Promoted", "app-2": "RolledBack", "app-3": "RolledBack"}
    await harness.run(600, every=10.0)
    assert harness.status().last_revision == 3


async def test_a_deleted_service_ends_its_loop_and_its_children_go() -> None:
    harness = Harness()
    await harness.run_until(harness.settled)
    harness.cluster.remove("ManagedService", NAME)
    with pytest.raises(Gone):
        await harness.loop.once()
    harness.controllers.tick()
    left = [k for k in ("Release", "Deployment", "Service", "HTTPRoute", "Pod") if list(harness.cluster.all(k))]
    assert left == []


async def test_a_service_that_is_being_deleted_is_left_alone() -> None:
    harness = Harness()
    await harness.run_until(harness.settled)
    harness.cluster.edit(
        "ManagedService", NAME, lambda o: o["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z")
    )
    calls = len(harness.cluster.calls)
    with pytest.raises(Gone):
        await harness.loop.once()
    assert len(harness.cluster.calls) == calls
