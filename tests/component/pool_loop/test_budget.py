"""Pools of one server: together they are never granted more than there is, whoever comes first."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.core.pool.findings import Backends
from sophia_operator.ports import Object
from sophia_operator.runtime.leader import FencedCluster
from sophia_operator.runtime.pools.loop import PoolLoop
from tests.support.fake_pools_harness import NAMESPACE, PoolHarness, connection_pool

ORDINARY = 97


class Slow(FencedCluster):
    """A cluster whose answers take time, in which others run."""

    async def apply_status(self, obj: Object) -> Object:
        for _ in range(5):
            await asyncio.sleep(0)
        return await super().apply_status(obj)


def granted(harness: PoolHarness) -> dict[str, int]:
    """What each pool is granted, as its status says."""
    statuses = {name: harness.status(name).budget for name in harness.loops}
    return {name: b.granted for name, b in statuses.items() if b is not None}


def large(name: str, host: str = "db") -> dict[str, Any]:
    return connection_pool(name, size={"min": 5, "max": 36}, database={"host": host})


@pytest.mark.parametrize("hosts", [("db", "db"), ("db", "db.shop"), ("DB.shop.svc.cluster.local.", "db.shop.svc")])
async def test_two_pools_that_come_at_once_share_what_there_is(hosts: tuple[str, str]) -> None:
    harness = PoolHarness(pools=(large("a", hosts[0]), large("b", hosts[1])))
    harness.world = replace(harness.world, cluster=Slow(harness.cluster, lambda: True))
    harness.loops = {name: PoolLoop((NAMESPACE, name), harness.world) for name in ("a", "b")}
    harness.fake.hosts |= {host.split(".")[0]: harness.fake.hosts["db"] for host in hosts}
    for _ in range(80):
        # Really at the same time: every await of one is a chance for the other.
        await asyncio.gather(harness.once("a"), harness.once("b"))
        assert sum(granted(harness).values()) <= ORDINARY
        harness.controllers.tick()
        harness.fake.tick()
        await harness.run(0.5)
    statuses = [harness.condition("WithinBudget", name) for name in ("a", "b")]
    over = [s for s in statuses if s is not None and s[0] == "False"]
    assert len(over) >= 1
    assert all("shop/" in s[2] for s in over)
    assert all(harness.is_true("Ready", name) for name in ("a", "b"))


async def test_pools_of_different_servers_have_nothing_to_do_with_each_other() -> None:
    harness = PoolHarness(pools=(large("a"), large("b", "other")))
    harness.fake.hosts["other"] = harness.fake.hosts["db"]
    await harness.run_until(lambda: harness.settled("a") and harness.settled("b"))
    assert harness.is_true("WithinBudget", "a")
    assert harness.is_true("WithinBudget", "b")


async def test_what_a_pool_gives_back_wakes_those_that_want_more() -> None:
    harness = PoolHarness(pools=(large("a"), large("b")))
    await harness.run_until(lambda: harness.settled("a") and harness.settled("b"))
    over = next(name for name in ("a", "b") if not harness.is_true("WithinBudget", name))
    other = "b" if over == "a" else "a"
    await harness.run(10)
    harness.wakeups.event((NAMESPACE, over)).clear()
    harness.change(other, size={"min": 2, "max": 4})
    while granted(harness)[other] > ORDINARY // 2:
        await harness.once(other)
    assert harness.wakeups.event((NAMESPACE, over)).is_set()
    await harness.run_until(lambda: harness.is_true("WithinBudget", over))


async def test_sessions_of_others_count_and_those_of_pools_do_not() -> None:
    harness = PoolHarness(pools=(large("a"), connection_pool("b", size={"min": 2, "max": 4})))
    harness.fake.hosts["db"].backends = (Backends("batch", "orders", "10.9.9.9", "batch", 30),)
    await harness.run_until(lambda: harness.settled("a") and harness.settled("b"))
    await harness.run(70, every=5.0)
    budget = harness.status("b").budget
    assert budget is not None
    holders = {h.name: h.connections for h in budget.holders}
    assert holders["others"] == 30
    assert holders["shop/a"] == granted(harness)["a"]


async def test_the_users_of_other_pools_are_known_and_forgotten_with_them() -> None:
    harness = PoolHarness(pools=(large("a"), large("b")))
    await harness.run(1)
    assert harness.world.servers.usernames == {(NAMESPACE, "a"): "app", (NAMESPACE, "b"): "app"}
    harness.cluster.remove("ConnectionPool", "b")
    await harness.loops["b"].run()
    assert harness.world.servers.usernames == {(NAMESPACE, "a"): "app"}
