"""The planner of reconnects, step by step, with exact times."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.connection_pool_status import (
    ConnectionPoolStatus,
    PauseStatus,
    ReconnectPhase,
    ReconnectStatus,
)
from sophia_operator.core.pool.findings import Command, CommandResult, ServerRole, Verb
from sophia_operator.core.pool.reconnect import Reconnect, plan
from sophia_operator.core.pool.views import PoolObserved
from tests.support.pool_scene import (
    HASH,
    NAMES,
    OLD_HASH,
    at,
    connection,
    console,
    failure,
    instance,
    known,
    look,
    looks,
    observed,
    server,
    spec,
    through,
)

ONE = (instance(),)
TELL_BOTH = tuple(Command(name, Verb.RECONNECT) for name in NAMES)
KILL = (Command(NAMES[0], Verb.RECONNECT), Command(NAMES[0], Verb.KILL), Command(NAMES[0], Verb.RESUME))


def decide(seen: PoolObserved, seconds: float, state: ReconnectStatus | None = None, **of: Any) -> Reconnect:
    status = ConnectionPoolStatus(server=of.pop("server", known()), config_hash=HASH, reconnect=state)
    wish = spec(paused=of.pop("paused", False))
    return plan(status.model_copy(update=of), wish, seen, at(seconds), 0.5)


def state(phase: ReconnectPhase = ReconnectPhase.VERIFYING, **changes: Any) -> ReconnectStatus:
    """Instances were told at 1, and have until 6."""
    values: dict[str, Any] = {
        "server_at": at(1), "told_at": at(1), "next_at": at(6), "attempt": 1, "identity": "A1"
    }  # fmt: skip
    return ReconnectStatus(phase=phase, cause="x", started_at=at(0), **{**values, **changes})


def told(seconds: float, *verbs: str, failed: bool = False) -> dict[str, Any]:
    results = {(NAMES[0], verb): CommandResult(at(seconds), failure() if failed else None) for verb in verbs}
    return {"commands": results}


def seen_one(mark: Any, found: Any = None, server_at: float = 1.0, **kept: Any) -> PoolObserved:
    return observed(found or server(), {NAMES[0]: mark}, server_at=server_at, instances=ONE, kept=kept)


def test_nothing_happens_without_a_cause() -> None:
    assert decide(observed(server(), looks(0)), 0) == Reconnect()


def test_a_server_that_is_lost_is_waited_for() -> None:
    begun = decide(observed(failure(), looks(0)), 0)
    assert begun.status is not None
    assert (begun.status.phase, begun.status.identity) == (ReconnectPhase.WAITING, "A1")
    assert begun.status.next_at == at(0.2)
    assert (begun.commands, [n.reason for n in begun.notices]) == ((), ["ServerLost"])


def test_waits_double_and_then_are_written_down_no_more() -> None:
    now, current, waits = 0.0, decide(observed(failure(), looks(0)), 0).status, []
    for _ in range(10):
        assert current is not None
        if current.next_at is None:
            break
        waits.append(round((current.next_at - at(now)).total_seconds(), 3))
        early = decide(observed(failure(), looks(0), server_at=now), now, current)
        assert early.status == current  # no look since
        now += waits[-1]
        current = decide(observed(failure(), looks(0), server_at=now), now, current).status
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    later = decide(observed(failure(), looks(0), server_at=now + 60), now + 60, current)
    assert (later.status, later.wait) == (current, 5.0)


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 0.15), (0.5, 0.2), (1.0, 0.25)])
def test_waits_are_spread(jitter: float, seconds: float) -> None:
    begun = plan(ConnectionPoolStatus(server=known()), spec(), observed(failure(), looks(0)), at(0), jitter)
    assert begun.status is not None
    assert begun.status.next_at == at(seconds)


@pytest.mark.parametrize("found", [failure(), server("B0", ServerRole.STANDBY), server("A1", ServerRole.STANDBY)])
def test_a_server_of_the_wrong_role_is_waited_out(found: Any) -> None:
    waiting = state(ReconnectPhase.WAITING, server_at=None, told_at=None, next_at=None)
    step = decide(observed(found, looks(0), server_at=3), 3, waiting)
    assert (step.status, step.commands) == (waiting, ())


def test_another_server_makes_every_instance_reconnect_at_once() -> None:
    for before in (None, state(ReconnectPhase.WAITING, server_at=None, told_at=None, next_at=at(9))):
        step = decide(observed(server("B1"), looks(0), server_at=3), 3, before)
        assert step.status is not None
        assert step.status.phase is ReconnectPhase.RECONNECTING
        assert (step.status.server_at, step.status.told_at, step.status.next_at) == (at(3), at(3), at(8))
        assert step.commands == TELL_BOTH


def test_instances_that_are_not_ready_or_on_their_way_out_are_not_told() -> None:
    there = (instance(ready=False), instance(NAMES[1], terminating=True), instance("orders-pool-3", address=None))
    step = decide(observed(server("B1"), looks(0), instances=there), 0)
    assert step.status is not None
    assert step.commands == ()


def test_the_very_same_server_is_looked_at_through_instances_first() -> None:
    waiting = state(ReconnectPhase.WAITING, server_at=None, told_at=None, next_at=None)
    step = decide(observed(server(), looks(0), server_at=3), 3, waiting)
    assert step.status is not None
    assert (step.status.phase, step.status.told_at, step.status.server_at) == (ReconnectPhase.VERIFYING, None, at(3))
    assert step.commands == ()
    over = decide(observed(server(), looks(3.1), server_at=3), 3.1, step.status)
    assert (over.status, over.commands) == (None, ())
    assert over.past is not None
    assert (over.past.ended_at, over.past.attempts) == (at(3.1), 1)
    for trouble in ({"through": through("B1")}, {"through": failure()}, {"console": failure()}):
        wrong = {**looks(3.1), NAMES[0]: look(3.1, **trouble)}
        again = decide(observed(server(), wrong, server_at=3), 3.1, step.status)
        assert again.commands == TELL_BOTH, trouble
    nobody_looked = decide(observed(server(), looks(2), server_at=3), 8, step.status)
    assert nobody_looked.commands == TELL_BOTH


RIGHT = look(2.1)
DRAINS = look(2.1, console=console(connections=(connection(0, closing=True), connection(2))))


@pytest.mark.parametrize(
    ("mark", "kept", "seconds", "commands", "wait"),
    [
        (look(0.9), {}, 1.5, (Command(NAMES[0], Verb.RECONNECT),), 1.0),  # nothing came of the command
        (look(0.9), told(1.2, "RECONNECT", failed=True), 1.5, (), 1.0),  # not twice in a second
        (look(0.9), told(1.2, "RECONNECT", failed=True), 2.2, (Command(NAMES[0], Verb.RECONNECT),), 1.0),
        (look(2.1), told(0.9, "RECONNECT"), 2.1, (Command(NAMES[0], Verb.RECONNECT),), 1.0),  # from before
        (look(1.9), told(2, "RECONNECT"), 2.1, (), 1.0),  # not looked at since
        (look(2.1, 1.9), told(2, "RECONNECT"), 2.2, (), 1.0),  # not looked through since
        (look(2.1, through=through("B1")), told(2, "RECONNECT"), 2.2, (), 1.0),
        (look(2.1, through=failure()), told(2, "RECONNECT"), 5.5, (), 0.5),
    ],
)
def test_within_a_try(mark: Any, kept: Any, seconds: float, commands: Any, wait: float) -> None:
    step = decide(seen_one(mark, **kept), seconds, state())
    assert step.status is not None
    assert (step.commands, step.status.attempt, step.wait) == (commands, 1, wait)


def test_once_all_reach_the_server_they_reconnect_once_more() -> None:
    for mark in (RIGHT, DRAINS):
        step = decide(seen_one(mark, **told(2, "RECONNECT")), 2.2, state())
        assert step.status is not None
        assert (step.status.confirmed_at, step.status.next_at) == (at(2.2), at(7.2))
        assert step.commands == (Command(NAMES[0], Verb.RECONNECT),)


def test_it_is_over_when_all_are_right_after_that() -> None:
    confirmed = state(confirmed_at=at(2.2), told_at=at(2.2), next_at=at(7.2))
    before = decide(seen_one(look(2.3), **told(2, "RECONNECT")), 2.3, confirmed)
    assert before.status is not None  # told before that
    over = decide(seen_one(look(2.4), **told(2.3, "RECONNECT")), 2.5, confirmed)
    assert over.status is None
    assert over.past is not None
    assert over.past.model_dump() == {
        "cause": "x", "started_at": at(0), "ended_at": at(2.5), "server_at": at(1), "attempts": 1,
        "unverified": [],
    }  # fmt: skip
    assert [n.reason for n in over.notices] == ["Reconnected"]


@pytest.mark.parametrize(("seconds", "attempt"), [(6, 1), (10.9, 1), (11, 2)])
def test_transactions_from_before_get_more_time(seconds: float, attempt: int) -> None:
    confirmed = state(confirmed_at=at(1))
    step = decide(seen_one(DRAINS, **told(2, "RECONNECT")), seconds, confirmed)
    assert step.status is not None
    assert step.status.attempt == attempt


@pytest.mark.parametrize(
    ("attempt", "commands", "next_in"),
    [(1, KILL[:1], 5), (2, KILL[:1], 5), (3, KILL, 10), (4, KILL[:1], 20), (5, KILL[:1], 40), (6, KILL, 60)],
)
def test_clients_are_cut_off_after_three_tries(attempt: int, commands: Any, next_in: float) -> None:
    wrong = look(5.9, through=through("Z9"))
    step = decide(seen_one(wrong, **told(2, "RECONNECT")), 6, state(attempt=attempt))
    assert step.status is not None
    assert step.commands == commands
    assert (step.status.attempt, step.status.told_at, step.status.next_at) == (attempt + 1, at(6), at(6 + next_in))
    assert bool(step.notices) is (Verb.KILL in {c.verb for c in commands})


@pytest.mark.parametrize(
    ("mark", "of"),
    [
        (look(5.9, through=failure()), {}),
        (look(5.9, console=failure()), {}),
        (look(5.9, through=through("Z9"), console=console(config_hash=OLD_HASH)), {}),  # RELOAD mends that
    ],
)
def test_nobody_is_cut_off_for_what_that_does_not_mend(mark: Any, of: Any) -> None:
    step = decide(seen_one(mark, **told(2, "RECONNECT")), 6, state(attempt=3), **of)
    assert step.commands == KILL[:1]


def test_only_the_instance_that_is_wrong_is_cut_off() -> None:
    marks = {NAMES[0]: look(5.9, through=through("Z9")), NAMES[1]: look(5.9)}
    commands = {(name, "RECONNECT"): CommandResult(at(2)) for name in NAMES}
    seen = observed(server(), marks, server_at=1.0, kept={"commands": commands})
    assert decide(seen, 6, state(attempt=3)).commands == KILL


def test_in_a_pause_nobody_is_resumed() -> None:
    pause = PauseStatus(since=at(0), until=at(120))
    wrong = look(5.9, through=through("Z9"))
    step = decide(seen_one(wrong, **told(2, "RECONNECT")), 6, state(attempt=3), pause=pause, paused=True)
    assert step.commands == KILL[:2]
    again = decide(seen_one(wrong, **told(2, "RECONNECT")), 120, state(attempt=3), pause=pause, paused=True)
    assert again.commands == KILL


def test_a_kill_that_got_lost_is_given_again() -> None:
    wrong, fourth = look(7, through=through("Z9")), state(attempt=4, told_at=at(6), next_at=at(16))
    lost: dict[str, Any] = {
        "commands": {**told(2, "RECONNECT")["commands"], **told(6, "KILL", failed=True)["commands"]}
    }
    assert decide(seen_one(wrong, **lost), 7.1, fourth).commands == KILL[1:]
    done: dict[str, Any] = {"commands": {**told(2, "RECONNECT")["commands"], **told(6, "KILL")["commands"]}}
    assert decide(seen_one(wrong, **done), 7.1, fourth).commands == ()


@pytest.mark.parametrize("found", [failure(), server("B0", ServerRole.STANDBY)])
def test_a_server_that_goes_again_is_waited_for_anew(found: Any) -> None:
    step = decide(seen_one(RIGHT, found, server_at=2.5, **told(2, "RECONNECT")), 2.5, state(attempt=3))
    assert step.status is not None
    assert (step.status.phase, step.status.attempt) == (ReconnectPhase.WAITING, 1)
    assert (step.status.server_at, step.status.told_at, step.status.confirmed_at) == (None, None, None)


def test_yet_another_server_starts_the_tries_anew() -> None:
    step = decide(seen_one(RIGHT, server("B1"), **told(2, "RECONNECT")), 3, state(attempt=3, confirmed_at=at(2)))
    assert step.status is not None
    assert (step.status.attempt, step.status.confirmed_at, step.status.server_at) == (1, None, at(3))
    assert step.commands == (Command(NAMES[0], Verb.RECONNECT),)


def test_after_a_restart_the_server_is_looked_at_before_anybody_is_told() -> None:
    step = decide(observed(instances=ONE), 30, state())
    assert (step.status, step.commands) == (state(), ())
    told_again = decide(observed(server(), {}, server_at=30, instances=ONE), 5.9, state())
    assert told_again.commands == (Command(NAMES[0], Verb.RECONNECT),)


def test_instances_that_went_are_forgotten() -> None:
    seen = observed(server(), {NAMES[0]: look(3)}, server_at=1.0, instances=ONE, kept=told(2.5, "RECONNECT"))
    assert decide(seen, 3, state(confirmed_at=at(2.3))).status is None
    nobody = observed(server(), {}, server_at=1.0, instances=())
    assert decide(nobody, 3, state(confirmed_at=at(2.3))).status is None
