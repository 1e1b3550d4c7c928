"""Faults at every single write and command: the process dies, answers get lost, others write in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from sophia_operator.core.pool.findings import Verb
from tests.support.fake_cluster import Call, CrashError, Fault, at_write
from tests.support.fake_pools_harness import CREDENTIALS, PoolHarness

_LIMIT = 300.0
Over = Callable[[], bool]
Scenario = Callable[[], Awaitable[tuple[PoolHarness, Over]]]


async def served() -> PoolHarness:
    """A pool that is ready."""
    harness = PoolHarness()
    await harness.run_until(harness.settled)
    return harness


async def coming_up() -> tuple[PoolHarness, Over]:
    harness = PoolHarness()
    return harness, harness.settled


async def other_password() -> tuple[PoolHarness, Over]:
    harness = await served()
    harness.fake.hosts["db"].password = "pw-two"
    harness.set_secret(CREDENTIALS, username="app", password="pw-two")

    def over() -> bool:
        loaded = {b.password_of("app") for b in harness.fake.bouncers.values()}
        return harness.settled() and loaded == {"pw-two"}

    return harness, over


async def fail_over() -> tuple[PoolHarness, Over]:
    harness = await served()
    harness.fake.fail_over()

    def over() -> bool:
        held = {k.identity for b in harness.fake.bouncers.values() for k in b.links if not k.closing}
        server = harness.status().server
        return harness.settled() and held == {"B2"} and server is not None and server.identity == "B2"

    return harness, over


_SCENARIOS = pytest.mark.parametrize("scenario", [coming_up, other_password, fail_over])


async def writes_of(scenario: Scenario) -> tuple[int, int]:
    """Numbers of the first and the last write of a run without faults."""
    harness, over = await scenario()
    before = len(harness.cluster.writes)
    await harness.run_until(over, limit=_LIMIT)
    return before + 1, len(harness.cluster.writes)


def check_end(harness: PoolHarness) -> None:
    """However it went: one Secret with passwords, whole, and pods of it."""
    access = harness.content("orders-pool-access")
    assert harness.content("orders-pool-binding")["password"] == access["client-password"]
    wanted = harness.status().config_hash
    assert {b.marker for b in harness.fake.bouncers.values()} == {wanted}
    assert len(harness.pods()) == 2
    assert harness.status().reconnect is None


@_SCENARIOS
@pytest.mark.parametrize("fault", Fault)
async def test_a_fault_at_any_write_does_not_change_the_end(scenario: Scenario, fault: Fault) -> None:
    first, last = await writes_of(scenario)
    assert last - first >= 2
    for number in range(first, last + 1):
        harness, over = await scenario()
        harness.cluster.hook = at_write(number, fault)
        try:
            await harness.run_until(over, limit=_LIMIT)
            check_end(harness)
        except AssertionError as error:
            writes = harness.cluster.writes
            where = writes[number - 1] if len(writes) >= number else "none"
            raise AssertionError(f"{fault.value} at write {number} ({where}): {error}") from error
        assert len(harness.cluster.writes) >= number
        assert harness.crashes == (1 if fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER) else 0)


@_SCENARIOS
async def test_a_process_that_dies_after_every_write_gets_there_all_the_same(scenario: Scenario) -> None:
    harness, over = await scenario()

    def hook(call: Call) -> Fault | None:
        return Fault.CRASH_AFTER if call.write is not None else None

    harness.cluster.hook = hook
    await harness.run_until(over, limit=_LIMIT)
    check_end(harness)
    assert harness.crashes >= 3


@pytest.mark.parametrize("scenario", [other_password, fail_over])
async def test_a_process_that_dies_at_any_command_gets_there_all_the_same(scenario: Scenario) -> None:
    harness, over = await scenario()
    before = len(harness.fake.given)
    await harness.run_until(over, limit=_LIMIT)
    count = len(harness.fake.given) - before
    assert count >= 2
    for number in range(count):
        harness, over = await scenario()
        left = [number]

        def die(_pod: str, _verb: Verb, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise CrashError

        harness.fake.hook = die
        await harness.run_until(over, limit=_LIMIT)
        check_end(harness)
        assert harness.crashes == 1


async def test_watches_that_trail_behind_change_nothing() -> None:
    for scenario in (coming_up, other_password, fail_over):
        harness, over = await scenario()
        harness.cluster.lagging = True
        for _ in range(600):
            if over():
                break
            await harness.run(0.3)
            harness.cluster.deliver(count=3)
        assert over(), harness.describe()
        check_end(harness)
        harness.cluster.deliver()
        await harness.run(5)
        assert over()


async def test_a_status_that_somebody_wipes_is_made_anew() -> None:
    harness = await served()
    before = harness.status()
    harness.cluster.edit("ConnectionPool", "orders", lambda o: o.pop("status", None))
    await harness.run_until(harness.settled)
    after = harness.status()
    assert (after.size, after.config_hash, after.binding) == (before.size, before.config_hash, before.binding)
