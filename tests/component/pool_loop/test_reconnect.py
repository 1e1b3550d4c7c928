"""A server that goes, comes back as another one, or does not answer: who notices, and what is done."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.core.pool.findings import InstanceRequest, ServerRequest, ServerRole, Verb
from sophia_operator.core.pool.views import PoolObserved, PoolView
from sophia_operator.runtime.pools.world import PoolMind
from tests.support.fake_pools import Bouncer, Host
from tests.support.fake_pools_harness import CREDENTIALS, NAME, NAMESPACE, START, PoolHarness


@pytest.fixture
async def settled() -> PoolHarness:
    """A pool that is ready, some seconds before its next full look."""
    harness = PoolHarness()
    await harness.run_until(harness.settled)
    await harness.run(20, every=1.0)
    harness.fake.given.clear()
    return harness


def holds(harness: PoolHarness) -> set[str]:
    """Identities of the servers that instances hold for their clients."""
    return {link.identity for b in harness.fake.bouncers.values() for link in b.links if not link.closing}


async def test_a_server_that_goes_wakes_the_loop_and_instances_are_verified_at_the_next(settled: PoolHarness) -> None:
    before = settled.now
    settled.wakeups.event((NAMESPACE, NAME)).clear()
    settled.fake.fail_over()
    for _ in range(3):
        await asyncio.sleep(0)
    assert settled.wakeups.event((NAMESPACE, NAME)).is_set()
    await settled.run_until(lambda: bool(settled.status().reconnects))
    assert (settled.now - before).total_seconds() < 5
    await settled.run_until(settled.settled)
    past = settled.status().reconnects[0]
    assert past.ended_at >= past.started_at
    assert {name for name, verb in settled.fake.given if verb is Verb.RECONNECT} == set(settled.fake.bouncers)
    assert holds(settled) == {"B2"}
    status = settled.status()
    assert status.server is not None
    assert status.server.identity == "B2"
    assert [host.identity for host in settled.fake.watches.values()] == ["B2"]
    out = settled.telemetry.exposition().decode()
    assert f'sophia_pool_reconnects_total{{namespace="{NAMESPACE}",pool="{NAME}"}} 1.0' in out
    assert f'sophia_pool_role_correct{{namespace="{NAMESPACE}",pool="{NAME}"}} 1.0' in out


async def test_a_server_that_goes_in_the_middle_of_a_look_is_told_at_once(
    settled: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes through instances hangs then, for as long as they wait for a server connection."""
    left: list[str] = []

    async def hang(request: InstanceRequest) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            left.append(request.name)

    monkeypatch.setattr(settled.fake, "instance", hang)
    settled.now += timedelta(seconds=60)
    looking = asyncio.ensure_future(settled.once())
    for _ in range(10):
        await asyncio.sleep(0)
    settled.now += timedelta(seconds=0.1)
    settled.fake.hosts["db"].up = False
    settled.fake.fail_over()
    assert await asyncio.wait_for(looking, 5) == 0.0
    assert set(left) == set(settled.fake.bouncers)
    monkeypatch.undo()
    await settled.once()
    reconnect = settled.status().reconnect
    assert reconnect is not None
    assert reconnect.started_at == settled.now


async def test_while_no_server_answers_it_is_said_and_nothing_is_told(settled: PoolHarness) -> None:
    settled.fake.hosts["db"].up = False
    await settled.run(30)
    assert settled.status().reconnect is not None
    assert not settled.is_true("Ready")
    assert settled.fake.given == []
    assert f'sophia_pool_reconnecting{{namespace="{NAMESPACE}",pool="{NAME}"}} 1.0' in (
        settled.telemetry.exposition().decode()
    )
    settled.fake.fail_over()
    await settled.run_until(settled.settled)


async def test_a_demoted_primary_is_told_by_its_role_though_it_answers(settled: PoolHarness) -> None:
    settled.fake.hosts["db"].role = ServerRole.STANDBY
    await settled.run(90, every=5.0)
    found = settled.condition("RoleCorrect")
    assert found is not None
    assert (found[0], found[1]) == ("False", "WrongRole")


async def test_a_server_that_takes_no_watch_is_not_looked_at_over_and_over() -> None:
    harness = PoolHarness()
    watch = harness.fake.watch

    async def refuse(request: ServerRequest) -> None:
        # The server takes its time to refuse: so that it was last looked at before.
        harness.now += timedelta(milliseconds=50)

    harness.fake.watch = refuse  # type: ignore[method-assign]
    await harness.run_until(harness.settled)
    await harness.run(10)
    looks = harness.fake.asked.count("server")
    await harness.run(300)
    assert harness.fake.asked.count("server") - looks <= 5
    harness.fake.watch = watch  # type: ignore[method-assign]
    await harness.run(70)
    assert len(harness.fake.watches) == 1


async def test_other_credentials_are_watched_with_and_the_old_connection_ends(settled: PoolHarness) -> None:
    (before,) = settled.fake.watches
    settled.fake.hosts["db"].password = "pw-two"
    settled.set_secret(CREDENTIALS, username="app", password="pw-two")
    await settled.run(2)
    (after,) = settled.fake.watches
    assert before is not after
    assert before.done()


