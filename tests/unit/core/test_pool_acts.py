"""What RecoveryActions make of one pass over a pool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.connection_pool_status import AutosizeStatus, PastReconnect, ReconnectPhase, ReconnectStatus
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.pool.findings import Command, CommandResult, Failure, Fault, Verb
from sophia_operator.core.pool.needs import needs
from sophia_operator.core.pool.tasks import (
    Acted,
    Analyzed,
    AnalyzeFinding,
    AnalyzeTask,
)
from sophia_operator.core.pool.views import PoolObserved, PoolView
from sophia_operator.core.recovery.views import ActRequest
from tests.support.pool_acts import request, sees, the_act
from tests.support.pool_scene import (
    NAMES,
    after,
    at,
    console,
    healthy,
    look,
    looks,
    observed,
    pool,
    spec,
    step,
)

CANCEL = request(Action.CANCEL_STATEMENT)
REFRESH = request(Action.REFRESH_PLANS)
RECONNECT = request(Action.RECONNECT)
LIMIT = request(Action.LIMIT_CONNECTIONS)


# -- RefreshPlans


def test_tables_are_analyzed_once_and_then_instances_reconnect() -> None:
    view = healthy()
    begun = step(view, sees(acts=(REFRESH,)), 1)
    assert begun.tasks == (AnalyzeTask("uid-act-1"),)
    assert the_act(begun).subject == "tables of app in database orders"
    under_way = Acted(analyses={"uid-act-1": AnalyzeFinding(at(1))})
    going = step(after(view, begun), sees(acts=(REFRESH,), seconds=2, acted=under_way), 2)
    assert (the_act(going).phase, going.tasks, going.commands) == (ActPhase.RUNNING, (), ())
    done = Acted(analyses={"uid-act-1": AnalyzeFinding(at(3), Analyzed(("public.item",), ("public.x: gone",)))})
    telling = step(after(view, going), sees(acts=(REFRESH,), seconds=3, acted=done), 3.1)
    assert set(telling.commands) == {Command(name, Verb.RECONNECT) for name in NAMES}
    assert the_act(telling).did == ["ANALYZE public.item", "not ANALYZE public.x: gone"]
    told = {(name, "RECONNECT"): CommandResult(at(3.2)) for name in NAMES}
    over = step(after(view, telling), sees(acts=(REFRESH,), seconds=3.3, acted=done, commands=told), 3.4)
    assert the_act(over).phase is ActPhase.DONE
    assert the_act(over).did[-1] == f"RECONNECT at {NAMES[1]}"
    # A crash after ANALYZE was written down: what is left may be repeated.
    restarted = step(after(view, telling), sees(acts=(REFRESH,), seconds=4), 4)
    assert set(restarted.commands) == set(telling.commands)


def test_an_analyze_that_this_process_did_not_begin_is_unknown() -> None:
    begun = step(healthy(), sees(acts=(REFRESH,)), 1)
    restarted = step(after(healthy(), begun), sees(acts=(REFRESH,), seconds=2), 2)
    assert (the_act(restarted).phase, restarted.tasks) == (ActPhase.UNKNOWN, ())


@pytest.mark.parametrize(
    ("answer", "phase", "words"),
    [
        (Analyzed(refused="the user app does not own table t"), ActPhase.REFUSED, "does not own"),
        (Analyzed(left=("public.t: somebody else holds it",), late=2), ActPhase.FAILED, "somebody else"),
        (Failure(Fault.UNREACHABLE, "connection refused"), ActPhase.FAILED, "connection refused"),
    ],
)
def test_no_statistics(answer: Analyzed | Failure, phase: ActPhase, words: str) -> None:
    begun = step(healthy(), sees(acts=(REFRESH,)), 1)
    found = Acted(analyses={"uid-act-1": AnalyzeFinding(at(2), answer)})
    over = step(after(healthy(), begun), sees(acts=(REFRESH,), seconds=2, acted=found), 2)
    assert (the_act(over).phase, over.commands) == (phase, ())
    assert words in the_act(over).message


# -- Reconnect


def test_a_reconnect_begins_although_nothing_is_wrong() -> None:
    view = healthy()
    begun = step(view, sees(acts=(RECONNECT,)), 1)
    assert begun.status.reconnect is not None
    assert begun.status.reconnect.cause == "RecoveryAction act-1 asks for it"
    assert set(begun.commands) == {Command(name, Verb.RECONNECT) for name in NAMES}
    assert the_act(begun).phase is ActPhase.RUNNING
    # It goes on as any other; the act is over with it, in the same pass.
    told = {(name, "RECONNECT"): CommandResult(at(1.1)) for name in NAMES}
    confirm = step(after(view, begun), sees(acts=(RECONNECT,), seconds=1.2, commands=told), 1.3)
    told = {(name, "RECONNECT"): CommandResult(at(1.4)) for name in NAMES}
    over = step(after(view, confirm), sees(acts=(RECONNECT,), seconds=1.5, commands=told), 1.6)
    assert over.status.reconnect is None
    assert the_act(over).phase is ActPhase.DONE
    assert the_act(over).did == [f"RECONNECT at {name}" for name in NAMES]


def test_a_reconnect_under_way_is_joined_and_looks_at_once() -> None:
    going = ReconnectStatus(
        phase=ReconnectPhase.WAITING, cause="the server did not answer", started_at=at(-60), attempt=7, next_at=None
    )
    view = healthy()
    view = replace(view, status=view.status.model_copy(update={"reconnect": going}))
    lost = observed(Failure(Fault.UNREACHABLE, "refused"), looks(1), server_at=1, acts=(RECONNECT,))
    joined = step(view, lost, 1.5)
    assert joined.status.reconnect is not None
    assert (joined.status.reconnect.started_at, joined.status.reconnect.next_at) == (at(-60), at(1.5))
    assert "follows the reconnect that began at 11:59:00 UTC" in the_act(joined).message
    assert needs(after(view, joined), lost, at(1.6)).server
    # Once only: after that it waits as it always does.
    next_one = step(after(view, joined), replace(lost, kept=replace(lost.kept)), 1.6)
    assert next_one.status.reconnect == joined.status.reconnect


def test_a_reconnect_that_ended_before_is_not_the_acts() -> None:
    past = PastReconnect(cause="x", started_at=at(-9), ended_at=at(-5), attempts=1)
    view = healthy()
    view = replace(view, status=view.status.model_copy(update={"reconnects": [past]}))
    begun = step(view, sees(acts=(RECONNECT,)), 1)
    assert begun.status.reconnect is not None
    assert the_act(begun).phase is ActPhase.RUNNING


def test_nothing_to_reconnect() -> None:
    decision = step(pool(), sees(acts=(RECONNECT,)), 1)
    assert the_act(decision).phase is ActPhase.REFUSED


# -- LimitConnections


def large() -> PoolView:
    """A pool of 10 server connections, which clients need."""
    view = healthy(spec(size={"min": 4, "max": 20}))
    sized = {"size": 10, "autosize": AutosizeStatus(size=10)}
    return replace(view, status=view.status.model_copy(update=sized))


def sized(seconds: float, each: int, *acts: ActRequest, **of: Any) -> PoolObserved:
    found = sees(acts=acts, seconds=seconds, **of)
    shown = {n: look(seconds, console=console(pool_size=each, clients_waiting=9)) for n in NAMES}
    return replace(found, kept=replace(found.kept, instances=shown))


def test_the_size_is_held_and_given_back_as_it_was() -> None:
    view = large()
    begun = step(view, sized(1, 5, LIMIT), 1)
    act = the_act(begun)
    assert (begun.status.size, act.subject, act.until) == (4, "4 of 10 server connections", at(601))
    assert act.phase is ActPhase.RUNNING
    done = step(after(view, begun), sized(5, 2, LIMIT), 5)
    assert the_act(done).phase is ActPhase.DONE
    assert the_act(done).did[0] == "pool_size 2 at 2 instances"
    # Clients wait all the time: that tells nothing of what they need.
    held = done
    for seconds in range(10, 100, 10):
        held = step(after(view, held), sized(seconds, 2, LIMIT), seconds)
    assert held.status.size == 4
    assert held.next == step(after(view, held), sized(90, 2, LIMIT), 90).next
    ends = step(after(view, held), sized(600.5, 2, LIMIT), 601)
    assert ends.status.size == 10
    deleted = step(after(view, held), sized(95, 2), 95)
    assert (deleted.status.size, deleted.status.acts) == (10, [])


def test_a_limit_is_taken_back_when_its_action_is_deleted_before_it_is_done() -> None:
    begun = step(large(), sized(1, 5, LIMIT), 1)
    over = step(after(large(), begun), sized(2, 5), 2)
    assert over.status.size == 10
    assert the_act(over).phase is ActPhase.DONE


def test_two_limits_do_not_add_up() -> None:
    begun = step(large(), sized(1, 5, LIMIT), 1)
    done = step(after(large(), begun), sized(5, 2, LIMIT), 5)
    second = request(Action.LIMIT_CONNECTIONS, "act-2", claimed=5, percent=60)
    both = step(after(large(), done), sized(6, 2, LIMIT, second), 6)
    assert [a.subject for a in both.status.acts] == ["4 of 10 server connections", "6 of 10 server connections"]
    assert both.status.size == 4


def test_never_below_one_for_each_instance() -> None:
    least = step(large(), sized(1, 5, request(Action.LIMIT_CONNECTIONS, percent=1)), 1)
    assert least.status.size == 2
    view = large()
    view = replace(view, status=view.status.model_copy(update={"size": 2, "autosize": AutosizeStatus(size=2)}))
    small = replace(view, spec=spec(size={"min": 2, "max": 2}))
    refused = step(small, sized(1, 1, LIMIT), 1)
    assert the_act(refused).phase is ActPhase.REFUSED
    assert "nothing is left to take" in the_act(refused).message


def test_instances_that_do_not_take_the_size_over() -> None:
    begun = step(large(), sized(1, 5, LIMIT), 1)
    late = step(after(large(), begun), sized(190, 5, LIMIT), 190)
    assert the_act(late).phase is ActPhase.FAILED
    assert step(after(large(), late), sized(191, 5, LIMIT), 191).status.size == 10


def test_a_limit_that_lasts_outlives_acts_that_are_over() -> None:
    view = large()
    limited = step(after(view, step(view, sized(1, 5, LIMIT), 1)), sized(5, 2, LIMIT), 5)
    others = [
        ActStatus(
            name=f"old-{n}", uid=f"uid-old-{n}", action=Action.RECONNECT, phase=ActPhase.DONE,
            started_at=at(10 + n), ended_at=at(10 + n),
        )
        for n in range(8)
    ]  # fmt: skip
    crowded = limited.status.model_copy(update={"acts": [*limited.status.acts, *others]})
    there = tuple(replace(request(Action.RECONNECT, f"old-{n}"), may_begin=False) for n in range(8))
    crowded_view = replace(view, status=crowded)
    kept = step(crowded_view, sized(30, 2, replace(LIMIT, may_begin=False), *there), 30)
    assert len(kept.status.acts) == 7
    assert kept.status.size == 4
