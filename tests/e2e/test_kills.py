"""The operator dies, or is replaced, at every moment of a rollout: its successor goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hack.rig.services import rollout, smoke_test, stages
from tests.e2e import operators
from tests.e2e.conftest import Loaded
from tests.e2e.endings import goes_back, goes_forward

Make = Callable[..., Loaded]


@pytest.mark.disruptive
@pytest.mark.parametrize("when", ["Provisioning", "SmokeTesting", "Shifting"])
def test_operator_killed_while(loaded: Make, when: str) -> None:
    """In Shifting, it is killed once the weight of the first stage is decided, and before it is seen in the traffic."""
    plan = rollout(stages=stages(25, 100, seconds=6), smokeTests=[smoke_test(timeoutSeconds=5)])
    world = loaded(plan=plan)
    operators.fresh(world.service.api)
    # An answer that takes its time leaves a while to be killed in.
    slow = {"DEMO_LATENCY_MS": "1500"} if when == "SmokeTesting" else {}
    world.service.apply(env={"DEMO_VERSION": "2", **slow}, plan=plan)
    stage = reach(world, when)["status"].get("stage")
    assert stage is None or "effectiveAt" not in stage
    kill_operator(world, when, stage)
    goes_forward(world)
    world.report()


@pytest.mark.disruptive
def test_operator_killed_while_rolling_back(loaded: Make) -> None:
    plan = rollout(stages=stages(25, 100, seconds=30))
    world = loaded(plan=plan)
    operators.fresh(world.service.api)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    world.service.wait_stage(2, 0)
    world.service.intend(2, "Abort")
    reach(world, "RollingBack")
    kill_operator(world, "RollingBack")
    goes_back(world)
    world.report()


@pytest.mark.disruptive
def test_operator_killed_at_every_stage_of_one_rollout(loaded: Make) -> None:
    """And replaced politely between the kills."""
    plan = rollout(stages=stages(10, 25, 50, 100, seconds=8))
    world = loaded(plan=plan)
    world.service.apply(env={"DEMO_VERSION": "2"}, plan=plan)
    for index in range(4):
        operators.fresh(world.service.api)
        stage = world.service.wait_stage(2, index)["status"]["stage"]
        kill_operator(world, "Shifting", stage)
    release = goes_forward(world)
    weights = [t["weightPercent"] for t in release["status"]["transitions"] if t["reason"] == "WeightObserved"]
    assert weights == [10, 25, 50, 100]
    world.report()


def reach(world: Loaded, state: str) -> dict[str, Any]:
    """The second release as soon as it is in a state that does not last long."""

    def look() -> dict[str, Any] | None:
        found = world.service.release(2)
        return found if found is not None and found.get("status", {}).get("state") == state else None

    return world.service.api.until(state, look, seconds=60, every=0.02)


def kill_operator(world: Loaded, state: str, stage: Mapping[str, Any] | None = None) -> None:
    """Kill the operator, make sure that the second release was at that point when it died, and wait for it.

    Nobody else writes the release's status, so it stays as it was at the kill until the operator is back.
    """
    killed = operators.kill(world.service.api)
    seen = (world.service.release(2) or {})["status"]
    if killed.at_once:
        assert seen["state"] == state, "killed too late"
        assert stage is None or seen["stage"] == stage, "killed too late"
    killed.wait_back(world.service.api)
