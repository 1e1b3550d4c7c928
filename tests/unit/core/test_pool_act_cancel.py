"""Which statement an act ends, and what the status says of statements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sophia_operator.api.recovery_action_status import ActPhase
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.pool.activity import Session, Unseen
from sophia_operator.core.pool.findings import Failure, Fault
from sophia_operator.core.pool.needs import needs
from sophia_operator.core.pool.tasks import (
    Cancelled,
    CancelTask,
)
from tests.support.pool_acts import cancelled, request, sees, session, the_act
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
    server,
    spec,
    step,
)

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
