"""What is wrong with a pool, from its status alone."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.recovery_values import Symptom
from tests.support.symptom_scene import look, pool, said

LOST = Symptom.CONNECTION_LOST
SLOW = Symptom.SLOW_QUERIES
WELL = (said("Healthy", "True", "ChecksPassed"), said("RoleCorrect", "True", "RoleVerified"))
RECONNECT = {
    "phase": "Waiting",
    "cause": "the server did not answer",
    "startedAt": "2026-03-01T11:59:30Z",
}
PAUSE = {"since": "2026-03-01T11:59:00Z", "until": "2026-03-01T12:10:00Z"}


def member(name: str, *, correct: bool | None = True, ready: bool = True, **more: Any) -> dict[str, Any]:
    return {"name": name, "ready": ready, "roleCorrect": correct, **more}


def unwell(reason: str) -> dict[str, Any]:
    return said("Healthy", "False", reason)


def test_a_pool_that_is_well_has_lost_nothing() -> None:
    assert look(pool(*WELL), LOST).present is False


@pytest.mark.parametrize("reason", ["ServerLost", "ServerUnreachable", "AwaitingServer", "HostUnknown", "WrongRole"])
def test_no_server_of_the_role_is_a_lost_connection(reason: str) -> None:
    sign = look(pool(unwell(reason), members=[member("db-0")]), LOST)
    assert (sign.present, sign.value, sign.message) == (True, 100.0, f"it is {reason}")


def test_an_instance_that_leads_elsewhere_is_a_part_of_that() -> None:
    members = [member("db-0"), member("db-1", correct=False), member("db-2"), member("db-3", correct=None)]
    sign = look(pool(said("RoleCorrect", "False", "WrongRole"), members=members), LOST)
    assert (sign.present, sign.value) == (True, 50.0)


def test_a_reconnect_that_goes_on_is_one_whatever_is_verified_already() -> None:
    members = [member("db-0"), member("db-1", correct=False)]
    going = pool(unwell("Reconnecting"), WELL[1], reconnect=RECONNECT, members=members)
    sign = look(going, LOST)
    assert (sign.present, sign.value) == (True, 50.0)
    assert "goes on since 11:59:30 UTC" in sign.message
    lost = look(pool(unwell("ServerLost"), reconnect=RECONNECT, members=members), LOST)
    assert (lost.present, lost.value) == (True, 100.0)


@pytest.mark.parametrize("reason", ["AuthenticationFailed", "DatabaseNotFound", "TlsUntrusted", "SecretNotFound"])
def test_what_only_a_person_can_mend_hides_the_server(reason: str) -> None:
    assert look(pool(unwell(reason)), LOST).present is None
    # Once a reconnect waits for it, only the stall says what it waits for.
    stalled = pool(unwell("ServerLost"), said("Stalled", "True", reason), reconnect=RECONNECT)
    assert look(stalled, LOST).present is None
    # What instances hold is seen all the same.
    wrong = pool(unwell(reason), said("RoleCorrect", "False", "WrongRole"))
    assert look(wrong, LOST).present is True


def test_a_pause_that_its_user_asked_for_is_no_loss() -> None:
    assert look(pool(unwell("ServerLost"), pause=PAUSE), LOST).present is None
    assert look(pool(unwell("ServerLost"), pause={**PAUSE, "over": True}), LOST).present is True


@pytest.mark.parametrize("reason", ["Slow", "ClientsWaiting", "TooManyConnections", "ReplicationLag"])
def test_a_server_that_is_reached_is_not_lost(reason: str) -> None:
    assert look(pool(unwell(reason), WELL[1]), LOST).present is False


@pytest.mark.parametrize("reason", ["InstanceUnreachable", "InstancesNotReady"])
def test_instances_that_are_silent_count_when_all_are(reason: str) -> None:
    dead, silent = member("db-0", ready=False), member("db-1", message="its console does not answer")
    every = look(pool(unwell(reason), members=[dead, silent]), LOST)
    assert (every.present, every.value) == (True, 100.0)
    assert look(pool(unwell(reason), members=[dead, member("db-1")]), LOST).present is False


def test_what_is_said_of_an_older_spec_does_not_count() -> None:
    assert look(pool(said("Healthy", "False", "ServerLost", generation=2)), LOST).present is None
    assert look(pool(said("Healthy", "Unknown", "NotChecked")), LOST).present is None


def lagging(seconds: int | None, reason: str = "ReplicationLag", role: str = "ReadOnly") -> Any:
    server: dict[str, Any] = {} if seconds is None else {"server": {"replicationLagSeconds": seconds}}
    check = {"maxReplicationLagSeconds": 20}
    return pool(unwell(reason), spec={"role": role, "healthCheck": check}, **server)


def test_a_standby_that_trails_behind() -> None:
    sign = look(lagging(45), Symptom.REPLICATION_LAG)
    assert (sign.present, sign.value) == (True, 45.0)
    # The condition stays for a while; the figure knows better.
    assert look(lagging(3), Symptom.REPLICATION_LAG).present is False
    assert look(lagging(None), Symptom.REPLICATION_LAG).present is True
    assert look(lagging(45, "Slow"), Symptom.REPLICATION_LAG).present is False
    assert look(pool(*WELL, spec={"role": "ReadOnly"}), Symptom.REPLICATION_LAG).present is False
    primary = pool(unwell("ServerLost"))
    assert look(primary, Symptom.REPLICATION_LAG).present is False


@pytest.mark.parametrize("reason", ["ServerLost", "Reconnecting", "AuthenticationFailed", "TooManyConnections"])
def test_a_standby_that_is_not_seen_may_trail_behind_or_not(reason: str) -> None:
    assert look(lagging(45, reason), Symptom.REPLICATION_LAG).present is None


def test_a_pool_over_its_budget() -> None:
    over = said("WithinBudget", "False", "OverBudget")
    sign = look(pool(over, budget={"wanted": 80, "granted": 40, "available": 40}), Symptom.BUDGET_EXCEEDED)
    assert (sign.present, sign.value) == (True, 40.0)
    assert look(pool(over), Symptom.BUDGET_EXCEEDED).value is None
    within = pool(said("WithinBudget", "True", "BudgetKept"))
    assert look(within, Symptom.BUDGET_EXCEEDED).present is False
    older = pool(said("WithinBudget", "False", "OverBudget", generation=2))
    assert look(older, Symptom.BUDGET_EXCEEDED).present is None


def runs(pid: int, since: str, blocks: int = 0) -> dict[str, Any]:
    return {"pid": pid, "since": f"2026-03-01T{since}Z", "blocks": blocks}


def test_a_statement_that_takes_too_long() -> None:
    running = [runs(7, "11:59:10"), runs(8, "11:59:20", blocks=3), runs(9, "11:59:55", blocks=9)]
    sign = look(pool(*WELL, statements=running), SLOW)
    assert (sign.present, sign.value) == (True, 50.0)
    words = "process 8 runs a statement since 11:59:20 UTC and blocks 3 others"
    assert sign.message == f"{words}; 2 statements in all take too long"
    assert look(pool(*WELL, statements=running), SLOW, thresholdSeconds=51).present is False
    half_a_minute = pool(*WELL, statements=[runs(1, "11:59:30")])
    assert look(half_a_minute, SLOW).present is True
    assert look(half_a_minute, SLOW, seconds=-1).present is False
    assert look(pool(*WELL), SLOW).present is False


def test_of_a_server_that_is_not_seen_nobody_knows_what_runs() -> None:
    running = [runs(7, "11:59:10")]
    assert look(pool(unwell("ServerLost"), statements=running), SLOW).present is None
    assert look(pool(unwell("AuthenticationFailed"), statements=running), SLOW).present is None
    assert look(pool(unwell("ClientsWaiting"), statements=running), SLOW).present is True
    assert look(pool(statements=running), SLOW).present is None
