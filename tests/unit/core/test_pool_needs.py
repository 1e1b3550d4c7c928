"""Which looks are due, to the second."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.connection_pool_status import PauseStatus, ReconnectPhase, ReconnectStatus
from sophia_operator.core.pool.findings import CommandResult, InsightsFinding
from sophia_operator.core.pool.needs import needs, next_look
from sophia_operator.core.pool.views import PoolObserved
from tests.support.pool_scene import (
    HASH,
    NAMES,
    OLD_HASH,
    at,
    console,
    failure,
    instance,
    known,
    look,
    looks,
    observed,
    pool,
    server,
    spec,
    through,
)

FRESH = {"insights": (InsightsFinding(at(0)),)}
VIEW = pool(server=known(), config_hash=HASH)


def seen(found: Any = None, marks: Any = None, **kept: Any) -> PoolObserved:
    """Everything was looked at at the start."""
    return observed(found or server(), marks if marks is not None else looks(0), kept={**FRESH, **kept})


def test_at_first_everything_is_due() -> None:
    due = needs(VIEW, observed(), at(0))
    assert (due.server, due.instances, due.insights) == (True, dict.fromkeys(NAMES, True), False)
    assert next_look(VIEW, observed(), at(0)) == 0


def test_without_access_nothing_is_due() -> None:
    due = needs(VIEW, observed(access=None), at(0))
    assert not due
    assert next_look(VIEW, observed(access=None), at(0)) == 3600


@pytest.mark.parametrize(
    ("interval", "seconds", "server_due", "instances"),
    [
        (60, 4.9, False, {}),
        (60, 5, False, dict.fromkeys(NAMES, False)),
        (60, 59.9, False, dict.fromkeys(NAMES, False)),
        (60, 60, True, dict.fromkeys(NAMES, True)),
        (1, 0.9, False, {}),
        (1, 1, True, dict.fromkeys(NAMES, True)),
        (3, 3, True, dict.fromkeys(NAMES, True)),
    ],
)
def test_intervals(interval: int, seconds: float, server_due: bool, instances: dict[str, bool]) -> None:
    view = replace(VIEW, spec=spec(healthCheck={"intervalSeconds": interval}))
    due = needs(view, seen(), at(seconds))
    assert (due.server, due.instances) == (server_due, instances)
    assert next_look(view, seen(), at(0)) == min(interval, 5)
    assert (next_look(view, seen(), at(seconds)) == 0) is bool(due)


@pytest.mark.parametrize(("interval", "every"), [(60, 300), (1, 300), (600, 3000)])
def test_insights_are_looked_at_seldom(interval: int, every: int) -> None:
    view = replace(VIEW, spec=spec(healthCheck={"intervalSeconds": interval}))
    assert not needs(view, seen(), at(every - 1)).insights
    assert needs(view, seen(), at(every)).insights
    assert not needs(view, seen(failure()), at(every)).insights


def test_a_broken_watch_makes_the_server_due_until_it_is_looked_at() -> None:
    assert needs(VIEW, seen(watch_broke_at=at(0.1)), at(0.2)).server
    looked = observed(server(), looks(0), server_at=0.2, kept={**FRESH, "watch_broke_at": at(0.1)})
    assert not needs(VIEW, looked, at(0.3)).server


@pytest.mark.parametrize(
    ("shown", "due"),
    [
        ({"clients_waiting": 1, "servers_active": 0, "servers_idle": 0}, True),
        ({"clients_waiting": 0, "servers_active": 0, "servers_idle": 0}, False),
        ({"clients_waiting": 1, "servers_active": 2, "servers_idle": 0}, False),
        ({"clients_waiting": 1, "servers_logging_in": 1, "longest_wait_seconds": 1.0}, True),
        ({"clients_waiting": 1, "servers_logging_in": 1, "longest_wait_seconds": 0.2}, False),
        ({"clients_waiting": 1, "servers_active": 0, "servers_idle": 0, "paused": True}, False),
    ],
)
def test_clients_that_wait_in_vain_make_the_server_due(shown: dict[str, Any], due: bool) -> None:
    marks = {**looks(5, 0), NAMES[0]: look(5, 0, console=console(**shown))}
    assert needs(VIEW, seen(marks=marks), at(5)).server is due


def test_an_instance_that_reached_another_server_makes_the_server_due() -> None:
    marks = {**looks(0), NAMES[0]: look(2, through=through("B1"))}
    assert needs(VIEW, seen(marks=marks), at(2)).server
    assert not needs(VIEW, seen(marks={**looks(0), NAMES[0]: look(2)}), at(2)).server


def test_a_server_that_never_answered_is_tried_more_often() -> None:
    assert not needs(pool(), seen(failure()), at(9)).server
    assert needs(pool(), seen(failure()), at(10)).server
    assert not needs(VIEW, seen(failure()), at(59)).server


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"uid": "uid-9"}, {NAMES[0]: True}),
        ({"uid": "uid-9", "terminating": True}, {}),
        ({"uid": "uid-9", "address": None}, {}),
        ({"ready": False}, {}),
        ({"ready": False, "uid": "uid-9"}, {NAMES[0]: True}),
    ],
)
def test_instances_that_are_others_than_before(changes: dict[str, Any], due: dict[str, bool]) -> None:
    there = (instance(**changes), instance(NAMES[1]))
    view = observed(server(), looks(0), instances=there, kept=FRESH)
    assert needs(VIEW, view, at(0.5)).instances == due


def test_an_instance_that_is_not_ready_and_does_not_answer_is_left_alone() -> None:
    there = (instance(ready=False), instance(NAMES[1]))
    marks = {**looks(0), NAMES[0]: look(0, console=failure(), through=None, through_at=None)}
    view = observed(server(), marks, instances=there, kept=FRESH)
    assert NAMES[0] not in needs(VIEW, view, at(59)).instances
    assert needs(VIEW, view, at(60)).instances[NAMES[0]]


def test_an_instance_through_which_nothing_answers_is_looked_through_sooner() -> None:
    marks = {**looks(0), NAMES[0]: look(0, through=failure())}
    assert needs(VIEW, seen(marks=marks), at(5)).instances == {NAMES[0]: True, NAMES[1]: False}


def reconnect(phase: ReconnectPhase, **changes: Any) -> ReconnectStatus:
    return ReconnectStatus(phase=phase, cause="x", started_at=at(0), **changes)


@pytest.mark.parametrize(
    ("next_at", "seconds", "due"), [(2, 1.9, False), (2, 2, True), (None, 4.9, False), (None, 5, True)]
)
def test_waiting_for_a_server(next_at: float | None, seconds: float, due: bool) -> None:
    waiting = reconnect(ReconnectPhase.WAITING, next_at=None if next_at is None else at(next_at))
    view = pool(server=known(), config_hash=HASH, reconnect=waiting)
    looked = observed(failure(), looks(seconds), kept=FRESH)
    assert needs(view, looked, at(seconds)).server is due


@pytest.mark.parametrize(
    ("mark", "seconds", "due"),
    [
        (look(1.4), 1.5, False),  # not told yet: nothing to verify
        (look(2.05, 1), 2.1, False),  # told at 2, looked at then, but not through
        (look(2.05, 1), 2.2, True),
        (look(2.5, through=through("B1")), 2.9, False),
        (look(2.5, through=through("B1")), 3.0, True),
        (look(2.5), 3.0, False),  # right
    ],
)
def test_verifying(mark: Any, seconds: float, due: bool) -> None:
    verifying = reconnect(ReconnectPhase.VERIFYING, server_at=at(1), told_at=at(1), next_at=at(6))
    view = pool(server=known(), config_hash=HASH, reconnect=verifying)
    commands = {(NAMES[0], "RECONNECT"): CommandResult(at(2))} if seconds > 2 else {}
    there = (instance(),)
    looked = observed(server(), {NAMES[0]: mark}, server_at=1.0, instances=there, kept={**FRESH, "commands": commands})
    assert needs(view, looked, at(seconds)).instances.get(NAMES[0], False) is due


@pytest.mark.parametrize(
    ("shown", "of_status", "due"),
    [
        ({"config_hash": OLD_HASH}, {}, True),
        ({}, {}, False),
        ({"paused": True}, {}, True),
        ({"paused": True}, {"pause": PauseStatus(since=at(-5), until=at(115))}, False),
        ({"paused": False}, {"pause": PauseStatus(since=at(-5), until=at(115))}, True),
    ],
)
def test_an_instance_that_is_being_changed_is_looked_at_closely(
    shown: dict[str, Any], of_status: dict[str, Any], due: bool
) -> None:
    view = pool(spec(paused=bool(of_status)), server=known(), config_hash=HASH, **of_status)
    marks = {**looks(0, console=console(paused=bool(of_status))), NAMES[0]: look(0, console=console(**shown))}
    assert needs(view, seen(marks=marks), at(0.5)).instances == ({NAMES[0]: False} if due else {})


def test_an_instance_that_was_told_something_is_looked_at() -> None:
    commands = {(NAMES[1], "RELOAD"): CommandResult(at(1))}
    assert needs(VIEW, seen(commands=commands), at(1)).instances == {NAMES[1]: False}
