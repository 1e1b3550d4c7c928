"""What is counted is still true when it is written down: loops of many policies and actions at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.ports import Object, ObjectRef
from sophia_operator.runtime.recovery.world import Locks
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_recovery_harness import RecoveryHarness, asked, policy, pool

POOLS = tuple(f"pool-{number}" for number in range(6))


class SlowCluster:
    """The API server far away: others go on while it answers."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def _far(self, call: Callable[..., Awaitable[Any]], *what: Any) -> Any:
        for _ in range(5):
            await asyncio.sleep(0)
        return await call(*what)

    async def create(self, obj: Object) -> Object:
        """As in ports.Cluster."""
        made: Object = await self._far(self._cluster.create, obj)
        return made

    async def apply_status(self, obj: Object) -> Object:
        """As in ports.Cluster."""
        made: Object = await self._far(self._cluster.apply_status, obj)
        return made

    async def delete(self, ref: ObjectRef) -> None:
        """As in ports.Cluster."""
        await self._far(self._cluster.delete, ref)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


class Crowd(RecoveryHarness):
    """Every loop makes its pass at the same time."""

    def _world(self, kind: str) -> Any:
        world = super()._world(kind)
        object.__setattr__(world, "cluster", SlowCluster(self.cluster))
        return world

    async def together(self, kind: str) -> None:
        """One pass of every loop of that kind, and what the store has to know for it."""
        for obj in self.cluster.all("ConnectionPool"):
            await self._plan(obj)
        self._begin_loops()
        await asyncio.gather(*(loop.once() for key, loop in self.loops.items() if key[0] == kind))


class NoLocks(Locks):
    """Locks that let everybody in."""

    def __init__(self) -> None:
        super().__init__()
        self.claiming = _Open()  # type: ignore[assignment]

    def deciding(self, namespace: str) -> asyncio.Lock:
        del namespace
        return _Open()  # type: ignore[return-value]


class _Open:
    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


def crowd(**budget: int) -> Crowd:
    """Two policies that select the same pools, all of which are lost; nobody takes that for a storm."""
    calm = {"maxTargetsPercent": 100, "minTargets": 100}
    usual = {"perTarget": 100, "perNamespace": 100, "cluster": 100}
    spec: dict[str, Any] = {"budget": usual | budget, "storm": calm}
    made = Crowd(policies=(policy("a", **spec), policy("b", **spec)), pools=POOLS)
    for name in POOLS:
        made.break_pool(name)
    return made


async def decided(made: Crowd) -> None:
    """Long enough for the symptoms to be answered; nobody has looked at the actions yet."""
    for _ in range(4):
        await made.together("RecoveryPolicy")
        made.time.move(made.now + timedelta(seconds=1))


async def test_one_action_is_made_for_each_object_however_many_policies_look() -> None:
    made = crowd()
    await decided(made)
    found = [o["spec"] for o in made.cluster.all("RecoveryAction")]
    assert sorted(spec["target"]["name"] for spec in found) == list(POOLS)
    assert len({spec["trigger"]["policy"] for spec in found}) == 1


@pytest.mark.parametrize(("budget", "most"), [({"perNamespace": 2}, 2), ({"cluster": 3}, 3)])
async def test_loops_that_look_at_the_same_time_keep_within_a_budget(budget: dict[str, int], most: int) -> None:
    made = crowd(**budget)
    for _ in range(30):
        await made.together("RecoveryPolicy")
        await made.together("RecoveryAction")
        made.time.move(made.now + timedelta(seconds=1))
        claimed = [s for s in made.actions().values() if s.claimed_at is not None]
        assert len(claimed) <= most
    assert len(made.stand_in.done) == most


def asked_by_many(made: Crowd) -> None:
    """Actions of people in many namespaces, which nobody decided on together."""
    for number in range(6):
        space = f"team-{number}"
        made.cluster.add(pool("orders", space))
        made.cluster.add(policy("pools", space, budget={"cluster": 2}))
        made.cluster.add(asked("asked", space))


async def test_claims_of_all_namespaces_keep_within_the_budget_of_the_cluster() -> None:
    made = Crowd()
    asked_by_many(made)
    for _ in range(5):
        await made.together("RecoveryAction")
    claimed = [o for o in made.cluster.all("RecoveryAction") if o["status"].get("claimedAt")]
    waiting = [o["status"]["message"] for o in made.cluster.all("RecoveryAction") if o["status"]["phase"] == "Waiting"]
    assert (len(claimed), len(waiting)) == (2, 4)
    assert all("in the cluster" in message for message in waiting)


async def test_without_locks_the_budget_of_the_cluster_is_exceeded() -> None:
    """So that the test above says something."""
    made = Crowd()
    made.locks = NoLocks()
    made.worlds = {kind: made._world(kind) for kind in made.worlds}
    asked_by_many(made)
    for _ in range(5):
        await made.together("RecoveryAction")
    assert len([o for o in made.cluster.all("RecoveryAction") if o["status"].get("claimedAt")]) == 6


async def test_guard_rails_are_asked_again_after_the_approval() -> None:
    made = RecoveryHarness(policies=(policy(mode="Approve"),))
    made.break_pool()
    await made.run_until(lambda: made.is_at("AwaitingApproval"))
    (name,) = made.actions()
    pause = [{"who": "jo", "why": "the database is being moved"}]
    made.cluster.edit("RecoveryPolicy", "pools", lambda o: o["spec"].update(pauseRequests=pause))
    made.answer(name, yes=True)
    await made.run(30)
    status = made.actions()[name]
    assert (status.phase, made.stand_in.done) == ("Waiting", {})
    assert "the database is being moved" in status.message
    made.cluster.edit("RecoveryPolicy", "pools", lambda o: o["spec"].pop("pauseRequests"))
    await made.run_until(lambda: made.is_at("Succeeded"))
