"""Pauses, with exact times."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.connection_pool_status import PauseStatus
from sophia_operator.core.pool.findings import Command, CommandResult, Verb
from sophia_operator.core.pool.pause import Pause, plan_pause, wants_pause
from tests.support.pool_scene import NAMES, at, console, failure, instance, look, looks, observed, server, spec

PAUSED, GOING = spec(paused=True), spec()
STATUS = PauseStatus(since=at(0), until=at(120))
OVER = STATUS.model_copy(update={"over": True})
ALL_PAUSED = looks(1, console=console(paused=True))


def both(verb: Verb) -> tuple[Command, ...]:
    return tuple(Command(name, verb) for name in NAMES)


def result(verb: str, seconds: float, failed: bool = False) -> dict[str, Any]:
    return {"commands": {(NAMES[0], verb): CommandResult(at(seconds), failure() if failed else None)}}


@pytest.mark.parametrize(
    ("wish", "before", "marks", "seconds", "status", "commands", "wait"),
    [
        (GOING, None, looks(0), 0, None, (), None),
        (PAUSED, None, looks(0), 0, STATUS, both(Verb.PAUSE), 1.0),
        (PAUSED, STATUS, ALL_PAUSED, 2, STATUS, (), 118.0),
        (PAUSED, STATUS, ALL_PAUSED, 119.5, STATUS, (), 0.5),
        (PAUSED, STATUS, ALL_PAUSED, 120, OVER, both(Verb.RESUME), 1.0),
        (PAUSED, OVER, looks(121), 121, OVER, (), None),
        (PAUSED, OVER, looks(9999), 9999, OVER, (), None),  # latched
        (GOING, OVER, looks(121), 121, None, (), None),
        (GOING, STATUS, ALL_PAUSED, 60, None, both(Verb.RESUME), 1.0),
        # what a console shows is brought to what is wanted
        (GOING, None, ALL_PAUSED, 60, None, both(Verb.RESUME), 1.0),
        (PAUSED, OVER, ALL_PAUSED, 200, OVER, both(Verb.RESUME), 1.0),
        (PAUSED, STATUS, looks(1), 5, STATUS, both(Verb.PAUSE), 1.0),
        # an instance that was never looked at is paused, but need not be resumed
        (PAUSED, STATUS, {}, 5, STATUS, both(Verb.PAUSE), 1.0),
        (GOING, None, {}, 5, None, (), None),
    ],
)
def test_steps(*, wish: Any, before: Any, marks: Any, seconds: float, status: Any, commands: Any, wait: Any) -> None:
    step = plan_pause(wish, before, observed(server(), marks), at(seconds))
    assert (step.status, step.commands, step.wait) == (status, commands, wait)
    over = status == OVER and before == STATUS
    assert [n.reason for n in step.notices] == (["ResumedByTimeout"] if over else [])


@pytest.mark.parametrize(
    ("kept", "seconds", "told"),
    [
        (result("RESUME", 2), 2.5, False),  # carried out since it was looked at: it is looked at first
        (result("RESUME", 2), 60, False),
        (result("RESUME", 0.5), 1.2, False),  # less than a second ago
        (result("RESUME", 0.5), 1.5, True),
        (result("RESUME", 2, failed=True), 2.9, False),
        (result("RESUME", 2, failed=True), 3, True),
        (result("PAUSE", 2), 2.5, True),
    ],
)
def test_commands_are_given_again(kept: Any, seconds: float, told: bool) -> None:
    marks = {NAMES[0]: look(1, console=console(paused=True)), NAMES[1]: look(1)}
    step = plan_pause(GOING, None, observed(server(), marks, kept=kept), at(seconds))
    assert step.commands == ((Command(NAMES[0], Verb.RESUME),) if told else ())


def test_a_new_instance_is_paused_and_one_on_its_way_out_is_not_told() -> None:
    there = (instance(), instance(NAMES[1], terminating=True), instance("orders-pool-3", ready=False))
    step = plan_pause(PAUSED, STATUS, observed(server(), ALL_PAUSED, instances=there), at(5))
    assert step.commands == (Command("orders-pool-3", Verb.PAUSE),)


def test_nothing_to_do_is_nothing() -> None:
    assert plan_pause(GOING, None, observed(server(), looks(0)), at(0)) == Pause()
    assert not wants_pause(PAUSED, STATUS, at(120))
    assert wants_pause(PAUSED, STATUS, at(119.9))
