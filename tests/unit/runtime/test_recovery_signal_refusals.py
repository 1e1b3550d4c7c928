"""Receivers that refuse a signal for good: it is dropped at once, counted, and said once."""

from __future__ import annotations

import logging

import pytest

from sophia_operator.core.recovery.signal_request import Refused
from tests.support import signal_scene as scene
from tests.support.signal_world import World

GONE = Refused("answers 410", 410)


def refused(world: World, status: str) -> float | None:
    labels = {"receiver_kind": "Webhook", "status": status}
    return world.telemetry.registry.get_sample_value("sophia_recovery_signals_refused_total", labels)


async def test_what_is_refused_is_dropped_at_once_and_counted_by_its_status() -> None:
    world = World(scene.hook())
    world.receivers.answers["pager"] = GONE
    world.write("Claimed")
    await world.pass_time(600)
    assert world.receivers.told == [("pager", "uid-act/2")]
    assert (world.count("Retried"), world.count("Dropped")) == (0, 1)
    assert (refused(world, "410"), refused(world, "404")) == (1, 0)
    said = world.condition()
    assert said is not None
    assert said[0] == "False"
    assert "answers 410; 1 signal was dropped" in said[1]
    assert world.write().status.untold == []


async def test_an_answer_that_is_seldom_makes_no_series_of_its_own() -> None:
    world = World(scene.hook())
    for status in (418, 451, 499):
        world.receivers.answers["pager"] = Refused(f"answers {status}", status)
        world.write("Claimed")
        await world.settle()
    assert (refused(world, "other"), refused(world, "418")) == (3, None)


async def test_a_receiver_that_refuses_is_logged_once_until_it_takes_a_signal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    world = World(scene.hook())
    for answer, lines in ((GONE, 1), (GONE, 1), (None, 1), (GONE, 2)):
        world.receivers.answers["pager"] = answer
        world.write("Claimed")
        await world.settle()
        assert len(caplog.messages) == lines
    assert "receiver pager of RecoveryPolicy shop/pools refuses signals" in caplog.messages[0]
    assert "answers 410" in caplog.messages[0]


async def test_what_waits_behind_a_refused_signal_is_tried_in_its_turn() -> None:
    world = World(scene.hook())
    world.receivers.answers["pager"] = GONE
    world.write("Claimed")
    world.write("Succeeded")
    await world.settle()
    assert world.receivers.told == [("pager", "uid-act/2"), ("pager", "uid-act/3")]
