"""From a symptom to a verified end, with everything around the loops in memory."""

from __future__ import annotations

from typing import Any

from sophia_operator.api.recovery_policy_status import Verdict
from tests.support.fake_recovery_harness import RecoveryHarness, asked, crashing_pod, policy


def acts(made: RecoveryHarness, result: str, action: str = "Reconnect", symptom: str = "ConnectionLost") -> float:
    labels = {"namespace": "shop", "action": action, "symptom": symptom, "result": result}
    return made.sample("sophia_recovery_acts_total", **labels) or 0.0


def gauge(made: RecoveryHarness, name: str) -> float | None:
    return made.sample(f"sophia_recovery_{name}", namespace="shop", policy="pools")


async def test_what_is_lost_is_reconnected_and_verified() -> None:
    made = RecoveryHarness()
    await made.run(5)
    assert made.actions() == {}
    made.break_pool()
    await made.run_until(lambda: made.is_at("Succeeded"))
    name, status = made.only()
    assert made.phases[name] == ["Claimed", "Running", "Verifying", "Succeeded"]
    assert (status.verified, status.did, status.subject) == ("Helped", ["RECONNECT"], "every instance")
    assert status.before is not None
    assert status.after is not None
    assert (status.before.present, status.after.present, status.false_fire) == (True, False, False)
    assert "RoleCorrect=False ServerLost" in status.before.conditions
    assert status.ended_at is not None
    assert status.gone_since is not None
    assert (status.ended_at - status.gone_since).total_seconds() >= 3
    obj = made.cluster.find("RecoveryAction", name)
    assert obj is not None
    assert obj["metadata"]["labels"]["sophia.ai/recovery-policy"] == "pools"
    assert "ownerReferences" not in obj["metadata"]
    assert list(made.stand_in.done.values()) == [1]
    assert acts(made, "Helped") == 1
    labels = {"namespace": "shop", "action": "Reconnect", "symptom": "ConnectionLost"}
    assert made.sample("sophia_recovery_seconds_count", **labels) == 1
    assert gauge(made, "incidents") == 1
    await made.run(10)
    assert (made.policy().symptoms, gauge(made, "incidents")) == ([], 0)
    writes = len(made.cluster.writes)
    await made.run(900)
    assert len(made.cluster.writes) == writes, "what is settled is not written"


async def test_what_does_not_help_goes_up_the_ladder_and_is_given_up() -> None:
    made = RecoveryHarness()
    made.stand_in.helps = False
    made.break_pool()
    await made.run_until(lambda: any(s.verdict is Verdict.GAVE_UP for s in made.policy().symptoms))
    found = {made.spec(name)["action"]: status for name, status in made.actions().items()}
    assert {action: (s.phase.value, s.verified) for action, s in found.items()} == {
        "Reconnect": ("Failed", "NoChange"),
        "Notify": ("Succeeded", None),
    }
    assert (acts(made, "NoChange"), gauge(made, "gave_up")) == (1, 1)
    await made.run(300)
    assert len(made.actions()) == 2, "hands off"
    assert sum(made.stand_in.done.values()) == 1


async def test_a_target_that_never_begins_lets_the_act_fail_in_time() -> None:
    made = RecoveryHarness()
    made.stand_in.begins = False
    made.break_pool()
    await made.run_until(lambda: any(s.phase == "Claimed" for s in made.actions().values()))
    (name,) = made.actions()
    await made.run_until(lambda: made.actions()[name].phase == "Failed", limit=25)
    assert "did not begin" in made.actions()[name].message
    assert not made.stand_in.done


async def test_a_target_that_hangs_lets_the_act_fail_in_time() -> None:
    made = RecoveryHarness()
    made.stand_in.ends = False
    made.break_pool()
    await made.run_until(lambda: any(s.phase == "Running" for s in made.actions().values()))
    (name,) = made.actions()
    await made.run_until(lambda: made.actions()[name].phase == "Failed", limit=25)
    assert made.actions()[name].verified == "NoChange"


