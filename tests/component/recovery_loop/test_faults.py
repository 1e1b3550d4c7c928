"""The process dies, or is not answered, at each write: what was begun goes on, and nothing is done twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fake_cluster import Call, Fault, at_write
from tests.support.fake_recovery_harness import RecoveryHarness, crashing_pod, policy

#: Writes from the first sign to the end, and some more: of the pool, the policy, and the action.
WRITES = 14


async def settled() -> tuple[RecoveryHarness, int]:
    made = RecoveryHarness()
    await made.run(3)
    return made, len(made.cluster.writes)


async def test_so_many_writes_a_recovery_takes() -> None:
    made, first = await settled()
    made.break_pool()
    await made.run_until(lambda: made.is_at("Succeeded"))
    await made.run(10)
    assert 8 <= len(made.cluster.writes) - first <= WRITES


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
async def test_a_process_that_dies_at_a_write_acts_once(number: int, fault: Fault) -> None:
    made, first = await settled()
    made.cluster.hook = at_write(first + number, fault)
    made.break_pool()
    await made.run_until(lambda: made.is_at("Succeeded"))
    await made.run(60)
    name, status = made.only()
    assert status.verified == "Helped"
    assert len(made.stand_in.done) == 1, "one act, which may be repeated by a crash in its middle"
    assert sum(made.stand_in.done.values()) <= 2
    assert len({a["uid"] for o in made.cluster.all("ConnectionPool") for a in o["status"].get("acts", ())}) == 1
    assert made.policy().symptoms == []
    assert made.crashes == (1 if len(made.cluster.writes) - first >= number else 0)
    assert [p for p in made.phases[name] if p in ("Claimed", "Succeeded")] in (["Claimed", "Succeeded"], ["Succeeded"])


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
async def test_a_process_that_dies_at_every_other_write_gets_there(fault: Fault) -> None:
    made, _ = await settled()
    tries = list[Call]()

    def hook(call: Call) -> Fault | None:
        if call.write is None:
            return None
        tries.append(call)
        return fault if len(tries) % 2 else None

    made.cluster.hook = hook
    made.break_pool()
    await made.run_until(lambda: made.is_at("Succeeded"))
    assert len(made.stand_in.done) == 1
    assert made.crashes >= 4


@pytest.mark.parametrize("fault", [Fault.CONFLICT, Fault.LOST_ANSWER, Fault.UNAVAILABLE])
async def test_a_write_that_fails_is_made_again(fault: Fault) -> None:
    made, _ = await settled()
    tries = list[Call]()

    def hook(call: Call) -> Fault | None:
        if call.write is None or call.kind == "ConnectionPool":  # the stand-in does not try again
            return None
        tries.append(call)
        return fault if len(tries) % 2 else None

    made.cluster.hook = hook
    made.break_pool()
    await made.run_until(lambda: made.is_at("Succeeded"))
    assert len(made.stand_in.done) == 1
    assert len(made.actions()) == 1


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("number", range(1, 9))
async def test_a_process_that_dies_at_a_write_deletes_one_pod(number: int, fault: Fault) -> None:
    """Its successor of the same name crashes as well, and stays."""
    rule: dict[str, Any] = {"symptom": "PodCrashLoop", "forSeconds": 1, "escalation": [{"action": "RestartPod"}]}
    made = RecoveryHarness(policies=(policy(rules=[rule]),))
    await made.run(3)
    made.cluster.add(crashing_pod("orders", "orders-pool-1"))
    first, gone = len(made.cluster.writes), list[str]()

    def replace() -> None:
        """What the ReplicaSet does."""
        if made.cluster.find("Pod", "orders-pool-1") is None:
            gone.append("orders-pool-1")
            made.cluster.add(crashing_pod("orders", "orders-pool-1"))

    made.cluster.hook = at_write(first + number, fault)
    for _ in range(80):
        await made.run(0.5)
        replace()
    assert len(gone) == 1
    (status,) = [s for s in made.actions().values() if s.claimed_at is not None]
    assert status.started_at is not None
    assert status.did == [f"deleted {status.subject}"]


async def test_what_was_forgotten_is_not_done_again() -> None:
    """The policy's status is lost: timers begin anew, and what was done counts all the same."""
    made = RecoveryHarness(policies=(policy(budget={"perTarget": 1}, cooldownSeconds=0),))
    made.stand_in.helps = False
    made.break_pool()
    await made.run_until(lambda: any(s.phase == "Failed" for s in made.actions().values()))
    made.cluster.edit("RecoveryPolicy", "pools", lambda o: o.pop("status"))
    made.start()
    await made.run(200)
    assert len(made.stand_in.done) == 1, "the budget is counted from actions"


@pytest.mark.parametrize("fault", [None, Fault.LOST_ANSWER])
async def test_watches_that_trail_behind_let_nothing_be_done_twice(fault: Fault | None) -> None:
    made, _ = await settled()
    creations = list[Call]()

    def hook(call: Call) -> Fault | None:
        if call.verb != "create":
            return None
        creations.append(call)
        return fault if len(creations) == 1 else None

    made.cluster.hook, made.cluster.lagging = hook, True
    made.break_pool()
    for number in range(200):
        await made.run(0.1)
        made.cluster.deliver("ConnectionPool")  # the stand-in reads its object as it is
        # What was created is seen late: after a lost answer it is asked for again before.
        if number % 7 == 0 and len(creations) != (1 if fault is not None else 0):
            made.cluster.deliver("RecoveryPolicy")
            made.cluster.deliver("RecoveryAction")
    (name, status) = made.only()
    assert (status.phase, status.verified) == ("Succeeded", "Helped")
    assert len(made.stand_in.done) == 1
    assert {call.name for call in creations} == {name}
    assert len(creations) == (2 if fault is not None else 1)


async def test_a_pod_that_was_made_anew_meanwhile_is_left_alone() -> None:
    """The store still has the one before: the API server knows better, by the uid."""
    rule: dict[str, Any] = {"symptom": "PodCrashLoop", "forSeconds": 1, "escalation": [{"action": "RestartPod"}]}
    made = RecoveryHarness(policies=(policy(rules=[rule]),))
    made.cluster.add(crashing_pod("orders", "orders-pool-1"))
    made.cluster.lagging = True
    anew = list[str]()

    def hook(call: Call) -> Fault | None:
        if (call.verb, call.kind) == ("delete", "Pod") and not anew:
            made.cluster.remove("Pod", "orders-pool-1")
            anew.append(made.cluster.add(crashing_pod("orders", "orders-pool-1"))["metadata"]["uid"])
        return None

    made.cluster.hook = hook
    for _ in range(60):
        await made.run(0.1)
        for kind in ("ConnectionPool", "RecoveryPolicy", "RecoveryAction"):
            made.cluster.deliver(kind)
    pod = made.cluster.find("Pod", "orders-pool-1")
    assert pod is not None
    assert [pod["metadata"]["uid"]] == anew
