"""Acts of recovery on a pool, with its loop: what is done, in which order, and what a crash makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.core.pool.activity import Session
from sophia_operator.core.pool.findings import Verb
from sophia_operator.core.pool.tasks import AnalyzeTask, ServerTask
from tests.support.fake_cluster import Call, CrashError
from tests.support.fake_pools import USER
from tests.support.fake_pools_harness import PoolHarness, connection_pool
from tests.support.recovery_objects import action


@pytest.fixture
async def settled() -> PoolHarness:
    harness = PoolHarness(pools=(connection_pool(size={"min": 8, "max": 8}),))
    await harness.run_until(harness.settled)
    return harness


def ask(harness: PoolHarness, does: str, name: str = "act", phase: str = "Claimed", **spec: Any) -> None:
    """A RecoveryAction that was claimed."""
    obj = action(name, phase, does=does, status={"claimedAt": harness.now.isoformat()}, **spec)
    obj["metadata"].pop("uid")
    harness.cluster.add(obj)


def act(harness: PoolHarness, name: str = "act") -> ActStatus | None:
    return next((a for a in harness.status().acts if a.name == name), None)


def over(harness: PoolHarness) -> Callable[[], bool]:
    def look() -> bool:
        found = act(harness)
        return found is not None and found.phase is not ActPhase.RUNNING

    return look


async def ended(harness: PoolHarness) -> ActStatus:
    await harness.run_until(over(harness), limit=60)
    found = act(harness)
    assert found is not None
    return found


def session(harness: PoolHarness, pid: int, seconds: float, **changes: Any) -> Session:
    address = harness.pods()[0]["status"]["podIP"]
    values: dict[str, Any] = {
        "username": USER, "address": address, "started_at": harness.now - timedelta(hours=1), "idle": False,
        "waits": False, "blocks": 0, "text": "SELECT …", "query_id": str(pid),
    }  # fmt: skip
    return Session(pid=pid, since=harness.now - timedelta(seconds=seconds), **{**values, **changes})


async def test_a_statement_that_blocks_is_cancelled_and_not_its_neighbour(settled: PoolHarness) -> None:
    blocking, neighbour = session(settled, 7, 40, blocks=1), session(settled, 8, 90)
    waiting = session(settled, 9, 35, waits=True)
    settled.fake.hosts["db"].sessions = (blocking, neighbour, waiting)
    ask(settled, "CancelStatement")
    done = await ended(settled)
    assert (done.phase, done.did) == (ActPhase.DONE, ["pg_cancel_backend(7)"])
    assert {s.pid for s in settled.fake.hosts["db"].sessions} == {8, 9}
    assert {t.pid for t in settled.fake.told} == {7}
    await settled.run(2)
    assert [s.pid for s in settled.status().statements] == [8, 9]


class Killer:
    """Kills the operator just before its n-th step of the act: a status that is written, or a task."""

    def __init__(self, harness: PoolHarness, step: int) -> None:
        self.left = step
        harness.cluster.hook = self._call
        harness.fake.task_hook = self._task

    def _call(self, call: Call) -> None:
        if call.verb == "apply-status" and call.kind == "ConnectionPool":
            self._step()

    def _task(self, task: ServerTask) -> None:
        del task
        self._step()

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise CrashError


@pytest.mark.parametrize("step", range(1, 7))
async def test_a_crash_at_each_step_of_a_cancel_hits_nobody_else(settled: PoolHarness, step: int) -> None:
    settled.fake.hosts["db"].sessions = (session(settled, 7, 40, blocks=1), session(settled, 8, 90))
    ask(settled, "CancelStatement")
    killer = Killer(settled, step)
    done = await ended(settled)
    assert done.phase is ActPhase.DONE
    assert "process 7," in (done.subject or "")
    assert {t.pid for t in settled.fake.told} == {7}
    assert [s.pid for s in settled.fake.hosts["db"].sessions] == [8]
    assert killer.left > 0 or settled.crashes == 1


async def test_the_process_is_used_by_another_session_by_then(settled: PoolHarness) -> None:
    settled.fake.hosts["db"].sessions = (session(settled, 7, 40),)
    another = session(settled, 7, 40, started_at=settled.now - timedelta(seconds=50))
    settled.fake.task_hook = lambda _: setattr(settled.fake.hosts["db"], "sessions", (another,))
    ask(settled, "CancelStatement")
    done = await ended(settled)
    assert done.message == "it was over before it was told to end"
    assert settled.fake.hosts["db"].sessions == (another,)


async def test_who_may_not_is_told_what_is_missing(settled: PoolHarness) -> None:
    host = settled.fake.hosts["db"]
    host.sessions, host.untouchable = (session(settled, 7, 40, blocks=1, username="bob"),), frozenset({"bob"})
    ask(settled, "CancelStatement")
    done = await ended(settled)
    assert done.phase is ActPhase.FAILED
    assert "GRANT pg_signal_backend TO app" in done.message


async def test_statistics_are_renewed_beside_the_passes_and_instances_reconnect(settled: PoolHarness) -> None:
    settled.fake.analyzing, given = asyncio.Event(), len(settled.fake.given)
    ask(settled, "RefreshPlans")
    await settled.run(20)
    begun = act(settled)
    assert begun is not None
    assert begun.phase is ActPhase.RUNNING
    assert settled.is_true("Healthy")
    assert Verb.RECONNECT not in [verb for _, verb in settled.fake.given[given:]]
    settled.fake.analyzing.set()
    done = await ended(settled)
    assert done.phase is ActPhase.DONE
    assert settled.fake.hosts["db"].analyzed == ["public.item"]
    assert done.did == ["ANALYZE public.item", *(f"RECONNECT at {p['metadata']['name']}" for p in settled.pods())]
    assert settled.status().reconnects == []


async def test_an_operator_that_ended_in_the_middle_of_analyze_does_not_begin_it_again(settled: PoolHarness) -> None:
    begun: list[ServerTask] = []
    settled.fake.task_hook, settled.fake.analyzing = begun.append, asyncio.Event()
    ask(settled, "RefreshPlans", parameters={"table": "public.item"})
    await settled.run_until(lambda: bool(begun))
    await settled.loop._actor.close()
    settled.start()
    done = await ended(settled)
    assert done.phase is ActPhase.UNKNOWN
    assert [t.table for t in begun if isinstance(t, AnalyzeTask)] == ["public.item"]


async def test_instances_reconnect_although_nothing_is_wrong(settled: PoolHarness) -> None:
    ask(settled, "Reconnect")
    done = await ended(settled)
    assert done.phase is ActPhase.DONE
    assert done.did == [f"RECONNECT at {p['metadata']['name']}" for p in settled.pods()]
    (past,) = settled.status().reconnects
    assert past.cause == "RecoveryAction act asks for it"


async def test_a_reconnect_that_goes_on_is_not_done_twice(settled: PoolHarness) -> None:
    settled.fake.hosts["db"].up = False
    await settled.run_until(lambda: settled.status().reconnect is not None, limit=90)
    ask(settled, "Reconnect")
    await settled.run(20)
    assert act(settled) is not None
    settled.fake.hosts["db"].up = True
    done = await ended(settled)
    assert done.phase is ActPhase.DONE
    assert len(settled.status().reconnects) == 1


async def test_the_size_is_held_until_its_action_goes(settled: PoolHarness) -> None:
    def sizes() -> set[str]:
        return {line for b in settled.fake.bouncers.values() for line in b.config.split() if "pool_size=" in line}

    assert "pool_size=4" in sizes()
    ask(settled, "LimitConnections", parameters={"percent": 50, "seconds": 3600})
    done = await ended(settled)
    assert (done.phase, settled.status().size) == (ActPhase.DONE, 4)
    assert "pool_size=2" in sizes()
    settled.cluster.remove("RecoveryAction", "act")
    await settled.run_until(lambda: settled.status().size == 8 and settled.settled())
    assert "pool_size=4" in sizes()
    assert settled.status().acts == []


async def test_the_size_is_given_back_when_the_time_is_over(settled: PoolHarness) -> None:
    ask(settled, "LimitConnections", parameters={"seconds": 30})
    await ended(settled)
    settled.start()
    await settled.run(5)
    assert settled.status().size == 4
    await settled.run(30)
    assert settled.status().size == 8


async def test_nothing_is_written_while_the_same_statement_runs(settled: PoolHarness) -> None:
    settled.fake.hosts["db"].sessions = (session(settled, 7, 40, blocks=1),)
    await settled.run(400)
    before = len(settled.cluster.writes)
    await settled.run(120)
    assert [s.pid for s in settled.status().statements] == [7]
    assert len(settled.cluster.writes) == before
