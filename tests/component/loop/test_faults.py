"""Faults at every single write of a rollout: the process dies, answers get lost, others write in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sophia_operator.api.release import Intent
from sophia_operator.core.findings import Samples
from tests.support.fake_cluster import Call, Fault, at_write
from tests.support.fake_cluster_harness import NAME, Harness, managed_service

_PLAN: dict[str, Any] = {
    "stages": [{"weightPercent": 50, "observeSeconds": 4}, {"weightPercent": 100, "observeSeconds": 4}],
    "gates": [{"name": "errors", "successRate": {"minPercent": "99"}, "minRequests": 10, "windowSeconds": 4}],
    "lookIntervalSeconds": 4,
    "keepPreviousSeconds": 5,
    "abortKeepSeconds": 2,
    "drainSeconds": 2,
}
_LIMIT = 300.0


async def served() -> Harness:
    """A service whose first release serves."""
    harness = Harness(managed_service(rollout=_PLAN))
    await harness.run_until(harness.settled)
    return harness


def check_users(harness: Harness) -> None:
    """Users reach releases with ready pods only."""
    shares = harness.shares()
    assert sum(shares.values()) in (0, 99, 100), shares
    for release, share in shares.items():
        assert share == 0 or harness.controllers.ready_pods(release) > 0, (
            f"{share} % at {release}: {harness.describe()}"
        )


async def run_checked(harness: Harness, over: Callable[[], bool]) -> None:
    def checked() -> bool:
        check_users(harness)
        return over()

    await harness.run_until(checked, limit=_LIMIT, every=2.0)


def promoted(harness: Harness) -> Callable[[], bool]:
    """The change is rolled out, and the old release is gone."""
    return lambda: (
        harness.settled()
        and harness.state("app-2") == "Promoted"
        and harness.shares() == {"app-2": 100}
        and not harness.controllers.pods("app-1")
    )


def rolled_back(harness: Harness) -> Callable[[], bool]:
    """The change is rolled back, and its pods are gone."""
    return lambda: (
        harness.state("app-2") in ("RolledBack", "Failed")
        and harness.shares() == {"app-1": 100}
        and not harness.controllers.pods("app-2")
    )


async def good_change() -> tuple[Harness, Callable[[], bool]]:
    harness = await served()
    harness.change(rollout=_PLAN)
    return harness, promoted(harness)


async def bad_change() -> tuple[Harness, Callable[[], bool]]:
    harness = await served()
    harness.gate = lambda _: Samples({"total": 1000.0, "errors": 500.0})
    harness.change(rollout=_PLAN)
    return harness, rolled_back(harness)


Scenario = Callable[[], Awaitable[tuple[Harness, Callable[[], bool]]]]
_SCENARIOS = pytest.mark.parametrize("scenario", [good_change, bad_change])


async def writes_of(scenario: Scenario) -> tuple[int, int]:
    """Numbers of the first and the last write of a run without faults."""
    harness, over = await scenario()
    before = len(harness.cluster.writes)
    await run_checked(harness, over)
    return before + 1, len(harness.cluster.writes)


@_SCENARIOS
@pytest.mark.parametrize("fault", Fault)
async def test_a_fault_at_any_write_changes_neither_the_end_nor_what_users_see(
    scenario: Scenario, fault: Fault
) -> None:
    first, last = await writes_of(scenario)
    assert last - first > 10
    # A process may die anywhere; what the loop itself sees go wrong is one piece of code, so samples do.
    step = 1 if fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER) else 3
    for number in range(first, last + 1, step):
        harness, over = await scenario()
        harness.cluster.hook = at_write(number, fault)
        try:
            await run_checked(harness, over)
        except AssertionError as error:
            raise AssertionError(
                f"{fault.value} at write {number} ({harness.cluster.writes[number - 1]}): {error}"
            ) from error
        assert len(harness.cluster.writes) >= number
        assert harness.crashes == (1 if fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER) else 0)


@_SCENARIOS
async def test_a_process_that_dies_after_every_write_gets_there_all_the_same(scenario: Scenario) -> None:
    harness, over = await scenario()
    harness.cluster.hook = lambda call: Fault.CRASH_AFTER if call.write is not None else None
    await run_checked(harness, over)
    assert harness.crashes > 10


@_SCENARIOS
async def test_every_other_write_fails(scenario: Scenario) -> None:
    harness, over = await scenario()
    harness.cluster.hook = lambda call: Fault.UNAVAILABLE if (call.write or 0) % 2 else None
    await run_checked(harness, over)
    assert any(call.write is not None and call.write % 2 for call in harness.cluster.writes)


@_SCENARIOS
async def test_watches_that_trail_behind(scenario: Scenario) -> None:
    """Only one event comes between two passes; what the operator wrote itself it knows."""
    harness, over = await scenario()
    harness.cluster.lagging = True

    def trickle() -> bool:
        harness.cluster.deliver(count=3)
        return over()

    await run_checked(harness, trickle)
    assert harness.crashes == 0


@_SCENARIOS
@pytest.mark.parametrize("kind", ["Release", "ManagedService"])
async def test_a_status_that_is_lost_at_any_write_is_rebuilt(scenario: Scenario, kind: str) -> None:
    first, last = await writes_of(scenario)
    for number in range(first, last + 1, 3):
        harness, _ = await scenario()

        def lose(call: Call, number: int = number, harness: Harness = harness) -> Fault | None:
            if call.write == number:
                for obj in list(harness.cluster.all(kind)):
                    harness.lose_status(kind, obj["metadata"]["name"])
            return None

        harness.cluster.hook = lose
        try:
            await run_checked(harness, lambda harness=harness: _one_serves(harness))  # type: ignore[misc]
            await harness.run(60, every=2.0)
            await run_checked(harness, lambda harness=harness: _one_serves(harness))  # type: ignore[misc]
        except AssertionError as error:
            raise AssertionError(f"lost at write {number}: {error}") from error


def _one_serves(harness: Harness) -> bool:
    """One release has all users, and the service knows which."""
    stable = harness.status().stable
    return stable is not None and harness.shares() == {stable.name: 100}


@pytest.mark.parametrize("kind", ["Deployment", "Service", "HTTPRoute", "EndpointSlice", "Pod"])
async def test_objects_that_are_deleted_by_hand_in_mid_rollout_come_back(kind: str) -> None:
    harness, over = await good_change()
    await harness.run_until(lambda: harness.shares().get("app-2") == 50, every=2.0)
    for obj in list(harness.cluster.all(kind)):
        harness.cluster.remove(kind, obj["metadata"]["name"])
    await harness.run_until(over, limit=_LIMIT, every=2.0)
    assert harness.shares() == {"app-2": 100}


async def test_a_conflicting_writer_of_weights_is_put_right() -> None:
    harness, over = await good_change()
    await harness.run_until(lambda: harness.shares().get("app-2") == 50, every=2.0)

    def take_all(route: dict[str, Any]) -> None:
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", ()):
                backend["weight"] = 100 if "green" in backend["name"] else 0

    harness.cluster.edit("HTTPRoute", NAME, take_all)
    await harness.once()
    harness.controllers.tick()
    assert harness.shares() == {"app-1": 50, "app-2": 50}
    await harness.run_until(over, limit=_LIMIT, every=2.0)


async def test_an_abort_that_comes_between_decision_and_write_wins() -> None:
    """The status is written on top of the version that was decided on, so the newer intent is seen first."""
    harness, _ = await good_change()
    await harness.run_until(lambda: harness.state("app-2") == "SmokeTesting", every=2.0)

    def abort(call: Call) -> Fault | None:
        if call.kind == "Release" and call.verb == "apply-status":
            harness.cluster.hook = lambda _: None
            harness.intend("app-2", Intent.ABORT)
        return None

    harness.cluster.hook = abort
    seen: list[dict[str, int]] = []

    def over() -> bool:
        seen.append(harness.shares())
        return harness.state("app-2") in ("RolledBack", "Failed")

    await harness.run_until(over, every=2.0)
    assert all(shares == {"app-1": 100} for shares in seen)


@pytest.mark.parametrize("after_seconds", [1, 120])
async def test_deleting_the_release_that_serves_takes_no_users_away(after_seconds: int) -> None:
    harness = Harness(managed_service())
    await harness.run_until(harness.settled)
    harness.change("app:2")
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")
    await harness.run(after_seconds)
    harness.cluster.remove("Release", "app-2")
    for _ in range(200):
        await harness.run(0.5)
        assert all(harness.controllers.ready_pods(release) > 0 for release in harness.shares())
        if harness.settled():
            break
    assert harness.state("app-3") == "Promoted"
    await harness.run(120)
    assert harness.cluster.find("Deployment", "app-2") is None


async def test_deleting_the_only_release_takes_no_users_away() -> None:
    harness = Harness(managed_service())
    await harness.run_until(harness.settled)
    harness.cluster.remove("Release", "app-1")
    for _ in range(100):
        await harness.run(0.5)
        assert all(harness.controllers.ready_pods(release) > 0 for release in harness.shares())
    assert harness.shares() == {"app-2": 100}
    assert harness.cluster.find("Deployment", "app-1") is None
