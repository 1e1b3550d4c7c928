"""Signals of policies that cannot be read: they wait for a time, and are never taken for told."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sophia_operator.api.recovery_policy_status import StormStatus
from tests.support import signal_scene as scene
from tests.support.signal_world import World


def break_policy(world: World) -> dict[str, Any]:
    """Its spec breaks a rule that admission did not check. Gives the spec that it had."""
    good: dict[str, Any] = world.policy_object["spec"]
    put_spec(world, good | {"rules": "none"})
    return good


def put_spec(world: World, spec: dict[str, Any]) -> None:
    meta = world.policy_object["metadata"]
    generation = {"generation": meta["generation"] + 1}
    world.policy_object = {**world.policy_object, "metadata": meta | generation, "spec": spec}
    world.put(world.policy_object)


def dropped(world: World) -> float:
    return world.count("Dropped") + world.count("Dropped", "Unknown")


async def test_what_waits_when_a_policy_cannot_be_read_any_more_is_sent_once_it_is_mended() -> None:
    world = World(scene.hook())
    world.write("Claimed")
    good = break_policy(world)
    await world.pass_time(60)
    assert world.receivers.told == []
    assert [c.number for c in world.write().status.untold] == [2], "it was not told"
    put_spec(world, good)
    world.write_policy()
    await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2")]
    assert world.write().status.untold == []
    assert dropped(world) == 0


async def test_what_waits_for_an_unreadable_policy_is_dropped_in_the_end_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    world = World(scene.hook())
    world.write("Claimed")
    break_policy(world)
    await world.pass_time(600)
    assert world.receivers.told == []
    assert (world.count("Dropped"), dropped(world)) == (1, 1)
    unread = [line for line in caplog.messages if "RecoveryPolicy shop/pools cannot be read" in line]
    assert len(unread) == 1
    assert any("was dropped: its policy cannot be read" in line for line in caplog.messages)
    assert world.write().status.untold == []


async def test_what_happens_while_a_policy_cannot_be_read_is_told_once_it_is_mended() -> None:
    world = World(scene.hook())
    good = break_policy(world)
    woken = world.actions.event(("shop", "act"))
    written = world.write("Claimed")
    assert [c.number for c in written.status.untold] == [2]
    await world.settle()
    woken.clear()
    put_spec(world, good)
    world.write_policy()
    await world.settle()
    assert woken.is_set(), "the action's loop looks who is to be told"
    world.write()
    await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2")]
    assert world.write().status.untold == []


@pytest.mark.parametrize("gone", [True, False])
async def test_what_nobody_can_be_told_of_is_not_kept_for_ever(gone: bool) -> None:
    world = World(scene.hook())
    break_policy(world)
    world.write("Claimed")
    await world.settle()
    if gone:
        world.store.discard(world.policy_object)
        world.signalling.forget_policy("shop", "pools")
    await world.pass_time(600)
    world.write()
    await world.settle()
    assert world.write().status.untold == []
    assert (world.receivers.told, dropped(world)) == ([], 0 if gone else 1)


async def test_after_a_start_an_unreadable_policy_loses_nothing_at_once() -> None:
    world = World(scene.hook())
    world.write("Claimed", lost=True)
    good = break_policy(world)
    world.signalling = world.started()
    world.write()
    await world.settle()
    put_spec(world, good)
    # A loop whose policy was never read since the start has no generation to compare with.
    world.write_policy()
    await world.settle()
    world.write()
    await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2")]


async def test_an_action_that_goes_while_its_policy_cannot_be_read_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(scene.hook())
    good = break_policy(world)
    world.write("Claimed")
    await world.settle()
    world.signalling.forget("shop", "act")
    put_spec(world, good)
    world.write_policy()
    await world.settle()
    assert world.count("Dropped", "Unknown") == 1
    assert any("its action went" in line for line in caplog.messages)


async def test_an_unreadable_policy_without_receivers_keeps_nothing() -> None:
    world = World()
    break_policy(world)
    assert world.write("Claimed").status.untold == []


async def test_news_of_a_policy_wait_as_well() -> None:
    world = World(scene.hook())
    world.write_policy(storm=StormStatus(since=scene.NOW, targets=3, of=4))
    good = break_policy(world)
    await world.settle()
    assert world.receivers.told == []
    put_spec(world, good)
    world.write_policy()
    await world.settle()
    assert [name for name, _ in world.receivers.told] == ["pager"]
