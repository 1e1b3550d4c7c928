"""Actions that are over go in their time, and cost nothing until then."""

from __future__ import annotations

from typing import Any

from tests.support.fake_recovery_harness import RecoveryHarness, asked, policy

HOUR = 3600
DAY = 24 * HOUR


async def ended(*policies: dict[str, Any], count: int = 1) -> RecoveryHarness:
    made = RecoveryHarness(policies=policies)
    for number in range(count):
        made.cluster.add(asked(f"asked-{number:02}", dryRun=True))
    await made.run(5)
    assert made.is_at("Skipped")
    return made


def deletions(made: RecoveryHarness) -> list[str]:
    return [call.name for call in made.cluster.writes if (call.verb, call.kind) == ("delete", "RecoveryAction")]


async def test_the_first_policy_by_name_deletes_what_is_old() -> None:
    made = await ended(policy("b", keep={"ttlSeconds": 2 * HOUR}), policy("a", keep={"ttlSeconds": 4 * HOUR}))
    await made.run(2 * HOUR + 700)
    assert list(made.actions()) == ["asked-00"], "of two policies the longer time counts"
    await made.run(2 * HOUR)
    assert (made.actions(), deletions(made)) == ({}, ["asked-00"])


async def test_what_is_too_much_goes_once_budgets_do_not_look_back_on_it() -> None:
    made = await ended(policy(keep={"maxActions": 10}), count=13)
    await made.run(HOUR - 60)
    assert len(made.actions()) == 13
    await made.run(180)
    assert sorted(made.actions()) == [f"asked-{number:02}" for number in range(3, 13)], "the oldest go"
    assert len(deletions(made)) == 3


async def test_without_a_policy_an_action_goes_by_itself() -> None:
    made = await ended()
    await made.run(7 * DAY - 60)
    assert len(made.actions()) == 1
    await made.run(700)
    assert (made.actions(), deletions(made)) == ({}, ["asked-00"])


async def test_when_the_last_policy_goes_actions_go_by_themselves() -> None:
    made = await ended(policy())
    await made.run(DAY)
    made.cluster.remove("RecoveryPolicy", "pools")
    await made.run(7 * DAY)
    assert made.actions() == {}


async def test_what_is_not_over_is_never_deleted() -> None:
    made = RecoveryHarness(policies=(policy(keep={"ttlSeconds": HOUR, "maxActions": 10}),))
    made.cluster.add(asked(approvalRequired=True))
    await made.run(3 * HOUR)
    assert made.is_at("AwaitingApproval")


async def test_an_action_that_is_over_waits_for_nothing() -> None:
    made = await ended(policy())
    wakeups, key = made.wakeups["RecoveryAction"], ("shop", "asked-00")
    assert not wakeups._dependencies.get(key)
    made.break_pool()
    passes = 0
    loop = made.loops["RecoveryAction", *key]
    once = loop.once

    async def counted() -> float | None:
        nonlocal passes
        passes += 1
        return await once()

    loop.once = counted  # type: ignore[method-assign]
    await made.run(500)
    assert passes == 0, "what happens around it is nothing to it"
    assert made.sample("sophia_recovery_storm", namespace="shop", policy="pools") == 0
