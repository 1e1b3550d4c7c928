"""Acts of recovery on a pool: what is begun with, what is told, when it is over, and what a crash makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.connection_pool_status import ConnectionPoolStatus, PastReconnect, RunningStatement
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.pool.acts import PoolActs, limited, plan_acts, statements
from sophia_operator.core.pool.findings import JobKind, JobResult, Running, Verb
from sophia_operator.core.pool.views import PoolObserved
from sophia_operator.core.recovery.views import ActRequest
from tests.support.pool_scene import NAMES, at, failure, instance, observed, pool, server, spec

BLOCKING = RunningStatement(pid=7, since=at(-40), blocks=2)
OLD = RunningStatement(pid=9, since=at(-90))
YOUNG = RunningStatement(pid=11, since=at(-6), blocks=9)


def request(action: Action, **parameters: Any) -> ActRequest:
    return ActRequest("act", "uid", action, Parameters.model_validate(parameters), at(0), may_begin=True)


def seen(action: Action, found: Any = None, kept: dict[str, Any] | None = None, **parameters: Any) -> PoolObserved:
    both = tuple(instance(name) for name in NAMES)
    made = observed(found or server(), instances=both, kept=kept)
    return replace(made, acts=(request(action, **parameters),))


def status(*acts: ActStatus, **changes: Any) -> ConnectionPoolStatus:
    known = {"server": {"identity": "A1", "address": "10.1.0.1"}, "size": 20}
    made = ConnectionPoolStatus.model_validate(known)
    return made.model_copy(update={"acts": list(acts), **changes})


def plan(before: ConnectionPoolStatus, observed: PoolObserved, when: float = 1) -> PoolActs:
    return plan_acts(pool(status=before), observed, at(when))


def only(found: PoolActs) -> ActStatus:
    (act,) = found.acts
    return act


def test_nothing_is_done_that_nobody_asks_for() -> None:
    assert plan(status(), observed(server())) == PoolActs()


def test_what_was_not_claimed_is_not_begun() -> None:
    seen_ = replace(observed(server()), acts=(replace(request(Action.RECONNECT), may_begin=False),))
    assert plan(status(), seen_).acts == ()


def test_reconnect_is_asked_for_though_nothing_is_wrong_and_ends_with_a_reconnect() -> None:
    begun = plan(status(), seen(Action.RECONNECT))
    assert (only(begun).phase, begun.cause is not None) == (ActPhase.RUNNING, True)
    past = PastReconnect(cause="x", started_at=at(1), ended_at=at(3), attempts=2)
    done = plan(status(only(begun), reconnects=[past]), seen(Action.RECONNECT), 4)
    assert only(done).phase is ActPhase.DONE
    assert only(done).did == ["RECONNECT at 2 instances, verified by role after 2 tries"]


def test_reconnect_of_before_is_none_of_the_act() -> None:
    begun = only(plan(status(), seen(Action.RECONNECT)))
    past = PastReconnect(cause="x", started_at=at(-9), ended_at=at(-3), attempts=1)
    assert only(plan(status(begun, reconnects=[past]), seen(Action.RECONNECT), 4)).phase is ActPhase.RUNNING


def test_pool_that_never_had_a_server_refuses_to_reconnect() -> None:
    refused = only(plan(status(server=None), seen(Action.RECONNECT)))
    assert (refused.phase, "never reached its server" in refused.message) == (ActPhase.REFUSED, True)


def test_the_statement_that_blocks_most_is_ended_and_none_that_is_younger() -> None:
    found = plan(status(statements=[OLD, BLOCKING, YOUNG]), seen(Action.CANCEL_STATEMENT))
    assert found.job is not None
    assert (found.job.kind, found.job.statement) == (JobKind.CANCEL, BLOCKING)
    assert only(found).subject == f"process 7, since {at(-40).isoformat()}"


def test_least_age_is_what_the_act_says() -> None:
    found = plan(status(statements=[YOUNG]), seen(Action.CANCEL_STATEMENT, minSeconds=5))
    assert found.job is not None
    refused = only(plan(status(statements=[YOUNG]), seen(Action.CANCEL_STATEMENT)))
    assert (refused.phase, "for 30 seconds or more" in refused.message) == (ActPhase.REFUSED, True)


def told(tries: int = 1, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"did": "pg_cancel_backend"}
    return {"jobs": {"uid": JobResult(at(2), tries, **values | changes)}, "begun": frozenset({"uid"})}


def cancelling(*statements: RunningStatement) -> ConnectionPoolStatus:
    begun = only(plan(status(statements=[BLOCKING]), seen(Action.CANCEL_STATEMENT)))
    return status(begun, statements=list(statements))


def after_look(kept: dict[str, Any], when: float = 3) -> PoolObserved:
    both = tuple(instance(name) for name in NAMES)
    made = observed(server(), server_at=when, instances=both, kept=kept)
    return replace(made, acts=(request(Action.CANCEL_STATEMENT),))


def test_cancelled_statement_is_done_once_it_is_seen_to_be_gone() -> None:
    waits = plan(cancelling(BLOCKING), after_look(told(), when=1), 2)
    assert (only(waits).phase, waits.job) == (ActPhase.RUNNING, None)
    done = only(plan(cancelling(), after_look(told()), 4))
    assert (done.phase, done.did) == (ActPhase.DONE, [f"pg_cancel_backend: process 7, since {at(-40).isoformat()}"])


def test_another_statement_of_the_same_process_is_not_the_one() -> None:
    """After a crash the act goes on with what is written, whatever the process does by now."""
    newer = RunningStatement(pid=7, since=at(1), blocks=3)
    done = plan(cancelling(newer), after_look({}), 4)
    assert (only(done).phase, done.job) == (ActPhase.DONE, None)


def test_statement_that_stays_is_told_three_times_and_then_given_up() -> None:
    again = plan(cancelling(BLOCKING), after_look(told()), 4)
    assert again.job is not None
    assert again.job.statement == BLOCKING
    failed = only(plan(cancelling(BLOCKING), after_look(told(3)), 4))
    assert (failed.phase, "after 3 requests" in failed.message) == (ActPhase.FAILED, True)


def test_refusal_of_the_server_is_told_in_its_words() -> None:
    kept = told(3, did="", failure=failure(message="must be a member of the role"))
    failed = only(plan(cancelling(BLOCKING), after_look(kept), 4))
    assert (failed.phase, "must be a member of the role" in failed.message) == (ActPhase.FAILED, True)


def test_statistics_are_renewed_once_and_then_plans() -> None:
    begun = plan(status(), seen(Action.REFRESH_PLANS, table="shop.orders"))
    assert begun.job is not None
    assert (begun.job.kind, begun.job.table) == (JobKind.ANALYZE, "shop.orders")
    before = status(only(begun))
    assert plan(before, seen(Action.REFRESH_PLANS, kept={"begun": frozenset({"uid"})}), 2).job is None
    done = plan(before, seen(Action.REFRESH_PLANS, kept=told(did="ANALYZE shop.orders")), 3)
    assert only(done).phase is ActPhase.DONE
    assert [c.verb for c in done.commands] == [Verb.RECONNECT, Verb.RECONNECT]


def test_operator_that_ended_in_the_middle_does_not_renew_them_again() -> None:
    before = status(only(plan(status(), seen(Action.REFRESH_PLANS))))
    after = plan(before, seen(Action.REFRESH_PLANS), 2)
    assert (only(after).phase, after.job, after.commands) == (ActPhase.UNKNOWN, None, ())


def test_limit_holds_until_its_time_or_until_its_action_is_deleted() -> None:
    observed_ = seen(Action.LIMIT_CONNECTIONS, percent=30, seconds=60)
    act = only(plan(status(), observed_))
    assert (act.phase, act.subject, act.until) == (ActPhase.DONE, "6 server connections", at(61))
    assert limited(spec(), observed_, [act], at(60)) == 6
    assert limited(spec(), observed_, [act], at(61)) is None
    assert limited(spec(), replace(observed_, acts=()), [act], at(5)) is None


def test_limit_leaves_each_instance_a_connection() -> None:
    refused = only(plan(status(size=2), seen(Action.LIMIT_CONNECTIONS, percent=10)))
    assert refused.phase is ActPhase.REFUSED
    act = only(plan(status(size=20), seen(Action.LIMIT_CONNECTIONS, percent=1)))
    assert act.subject == "2 server connections"


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (server(running=(Running(9, at(-9)), Running(7, at(-8), 2, idle=True))), [7, 9]),
        (server(), []),
        (failure(), []),
        (None, [7]),
    ],
    ids=["running", "none", "lost", "not looked at"],
)
def test_what_runs_for_long_is_what_the_server_showed_last(found: Any, wanted: list[int]) -> None:
    told_ = statements(status(statements=[BLOCKING]), observed(found))
    assert [s.pid for s in told_] == wanted
