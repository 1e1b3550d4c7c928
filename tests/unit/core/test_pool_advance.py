"""Passes over a pool: conditions, events and commands, from first to last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionType as Type
from sophia_operator.api.conditions import Reason, find
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.pool.findings import Command, CommandResult, Fault, InsightsFinding, ServerRole, Verb
from sophia_operator.core.pool.views import Claim, FleetView, PoolObserved
from sophia_operator.core.views import Blocker, PodProblem
from tests.support.pool_scene import (
    HASH,
    NAMES,
    OLD_HASH,
    after,
    at,
    condition,
    console,
    failure,
    healthy,
    instance,
    look,
    looks,
    observed,
    pool,
    reasons,
    says,
    server,
    spec,
    step,
    through,
    well,
)


def test_a_new_pool_step_by_step() -> None:
    view = pool()
    first = step(view, observed(instances=(), fleet=None), 0, wanted=None)
    assert says(first.status, Type.READY) == ("False", "Progressing")
    assert says(first.status, Type.RECONCILING) == ("True", "Progressing")
    assert says(first.status, Type.HEALTHY) == ("Unknown", "NotChecked")
    assert (first.notices, first.status.score) == ((), None)
    view = after(view, first)
    second = step(view, observed(server(), {}, instances=(instance(ready=False),)), 1)
    assert says(second.status, Type.READY) == ("False", "InstancesNotReady")
    view = after(view, second)
    ready = step(view, well(2), 2)
    assert says(ready.status, Type.READY) == ("True", "PoolReady")
    assert find(ready.status.conditions, Type.RECONCILING) is None
    assert reasons(ready)[-1] == ("Normal", "PoolReady")
    again = step(after(view, ready), well(2), 3)
    assert (again.status, again.notices) == (ready.status, ())


def test_the_next_pass_comes_with_the_next_look() -> None:
    decision = step(healthy(), well(kept={"insights": (InsightsFinding(at(0)),)}), 2)
    assert decision.next == RequeueAfter(3.0)


FAULTS = [
    (Fault.HOST_UNKNOWN, "HostUnknown", "database.host", True),
    (Fault.AUTHENTICATION_FAILED, "AuthenticationFailed", "Secret db-user", True),
    (Fault.DATABASE_NOT_FOUND, "DatabaseNotFound", "no database orders", True),
    (Fault.TLS_REQUIRED, "TlsRequired", "sslMode to Require", True),
    (Fault.TLS_UNAVAILABLE, "TlsUnavailable", "sslMode to Prefer", True),
    (Fault.TLS_UNTRUSTED, "TlsUntrusted", "certificates", True),
    (Fault.TOO_MANY_CONNECTIONS, "TooManyConnections", "max_connections", False),
    (Fault.UNREACHABLE, "ServerUnreachable", "whether the server runs", False),
    (Fault.TIMEOUT, "ServerUnreachable", "network", False),
    (Fault.STARTING, "ServerUnreachable", "starting up", False),
    (Fault.OTHER, "ServerUnreachable", "db:5432", False),
]


@pytest.mark.parametrize(("fault", "reason", "remedy", "stalls"), FAULTS)
def test_a_new_pool_whose_server_does_not_answer(fault: Fault, reason: str, remedy: str, stalls: bool) -> None:
    seen = observed(failure(fault, "said so"), looks(0, through=None, through_at=None))
    decision = step(pool(), seen, 0)
    shown = condition(decision.status, Type.STALLED if stalls else Type.RECONCILING)
    assert (shown.reason, remedy in shown.message, "said so" in shown.message) == (reason, True, True)
    assert says(decision.status, Type.READY) == ("False", reason)
    assert says(decision.status, Type.HEALTHY) == ("False", reason)
    assert decision.status.reconnect is None
    assert reasons(decision) == [("Warning", reason)]
    assert step(after(pool(), decision), seen, 1).notices == ()


@pytest.mark.parametrize(("seconds", "stalls"), [(0, False), (59, False), (60, True)])
def test_a_mistake_is_one_only_when_it_holds(seconds: float, stalls: bool) -> None:
    lost = step(healthy(), observed(failure(Fault.HOST_UNKNOWN), looks(0)), 0)
    assert reasons(lost) == [("Warning", "ServerLost")]
    assert says(lost.status, Type.READY) == ("False", "ServerLost")
    later = step(after(healthy(), lost), observed(failure(Fault.HOST_UNKNOWN), looks(0), server_at=seconds), seconds)
    assert (find(later.status.conditions, Type.STALLED) is not None) is stalls
    assert reasons(later) == ([("Warning", "HostUnknown")] if stalls else [])


def test_a_server_that_is_full_is_no_reason_to_reconnect() -> None:
    decision = step(healthy(), observed(failure(Fault.TOO_MANY_CONNECTIONS), looks(0)), 0)
    assert (decision.status.reconnect, decision.status.server) == (None, healthy().status.server)
    assert says(decision.status, Type.RECONCILING) == ("True", "TooManyConnections")


def test_a_failover_tells_one_event_a_transition() -> None:
    view, told = healthy(), []
    passes: list[tuple[float, Any, Any]] = [
        (1.0, failure(), {}),
        (1.2, server("A0", ServerRole.STANDBY), {}),
        (2.0, server("B1"), {}),
        (2.2, server("B1"), {(n, "RECONNECT"): CommandResult(at(2.1)) for n in NAMES}),
        (2.4, server("B1"), {(n, "RECONNECT"): CommandResult(at(2.3)) for n in NAMES}),
    ]
    for seconds, found, kept in passes:
        marks = looks(seconds, through=through("B1")) if seconds > 2 else looks(0)
        decision = step(view, observed(found, marks, server_at=seconds, kept={"commands": kept}), seconds)
        told.append(reasons(decision))
        view = after(view, decision)
    assert told == [
        [("Warning", "ServerLost")],
        [("Warning", "WrongRole")],
        [],
        [],
        [("Normal", "Reconnected")],
    ]
    assert says(view.status, Type.READY) == ("True", "PoolReady")
    assert [(r.attempts, r.ended_at) for r in view.status.reconnects] == [(1, at(2.4))]
    assert view.status.server is not None
    assert (view.status.server.identity, view.status.server.identity_since) == ("B1", at(2))


def test_a_reconnect_that_waits_for_an_instance_says_for_which() -> None:
    view = after(healthy(), step(healthy(), observed(server("B1"), looks(0), server_at=1), 1))
    kept = {"commands": {(n, "RECONNECT"): CommandResult(at(1.1)) for n in NAMES}}
    marks = {**looks(2, through=through("B1")), NAMES[0]: look(2, console=failure(message="no route"))}
    waits = step(view, observed(server("B1"), marks, server_at=1, kept=kept), 2)
    assert says(waits.status, Type.RECONCILING) == ("True", "Reconnecting")
    assert f"{NAMES[0]}: its console does not answer: no route" in condition(waits.status, Type.RECONCILING).message


def test_only_the_newest_reconnects_are_kept() -> None:
    view = healthy()
    for index in range(12):
        lost = step(view, observed(failure(), looks(0), server_at=index), index)
        back = step(after(view, lost), observed(server(), looks(0), server_at=index + 0.1), index + 0.1)
        over = step(after(view, back), well(index + 0.2), index + 0.2)
        assert over.status.reconnect is None
        view = after(view, over)
    assert [r.started_at for r in view.status.reconnects] == [at(i) for i in range(2, 12)]


STALLS: list[tuple[dict[str, Any], str, str]] = [
    ({"blockers": (Blocker(Reason.SECRET_NOT_FOUND, "Secret db-user"),), "access": None}, "SecretNotFound", "db-user"),
    ({"blockers": (Blocker(Reason.NOT_OWNED, "Service orders-pool"),)}, "NotOwned", "the pool keeps what it has"),
    (
        {"fleet": FleetView(2, 2, 2, True, "i", PodProblem(Reason.CRASH_LOOP, "pod x: ended 3 times"))},
        "CrashLoop",
        "pod x: ended 3 times",
    ),
    ({"fleet": FleetView(2, 2, 2, True, "i", PodProblem(Reason.IMAGE_PULL_FAILED, "x"))}, "ImagePullFailed", "x"),
]


@pytest.mark.parametrize(("changes", "reason", "words"), STALLS)
def test_what_stalls_a_pool_that_serves(changes: dict[str, Any], reason: str, words: str) -> None:
    view, seen = healthy(), replace(well(), **changes)
    decision = step(view, seen, 1, wanted=None if seen.access is None else HASH)
    assert says(decision.status, Type.STALLED) == ("True", reason)
    assert words in condition(decision.status, Type.STALLED).message
    assert says(decision.status, Type.READY) == ("False", reason)
    assert says(decision.status, Type.HEALTHY) == ("True", "ChecksPassed")
    kept = ("size", "config_hash", "budget", "binding", "server")
    assert [getattr(decision.status, k) for k in kept] == [getattr(view.status, k) for k in kept]
    assert (reasons(decision), decision.commands) == ([("Warning", reason)], ())
    assert step(after(view, decision), seen, 2, wanted=None).notices == ()


GOING: list[tuple[dict[str, Any], str, str]] = [
    ({"fleet": FleetView(2, 3, 2, True, "i", rolling=True)}, "ReplacingInstances", "True"),
    ({"fleet": FleetView(2, 2, 1, True, "i", PodProblem(Reason.NOT_READY, "x"))}, "InstancesNotReady", "False"),
    ({"fleet": FleetView(2, 3, 2, True, "i")}, "Progressing", "False"),
]


@pytest.mark.parametrize(("changes", "reason", "ready"), GOING)
def test_what_is_under_way(changes: dict[str, Any], reason: str, ready: str) -> None:
    decision = step(healthy(), replace(well(), **changes), 1)
    assert says(decision.status, Type.RECONCILING) == ("True", reason)
    assert says(decision.status, Type.READY)[0] == ready


def test_a_pool_over_budget_says_who_holds_the_rest_once() -> None:
    claims = (Claim("shop", "billing", "b", 75),)
    view = healthy()
    decision = step(view, replace(well(), claims=claims), 1)
    assert says(decision.status, Type.WITHIN_BUDGET) == ("False", "OverBudget")
    assert "shop/billing holds 75" in condition(decision.status, Type.WITHIN_BUDGET).message
    assert says(decision.status, Type.READY)[0] == "True"
    assert (decision.status.size, reasons(decision)) == (view.status.size, [("Warning", "OverBudget")])
    view = after(view, decision)
    assert step(view, replace(well(), claims=claims), 2).notices == ()
    assert reasons(step(view, well(), 2)) == [("Normal", "BudgetKept")]


def test_instances_with_an_old_configuration_are_told_to_reload() -> None:
    view, old = healthy(), console(config_hash=OLD_HASH)

    def seen(mark_at: float, **commands: CommandResult) -> PoolObserved:
        there = (instance(), instance(NAMES[1], poked=OLD_HASH))
        kept = {"commands": {(NAMES[0], verb): result for verb, result in commands.items()}}
        return observed(server(), looks(mark_at, 0, console=old), instances=there, kept=kept)

    first = step(view, seen(1), 1)
    assert first.commands == (Command(NAMES[0], Verb.RELOAD),)
    assert says(first.status, Type.CONFIG_APPLIED) == ("False", "ConfigPending")
    assert says(first.status, Type.READY) == ("True", "PoolReady")
    assert step(view, seen(1, RELOAD=CommandResult(at(1.1))), 3).commands == ()  # looked at first
    assert step(view, seen(1.5, RELOAD=CommandResult(at(1.1))), 1.6).commands == ()  # within a second
    assert step(view, seen(2, RELOAD=CommandResult(at(1.1))), 2.1).commands == first.commands
    assert step(view, seen(1, RELOAD=CommandResult(at(1.1), failure())), 2.1).commands == first.commands


def test_an_instance_that_was_left_in_a_hurry_is_told_to_reload() -> None:
    """A RECONNECT that was interrupted leaves a short time limit for logging in behind."""
    limit = str(spec().connect_timeout_seconds)
    hurried, fine = ({"server_connect_timeout": value} for value in ("1", limit))
    seen = observed(server(), {NAMES[0]: look(1, console=console(settings=hurried)), NAMES[1]: look(1)})
    assert step(healthy(), seen, 1).commands == (Command(NAMES[0], Verb.RELOAD),)
    assert step(healthy(), observed(server(), looks(1, console=console(settings=fine))), 1).commands == ()


def test_a_pause_from_first_to_last() -> None:
    view, paused = healthy(spec(paused=True)), looks(1, console=console(paused=True))
    view = replace(view, status=view.status.model_copy(update={"pause": None}))
    begun = step(view, well(), 0)
    assert begun.commands == tuple(Command(name, Verb.PAUSE) for name in NAMES)
    assert says(begun.status, Type.PAUSED) == ("True", "PausedBySpec")
    over = step(after(view, begun), observed(server(), paused), 120)
    assert over.commands == tuple(Command(name, Verb.RESUME) for name in NAMES)
    assert says(over.status, Type.PAUSED) == ("False", "ResumedByTimeout")
    assert reasons(over) == [("Warning", "ResumedByTimeout")]
    ended = step(after(view, over, spec()), well(121), 121)
    assert find(ended.status.conditions, Type.PAUSED) is None


def test_a_pool_scaled_to_zero() -> None:
    wish = spec(instances=0)
    decision = step(pool(wish), observed(server(), {}, instances=(), fleet=FleetView(0, 0, 0, True, "i")), 0)
    assert says(decision.status, Type.READY) == ("True", "ScaledToZero")
    assert (decision.status.ready, decision.status.budget and decision.status.budget.granted) == ("0/0", 2)


def test_an_operator_that_starts_anew_knows_no_worse() -> None:
    view = healthy()
    decision = step(view, observed(), 60)
    assert (decision.status, decision.notices) == (view.status, ())


def test_a_bigger_size_is_told() -> None:
    view = healthy()
    sized = view.status.autosize
    assert sized is not None
    grown = replace(view, status=view.status.model_copy(update={"autosize": sized.model_copy(update={"size": 9})}))
    decision = step(grown, well(), 1)
    assert (decision.status.size, reasons(decision)) == (8, [("Normal", "Resized")])