async def test_a_change_of_the_spec_ends_a_look_that_hangs(
    settled: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = asyncio.Event()

    async def hang(_: Any) -> Any:
        hanging.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(settled.fake, "server", hang)
    settled.now = settled.now.replace(hour=13)
    work = asyncio.ensure_future(settled.loop.once())
    await hanging.wait()
    assert not work.done()
    settled.wakeups.wake((NAMESPACE, NAME), "Pod")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not work.done(), "what does not change the question does not disturb it"
    settled.change(maxClients=7)
    assert await asyncio.wait_for(work, 5) == 0.0


async def test_a_pool_that_is_deleted_ends_a_look_that_hangs(
    settled: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = asyncio.Event()

    async def hang(_: Any) -> Any:
        hanging.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(settled.fake, "server", hang)
    settled.now = settled.now.replace(hour=13)
    work = asyncio.ensure_future(settled.loop.run())
    await hanging.wait()
    settled.cluster.remove("ConnectionPool", NAME)
    await asyncio.wait_for(work, 5)
    assert not settled.fake.watches


async def test_an_instance_that_does_not_answer_is_waited_for_a_shorter_time_from_then_on(settled: PoolHarness) -> None:
    timeouts: list[float] = []
    real = settled.fake.instance

    async def noting(request: Any) -> Any:
        if request.name == silent:
            timeouts.append(request.timeout_seconds)
        return await real(request)

    silent = sorted(settled.fake.bouncers)[0]
    settled.fake.bouncers[silent].silent = True
    settled.fake.instance = noting  # type: ignore[method-assign]
    await settled.run(10)
    assert timeouts[0] == 5.0
    assert set(timeouts[1:]) == {1.0}
    found = settled.condition("Healthy")
    assert found is not None
    assert silent in found[2]


async def test_what_is_kept_in_memory_is_bounded_and_goes_with_its_pods(settled: PoolHarness) -> None:
    settled.change(healthCheck={"intervalSeconds": 1})
    await settled.run(80)
    kept = settled.loop._prober.kept
    assert len(kept.query_ms) == len(kept.connect_ms) == 100
    settled.change(instances=1)
    await settled.run_until(lambda: len(settled.fake.bouncers) == 1)
    await settled.run(2)
    assert set(settled.loop._prober.kept.instances) == set(settled.fake.bouncers)
    assert {pod for pod, _ in settled.loop._prober.kept.commands} <= set(settled.fake.bouncers)


async def test_opened_connections_are_counted_between_full_looks(settled: PoolHarness) -> None:
    def seen() -> list[tuple[int | None, int | None]]:
        return [(f.opened, f.transactions_before) for f in settled.loop._prober.kept.instances.values()]

    def reopen(bouncer: Bouncer) -> None:
        bouncer.links = []

    assert seen() == [(None, None), (None, None)]
    for _ in range(3):
        for bouncer in settled.fake.bouncers.values():
            reopen(bouncer)
        await settled.run(6)
    await settled.run(60, every=2.0)
    assert seen() == [(3, 1000), (3, 1000)]


async def test_a_pause_is_told_to_every_instance_and_ends_by_itself(settled: PoolHarness) -> None:
    settled.change(paused=True)
    await settled.run_until(lambda: all(b.paused for b in settled.fake.bouncers.values()))
    assert settled.status().pause is not None
    settled.start()
    await settled.run(130)
    assert not any(b.paused for b in settled.fake.bouncers.values())
    assert (settled.now - START).total_seconds() < 200


async def test_commands_come_after_the_status_that_says_so() -> None:
    """Whoever starts anew in between finds what is under way."""
    harness = PoolHarness()
    await harness.run_until(harness.settled)
    phases: list[str | None] = []

    def note(_: str, verb: Verb) -> None:
        if verb is Verb.RECONNECT:
            reconnect = harness.status().reconnect
            phases.append(reconnect.phase.value if reconnect is not None else None)

    harness.fake.hook = note
    harness.fake.fail_over()
    await harness.run_until(lambda: bool(harness.status().reconnects))
    assert phases
    assert set(phases) <= {"Reconnecting", "Verifying"}


async def test_the_decisions_may_be_replaced() -> None:
    calls: list[str] = []
    mind = PoolMind()

    def needs(pool: PoolView, observed: PoolObserved, now: Any) -> Any:
        calls.append(pool.name)
        return mind.needs(pool, observed, now)

    harness = PoolHarness(mind=PoolMind(needs=needs))
    await harness.run_until(harness.settled)
    assert set(calls) == {NAME}


async def test_another_server_in_the_spec_is_looked_at_at_once(settled: PoolHarness) -> None:
    """What was found speaks of the one before."""
    settled.fake.hosts["db2"] = Host("C3", address="10.1.0.3")
    settled.change(database={**settled.pool()["spec"]["database"], "host": "db2"})
    await settled.run(2)
    server = settled.status().server
    assert server is not None
    assert server.identity == "C3"
    await settled.run_until(settled.settled)
    assert holds(settled) == {"C3"}


async def test_credentials_that_the_server_refuses_are_told_and_not_taken_over(settled: PoolHarness) -> None:
    settled.set_secret(CREDENTIALS, username="app", password="pw-wrong")
    await settled.run(2)
    for _ in range(2):
        found = settled.condition("Stalled")
        assert found is not None
        assert found[1] == "AuthenticationFailed"
        assert not settled.is_true("Ready")
        assert settled.status().reconnect is None
        assert {b.password_of("app") for b in settled.fake.bouncers.values()} == {"pw-one"}
        await settled.run(70)
    settled.set_secret(CREDENTIALS, username="app", password="pw-one")
    await settled.run_until(settled.settled)