async def test_a_person_is_asked_and_is_heard() -> None:
    made = RecoveryHarness(policies=(policy(mode="Approve"),))
    made.break_pool()
    await made.run_until(lambda: made.is_at("AwaitingApproval"))
    await made.run(100)
    name, status = made.only()
    assert (status.phase, made.stand_in.done) == ("AwaitingApproval", {})
    assert made.sample("sophia_recovery_awaiting_approval", namespace="shop") == 1
    made.answer(name, yes=True)
    await made.run_until(lambda: made.is_at("Succeeded"))
    assert made.sample("sophia_recovery_awaiting_approval", namespace="shop") == 0
    assert made.phases[name] == ["AwaitingApproval", "Claimed", "Running", "Verifying", "Succeeded"]


async def test_a_question_that_nobody_answered_ends_with_the_symptom() -> None:
    made = RecoveryHarness(policies=(policy(mode="Approve"),))
    made.break_pool()
    await made.run_until(lambda: made.is_at("AwaitingApproval"))
    made.stand_in.sick.clear()
    await made.run_until(lambda: made.is_at("Skipped"), limit=5)
    assert (made.only()[1].claimed_at, made.stand_in.done) == (None, {})


async def test_a_dry_run_says_what_would_be_done_and_does_nothing() -> None:
    made = RecoveryHarness(policies=(policy(mode="DryRun"),))
    made.break_pool()
    await made.run_until(lambda: made.is_at("Skipped"))
    assert made.only()[1].would.startswith("RECONNECT would be given")
    await made.run(300)
    assert len(made.actions()) == 1
    assert not made.stand_in.done
    assert acts(made, "Skipped") == 0, "nothing was done"


async def test_what_a_person_asks_for_is_done_without_a_symptom_or_a_policy() -> None:
    made = RecoveryHarness(policies=())
    made.cluster.add(asked())
    await made.run_until(lambda: made.is_at("Succeeded"), limit=5)
    assert (made.only()[1].verified, list(made.stand_in.done.values())) == (None, [1])
    assert acts(made, "Done", symptom="None") == 1


async def test_of_a_pod_that_crashes_one_is_deleted_by_its_uid() -> None:
    rule: dict[str, Any] = {"symptom": "PodCrashLoop", "forSeconds": 1, "escalation": [{"action": "RestartPod"}]}
    made = RecoveryHarness(policies=(policy(rules=[rule]),))
    for name in ("orders-pool-1", "orders-pool-2"):
        made.cluster.add(crashing_pod("orders", name, restarts=9 if name.endswith("1") else 4))
    await made.run_until(lambda: made.cluster.find("Pod", "orders-pool-1") is None, limit=30)
    name, status = made.only()
    assert status.subject is not None
    assert status.subject.startswith("pod orders-pool-1, uid ")
    assert made.cluster.find("Pod", "orders-pool-2") is not None
    deleted = [call.name for call in made.cluster.writes if (call.verb, call.kind) == ("delete", "Pod")]
    assert deleted == ["orders-pool-1"]
    made.cluster.remove("Pod", "orders-pool-2")
    await made.run_until(lambda: made.actions()[name].phase == "Succeeded", limit=30)


async def test_a_pod_that_takes_its_time_to_go_is_not_deleted_over_and_over() -> None:
    made = RecoveryHarness(policies=())
    made.cluster.add(crashing_pod("orders", "orders-pool-1"))
    made.cluster.lingering = lambda _: True
    made.cluster.lagging = True
    made.cluster.add(asked(action="RestartPod"))
    made.cluster.deliver()
    for _ in range(50):
        await made.run(0.1)
        made.cluster.deliver("RecoveryAction")
    deleted = [call for call in made.cluster.writes if (call.verb, call.kind) == ("delete", "Pod")]
    assert 1 <= len(deleted) <= 6, "a watch that trails behind is no reason to ask ten times a second"
    made.cluster.deliver()
    await made.run(2)
    made.cluster.deliver()
    assert made.is_at("Succeeded")
