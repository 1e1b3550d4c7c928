"""What RecoveryActions make of one pass over a pool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.connection_pool_status import AutosizeStatus, PastReconnect, ReconnectPhase, ReconnectStatus
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.pool.activity import Activity, Session, Unseen
from sophia_operator.core.pool.decision import PoolDecision
from sophia_operator.core.pool.findings import Backends, Command, CommandResult, Failure, Fault, Verb
from sophia_operator.core.pool.needs import needs
from sophia_operator.core.pool.tasks import (
    Acted,
    Analyzed,
    AnalyzeFinding,
    AnalyzeTask,
    Cancelled,
    CancelResult,
    CancelTask,
)
from sophia_operator.core.pool.views import PoolObserved, PoolView
from sophia_operator.core.recovery.views import ActRequest
from tests.support.pool_scene import (
    NAMES,
    after,
    at,
    connection,
    console,
    healthy,
    look,
    looks,
    observed,
    pool,
    server,
    spec,
    step,
)

OWN = "10.2.0.1"


def request(action: Action, name: str = "act-1", claimed: float = 0.5, **parameters: Any) -> ActRequest:
    return ActRequest(name, f"uid-{name}", action, Parameters(**parameters), at(claimed), may_begin=True)


def session(pid: int = 7, since: float = -100, **changes: Any) -> Session:
    values: dict[str, Any] = {
        "username": "app", "address": OWN, "started_at": at(-500), "idle": False, "waits": False, "blocks": 0,
        "text": f"SELECT … FROM t{pid}", "query_id": str(pid),
    }  # fmt: skip
    return Session(pid=pid, since=at(since), **{**values, **changes})


def sees(*sessions: Session, acts: tuple[ActRequest, ...], seconds: float = 1, **of: Any) -> PoolObserved:
    """All is well but for what sessions do."""
    backends = (Backends("app", "orders", OWN, None, 2),)
    activity = Activity(sessions, of.pop("unseen", ()), of.pop("hidden", 0))
    found = observed(server(activity=activity, backends=backends), looks(seconds), server_at=seconds)
    kept = replace(found.kept, acted=of.pop("acted", Acted()), commands=of.pop("commands", {}))
    return replace(found, acts=acts, kept=kept)


def the_act(decision: PoolDecision) -> ActStatus:
    (act,) = decision.status.acts
    return act


def cancelled(seconds: float, answer: Cancelled | Failure, told: bool = True) -> Acted:
    return Acted(cancels={"uid-act-1": CancelResult(at(seconds), answer, told)})


CANCEL = request(Action.CANCEL_STATEMENT)
REFRESH = request(Action.REFRESH_PLANS)
RECONNECT = request(Action.RECONNECT)
LIMIT = request(Action.LIMIT_CONNECTIONS)


# -- CancelStatement


def test_the_server_is_looked_at_before_an_act_begins() -> None:
    view, act = healthy(), request(Action.CANCEL_STATEMENT, claimed=2)
    old = sees(session(), acts=(act,), seconds=1)
    assert needs(view, old, at(2.1)).server
    assert step(view, old, 2.1).status.acts == []
    new = sees(session(), acts=(act,), seconds=2.2)
    assert not needs(view, new, at(2.3)).server
    assert the_act(step(view, new, 2.3)).phase is ActPhase.RUNNING


def test_the_worst_is_written_down_with_all_that_tells_it_from_others() -> None:
    oldest, blocking = session(7, -500), session(8, -40, blocks=2)
    decision = step(healthy(), sees(oldest, blocking, acts=(CANCEL,)), 1)
    act = the_act(decision)
    assert act.phase is ActPhase.RUNNING
    assert act.subject == (
        "process 8, session since 2026-03-01T11:51:40.000000+00:00, statement since 2026-03-01T11:59:20.000000+00:00"
    )
    assert decision.tasks == (CancelTask("uid-act-1", 8, at(-500), at(-40)),)
    assert "which 2 sessions wait for: SELECT … FROM t8" in act.message
    # After a crash it goes on with that one, whatever is worst now.
    again = step(after(healthy(), decision), sees(oldest, acts=(CANCEL,), seconds=2), 2)
    assert again.tasks == decision.tasks
    assert the_act(again).subject == act.subject


def test_of_those_that_block_nobody_the_oldest_is_taken() -> None:
    decision = step(healthy(), sees(session(7, -60), session(8, -90), acts=(CANCEL,)), 1)
    assert [t.pid for t in decision.tasks if isinstance(t, CancelTask)] == [8]


NOT_ENDED: list[tuple[str, Session]] = [
    ("young", session(since=-28)),
    ("waits itself", session(waits=True)),
    ("not the pool's, and in nobody's way", session(address="10.9.9.9")),
    ("an idle session from elsewhere", session(idle=True, blocks=1, address="10.9.9.9")),
    ("an idle session of another user", session(idle=True, blocks=1, username="bob")),
]


@pytest.mark.parametrize("found", [s for _, s in NOT_ENDED], ids=[why for why, _ in NOT_ENDED])
def test_what_is_left_alone(found: Session) -> None:
    decision = step(healthy(), sees(found, acts=(CANCEL,)), 1)
    act = the_act(decision)
    assert (act.phase, decision.tasks) == (ActPhase.REFUSED, ())
    assert act.message.startswith("no statement that may be ended is 30 seconds old")


def test_a_statement_from_elsewhere_that_blocks_is_ended() -> None:
    decision = step(healthy(), sees(session(address="10.9.9.9", username="bob", blocks=1), acts=(CANCEL,)), 1)
    assert len(decision.tasks) == 1


def test_what_is_not_seen_is_said() -> None:
    found = sees(session(waits=True), acts=(CANCEL,), unseen=(Unseen(9, "bob", 1),))
    decision = step(healthy(), found, 1)
    words = "1 session waits for process 9 of user bob, and app may not see what that does: GRANT pg_read_all_stats"
    assert words in the_act(decision).message
    assert words in decision.status.statements_note
    hidden = step(healthy(), sees(acts=(CANCEL,), hidden=3), 1)
    assert "what 3 sessions of other users do is hidden from app" in the_act(hidden).message
    assert hidden.status.statements_note == ""


def test_a_session_that_idles_in_its_transaction_is_ended_and_that_is_said() -> None:
    found = sees(session(idle=True, blocks=3), acts=(CANCEL,))
    decision = step(healthy(), found, 1)
    (task,) = decision.tasks
    assert isinstance(task, CancelTask)
    assert task.idle
    told = sees(acts=(CANCEL,), seconds=2, acted=cancelled(1.5, Cancelled.TOLD))
    waiting = step(after(healthy(), decision), told, 2)
    assert the_act(waiting).did == ["pg_terminate_backend(7)"]


def test_it_is_done_once_it_is_gone() -> None:
    begun = step(healthy(), sees(session(), acts=(CANCEL,)), 1)
    told = step(after(healthy(), begun), sees(acts=(CANCEL,), acted=cancelled(1.5, Cancelled.TOLD)), 1.6)
    assert (the_act(told).phase, told.tasks) == (ActPhase.RUNNING, ())
    asked = step(after(healthy(), told), sees(acts=(CANCEL,), acted=cancelled(1.5, Cancelled.TOLD)), 2.6)
    assert asked.tasks == begun.tasks
    gone = step(after(healthy(), asked), sees(acts=(CANCEL,), acted=cancelled(2.7, Cancelled.GONE)), 2.8)
    assert (the_act(gone).phase, the_act(gone).did) == (ActPhase.DONE, ["pg_cancel_backend(7)"])
    # What became of the others is looked at.
    assert needs(after(healthy(), gone), sees(acts=(CANCEL,), seconds=2.7), at(2.9)).server


@pytest.mark.parametrize(
    ("answer", "seconds", "words"),
    [
        (Cancelled.FORBIDDEN, 2, "GRANT pg_signal_backend TO app"),
        (Cancelled.TOLD, 22, "told for 20 s, and is still there"),
        (Failure(Fault.TIMEOUT, "no answer within 5 s"), 22, "no answer within 5 s"),
    ],
)
def test_it_fails_when_it_stays(answer: Cancelled | Failure, seconds: float, words: str) -> None:
    begun = step(healthy(), sees(session(), acts=(CANCEL,)), 1)
    late = sees(session(), acts=(CANCEL,), seconds=seconds, acted=cancelled(seconds - 0.1, answer))
    failed = step(after(healthy(), begun), late, seconds)
    assert (the_act(failed).phase, failed.tasks) == (ActPhase.FAILED, ())
    assert words in the_act(failed).message


def test_one_after_the_other() -> None:
    second = request(Action.CANCEL_STATEMENT, "act-2", claimed=0.7)
    begun = step(healthy(), sees(session(), acts=(second, CANCEL)), 1)
    assert [a.name for a in begun.status.acts] == ["act-1"]


# -- statements in the status


def test_statements_stand_in_the_status_without_changing() -> None:
    found = [session(pid, -100 + pid) for pid in range(1, 8)] + [session(9, -50, blocks=10)]
    first = step(healthy(), sees(*found, acts=()), 1)
    told = first.status.statements
    assert [s.pid for s in told] == [9, 1, 2, 3, 4]
    assert (told[0].since, told[0].session_since, told[0].blocks) == (at(-50), at(-500), 10)
    more = [*found[:-1], replace(found[-1], blocks=11)]
    second = step(after(healthy(), first), sees(*more, acts=(), seconds=6), 6)
    assert second.status.statements == told
    assert needs(after(healthy(), second), sees(*more, acts=(), seconds=6), at(11.1)).server
    lost = replace(sees(acts=()), kept=replace(sees(acts=()).kept, server=None))
    assert step(after(healthy(), second), lost, 12).status.statements == told
    assert step(after(healthy(), second), sees(acts=(), seconds=12), 12).status.statements == []


def test_statements_of_others_that_are_in_nobodys_way_are_not_the_pools() -> None:
    elsewhere, blocking = session(7, address="10.9.9.9"), session(8, address="10.9.9.9", blocks=1)
    assert [s.pid for s in step(healthy(), sees(elsewhere, blocking, acts=()), 1).status.statements] == [8]


@pytest.mark.parametrize(("mode", "due"), [("Transaction", True), ("Session", False)])
def test_a_connection_on_which_nothing_was_asked_for_long_is_looked_into(mode: str, due: bool) -> None:
    view = healthy(spec(mode=mode))
    busy = replace(connection(0), asked_at=at(0), pid=7)
    shown = look(5.5, 1, console=console(connections=(busy,)))
    found = observed(server(), {**looks(5.5, 1), NAMES[0]: shown}, server_at=1)
    assert needs(view, found, at(6.1)).server is due


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
