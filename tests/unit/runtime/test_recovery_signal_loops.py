"""Signals with the loops of an action and a policy, on an API server in memory."""

from __future__ import annotations

import asyncio
from typing import Any

from sophia_operator.api.common import API_VERSION
from sophia_operator.runtime.recovery.action_loop import ActionLoop
from sophia_operator.runtime.recovery.policy_loop import PolicyLoop
from sophia_operator.runtime.recovery.signalling import Signalling
from sophia_operator.runtime.recovery.world import Locks, RecoveryWorld
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.wakeups import Feed, Wakeups
from tests.support import signal_scene as scene
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_models import SimTime
from tests.support.signal_world import Receivers

_POOL: dict[str, Any] = {"database": {"host": "db", "name": "orders", "credentialsSecretRef": {"name": "db"}}}


class Operator:
    """One process: its store, its loops, and what tells receivers."""

    def __init__(self, cluster: FakeCluster, receivers: Receivers, time: SimTime) -> None:
        store, telemetry, locks = ObjectStore(), Telemetry(process=False), Locks()
        policies, actions = Wakeups(), Wakeups()
        feed = Feed(store, Wakeups(), policies=policies, actions=actions)
        cluster.watch(feed)
        teller = Signalling(
            *(receivers, cluster, store, feed.seen, time), telemetry=telemetry, policies=policies, actions=actions
        )
        self.action = ActionLoop(
            ("shop", "act"), RecoveryWorld(cluster, store, feed, time, actions, telemetry, locks, teller)
        )
        self.policy = PolicyLoop(
            ("shop", "pools"), RecoveryWorld(cluster, store, feed, time, policies, telemetry, locks, teller)
        )
        self.woken = actions.event(("shop", "act")), policies.event(("shop", "pools"))

    async def settle(self) -> None:
        """What is under way beside the passes goes on."""
        for _ in range(60):
            await asyncio.sleep(0)


def cluster_with(time: SimTime, **spec: Any) -> FakeCluster:
    cluster = FakeCluster(clock=time.now)
    meta = {"namespace": "shop"}
    cluster.add(
        {"apiVersion": API_VERSION, "kind": "ConnectionPool", "metadata": {**meta, "name": "orders"}, "spec": _POOL}
    )
    for obj in (scene.policy_object(scene.hook()), scene.action_object(by_person=True, **spec)):
        cluster.add({**obj, "metadata": {**meta, "name": obj["metadata"]["name"]}})
    return cluster


def status_of(cluster: FakeCluster, kind: str, name: str) -> dict[str, Any]:
    found = cluster.find(kind, name)
    assert found is not None
    status: dict[str, Any] = found["status"]
    return status


async def test_an_end_is_told_and_written_down_as_told_by_the_loops() -> None:
    time, receivers = SimTime(scene.NOW), Receivers()
    cluster = cluster_with(time, dryRun=True)
    operator = Operator(cluster, receivers, time)
    await operator.policy.once()
    await operator.action.once()
    status = status_of(cluster, "RecoveryAction", "act")
    assert (status["phase"], [change["phase"] for change in status["untold"]]) == ("Skipped", ["Skipped"])
    for event in operator.woken:
        event.clear()
    await operator.settle()
    assert len(receivers.told) == 1
    assert all(event.is_set() for event in operator.woken)
    await operator.action.once()
    await operator.policy.once()
    status = status_of(cluster, "RecoveryAction", "act")
    assert (status.get("untold", []), status["signalled"]) == ([], status["changes"])
    conditions = {c["type"]: c for c in status_of(cluster, "RecoveryPolicy", "pools")["conditions"]}
    assert conditions["SignalsDelivered"]["status"] == "True"
    writes = len(cluster.writes)
    for _ in range(3):
        await operator.action.once()
        await operator.policy.once()
        await operator.settle()
    assert len(cluster.writes) == writes, "what is settled stays as it is"
    assert len(receivers.told) == 1


async def test_a_process_that_ends_before_it_told_leaves_it_to_the_next_one() -> None:
    time, receivers = SimTime(scene.NOW), Receivers({"pager": "hang"})
    cluster = cluster_with(time, dryRun=True)
    first = Operator(cluster, receivers, time)
    await first.action.once()
    await first.settle()
    await first.action._world.teller.close()  # type: ignore[attr-defined]
    receivers.answers.clear()
    second = Operator(cluster, receivers, time)
    await second.action.once()
    await second.settle()
    await second.action.once()
    (before, after) = receivers.told
    assert before == after
    assert status_of(cluster, "RecoveryAction", "act").get("untold", []) == []
