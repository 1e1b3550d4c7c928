"""Receivers are told beside the passes, each for itself, at least once, and nobody waits for them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_policy_status import StormStatus
from sophia_operator.core.recovery.signal_delivery import TRIES
from sophia_operator.runtime.recovery import observe
from sophia_operator.runtime.recovery.signal_lanes import LONGEST_QUEUE, NEW_AT_ONCE, Requests, Standing
from tests.support import signal_scene as scene
from tests.support.signal_world import World


async def test_a_change_is_told_and_then_written_down_as_told() -> None:
    world = World(scene.hook())
    woken = world.actions.event(("shop", "act"))
    written = world.write("Claimed")
    assert ([c.number for c in written.status.untold], written.status.signalled) == ([2], 1)
    assert world.receivers.told == [], "a pass waits for nobody"
    await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2")]
    assert woken.is_set(), "the action's loop writes down that it was told"
    after = world.write()
    assert (after.status.untold, after.status.signalled) == ([], 2)
    assert world.count("Delivered") == 1


async def test_the_body_is_the_event_of_the_change() -> None:
    world = World(scene.hook())
    world.write("Claimed")
    await world.settle()
    event = json.loads(world.receivers.requests[0].body)
    assert (event["id"], event["type"]) == ("uid-act/2", "ai.sophia.recovery.claimed")


async def test_more_passes_tell_nothing_twice() -> None:
    world = World(scene.hook())
    world.write("Claimed")
    for _ in range(3):
        world.write()
    await world.settle()
    for _ in range(3):
        world.write()
        await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2")]


async def test_what_was_told_and_is_not_written_down_yet_is_not_told_again() -> None:
    world = World(scene.hook())
    written = world.write("Claimed")
    await world.settle()
    world.signalling.action_changed(written, observe.policies_of(world.store, "shop"))
    await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2")]


@pytest.mark.parametrize("when", ["before it was told", "while it is told", "before it was written down as told"])
async def test_a_crash_repeats_with_the_same_id_and_loses_nothing(when: str) -> None:
    world = World(scene.hook())
    if when == "while it is told":
        world.receivers.answers["pager"] = "hang"
    world.write("Claimed", lost=when == "before it was told")
    await world.settle()
    world.write("Running", lost=True)
    world.write("Succeeded", lost=True)
    await world.signalling.close()
    world.receivers.answers.clear()
    told_before = list(world.receivers.told)
    world.signalling = world.started()
    world.write()
    await world.settle()
    claimed, done = ("pager", "uid-act/2"), ("pager", "uid-act/4")
    again = [claimed, done] if when == "before it was told" else [claimed, claimed, done]
    if when == "before it was written down as told":
        # It was told before the last writes, so they say so.
        again = [claimed, done]
    assert world.receivers.told == again
    assert set(told_before) <= {claimed}
    assert world.write().status.untold == []


async def test_a_crash_between_told_and_written_repeats_the_same_id() -> None:
    world = World(scene.hook())
    world.write("Claimed")
    await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2")]
    world.signalling = world.started()
    world.write()
    await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2")] * 2
    first, second = world.receivers.requests
    assert first.body == second.body


async def test_a_receiver_that_hangs_delays_nobody_else() -> None:
    world = World(scene.hook("dead"), scene.hook("pager"))
    world.receivers.answers["dead"] = "hang"
    for phase in ("Claimed", "Succeeded"):
        world.write(phase)
    await world.settle()
    assert [told for told in world.receivers.told if told[0] == "pager"] == [
        ("pager", "uid-act/2"),
        ("pager", "uid-act/3"),
    ]
    assert [told for told in world.receivers.told if told[0] == "dead"] == [("dead", "uid-act/2")]
    assert [c.number for c in world.write().status.untold] == [2, 3]
    await world.settle()
    assert len(world.receivers.told) == 3, "who took it is not told again while others have not"
    await world.signalling.close()


async def test_requests_have_a_limit_and_failing_receivers_leave_room() -> None:
    hooks = [scene.hook(f"r{number}") for number in range(8)]
    world = World(*hooks, most=3)
    world.receivers.answers = {f"r{number}": "hang" for number in range(8)}
    world.write("Claimed")
    await world.settle()
    assert world.receivers.most == 3
    await world.signalling.close()


async def test_failing_receivers_use_only_a_part_of_the_slots() -> None:
    slots, order = Requests(2, 1), list[str]()
    who_comes = (("bad", Standing.FAILS), ("worse", Standing.FAILS), ("good", Standing.ANSWERS))

    async def hold(name: str, standing: Standing) -> None:
        async with slots.taken(standing):
            order.append(name)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(hold(*who)) for who in who_comes]
    for _ in range(10):
        await asyncio.sleep(0)
    assert order == ["bad", "good"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_receivers_that_hang_at_first_leave_room_for_those_that_answer() -> None:
    hooks = [scene.hook(f"r{number}") for number in range(7)]
    world = World(scene.hook("pager"), most=6)
    world.write("Claimed")
    await world.settle()
    world.receivers.answers = {f"r{number}": "hang" for number in range(7)}
    world.policy_object["spec"]["signals"] = [*world.policy_object["spec"]["signals"], *hooks]
    world.put(world.policy_object)
    world.write("Running")
    world.write("Succeeded")
    await world.settle()
    assert [told for told in world.receivers.told if told[0] == "pager"][1:] == [("pager", "uid-act/4")]
    assert len([told for told in world.receivers.told if told[0] != "pager"]) == NEW_AT_ONCE
    await world.signalling.close()


async def test_a_receiver_that_may_be_another_one_is_new_again() -> None:
    world = World(*(scene.hook(f"r{number}") for number in range(8)))
    world.write("Claimed")
    await world.settle()
    assert len(world.receivers.told) == 8
    world.receivers.answers = {f"r{number}": "hang" for number in range(8)}
    world.edit_policy(*(scene.hook(f"r{number}", timeoutSeconds=30) for number in range(8)))
    world.write_policy()
    world.write("Succeeded")
    await world.settle()
    assert len(world.receivers.told) == 8 + NEW_AT_ONCE
    await world.signalling.close()


async def test_what_fails_is_tried_five_times_within_ten_minutes_and_then_dropped() -> None:
    world = World(scene.hook())
    world.receivers.answers["pager"] = "answers 500"
    world.write("Claimed")
    await world.settle()
    assert world.condition() == ("False", "receiver pager did not take a signal: answers 500; it is tried again")
    await world.pass_time(600)
    assert world.receivers.told == [("pager", "uid-act/2")] * TRIES
    assert (world.count("Retried"), world.count("Dropped")) == (TRIES - 1, 1)
    told = world.condition()
    assert told is not None
    assert told[0] == "False"
    assert "1 signal was dropped" in told[1]
    assert world.write().status.untold == [], "it is not told again after the next start"


async def test_a_receiver_that_recovers_gets_what_waited_in_order() -> None:
    world = World(scene.hook())
    world.receivers.answers["pager"] = "answers 503"
    world.write("Claimed")
    world.write("Succeeded")
    await world.pass_time(5)
    assert world.receivers.told == [("pager", "uid-act/2")]
    world.receivers.answers.clear()
    await world.pass_time(30)
    assert world.receivers.told == [("pager", "uid-act/2"), ("pager", "uid-act/2"), ("pager", "uid-act/3")]
    assert world.condition() == ("True", "every receiver took the newest signal that it was told")


async def test_a_queue_has_a_bound_and_the_oldest_is_dropped() -> None:
    world = World(scene.hook())
    world.receivers.answers["pager"] = "hang"
    policy = world.policy
    message = ActionPhase.CLAIMED
    for number in range(LONGEST_QUEUE + 4):
        named = replace(world.action, name=f"act-{number}", uid=f"uid-{number}")
        status = named.status.model_copy(update={"phase": message, "changes": 2})
        status = world.signalling.action_to_write(named, status, (policy,), world.time.now())
        world.signalling.action_changed(replace(named, status=status), (policy,))
        await asyncio.sleep(0)
    assert world.count("Dropped") == 3  # one is under way
    told = world.condition()
    assert told is not None
    assert "3 signals were dropped" in told[1]
    await world.signalling.close()


async def test_a_corrected_policy_is_tried_at_once() -> None:
    world = World(scene.hook("wrong"))
    world.receivers.answers["wrong"] = "answers 503"
    world.write("Claimed")
    await world.pass_time(60)
    tries = len(world.receivers.told)
    assert (world.condition() or ("", ""))[0] == "False"
    world.edit_policy({"name": "wrong", "webhook": {"url": "https://right.example/hook"}})
    assert world.condition() == (
        "Unknown",
        "the policy changed since a receiver did not take a signal, and that one was told nothing since",
    )
    await world.settle()
    assert world.receivers.told[tries:] == [("right", "uid-act/2")]
    assert world.condition() == ("True", "every receiver took the newest signal that it was told")


async def test_what_waits_for_a_receiver_that_goes_is_not_waited_for() -> None:
    world = World(scene.hook("gone"), scene.hook("pager"))
    world.receivers.answers["gone"] = "answers 500"
    world.write("Claimed")
    await world.settle()
    world.edit_policy(scene.hook("pager"))
    world.write_policy()
    await world.settle()
    assert world.write().status.untold == []
    assert world.condition() == ("True", "every receiver took the newest signal that it was told")


async def test_a_policy_that_goes_takes_its_queues_with_it() -> None:
    world = World(scene.hook())
    world.receivers.answers["pager"] = "answers 500"
    world.write("Claimed")
    await world.settle()
    world.store.discard(world.policy_object)
    world.signalling.forget_policy("shop", "pools")
    await world.pass_time(600)
    assert len(world.receivers.told) == 1
    assert world.write().status.untold == []


async def test_an_action_that_goes_is_told_of_all_the_same() -> None:
    world = World(scene.hook())
    world.write("Claimed")
    world.signalling.forget("shop", "act")
    await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2")]


async def test_storms_are_told_of_and_then_written_down_as_told() -> None:
    world = World(scene.hook())
    woken = world.policies.event(("shop", "pools"))
    status = world.write_policy(storm=StormStatus(since=scene.NOW, targets=3, of=4))
    assert len(status.untold) == 1
    await world.settle()
    assert [name for name, _ in world.receivers.told] == ["pager"]
    assert woken.is_set()
    assert world.write_policy().untold == []


async def test_news_of_a_policy_are_told_again_after_a_crash_with_the_same_id() -> None:
    world = World(scene.hook())
    world.write_policy(storm=StormStatus(since=scene.NOW, targets=3, of=4))
    await world.settle()
    world.signalling = world.started()
    world.write_policy()
    await world.settle()
    (first, second) = world.receivers.told
    assert first == second == ("pager", "uid-pools/storm-began/2026-03-01T12:05:00Z")


async def test_without_receivers_a_change_costs_no_further_write() -> None:
    world = World()
    written = world.write("Claimed")
    assert (written.status.untold, written.status.signalled) == ([], 2)
    await world.settle()
    assert world.receivers.told == []
