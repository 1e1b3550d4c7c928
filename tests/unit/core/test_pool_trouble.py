"""Trouble that is easily taken for other trouble: full is not dead, old configurations are not old servers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionType as Type
from sophia_operator.api.connection_pool_status import PastReconnect, ReconnectPhase, ReconnectStatus
from sophia_operator.core.pool import roles
from sophia_operator.core.pool.findings import Command, Fault, InsightsFinding, ServerRole, Verb
from sophia_operator.core.pool.needs import needs
from sophia_operator.core.pool.reconnect import plan
from sophia_operator.core.pool.triggers import cause_of
from tests.support.pool_scene import (
    HASH,
    NAMES,
    OLD_HASH,
    SERVER_ADDRESS,
    after,
    at,
    connection,
    console,
    failure,
    healthy,
    instance,
    known,
    look,
    looks,
    observed,
    pool,
    says,
    server,
    spec,
    step,
    through,
    told,
    well,
)

FULL = failure(Fault.TOO_MANY_CONNECTIONS, "no more connections allowed (max_client_conn)")
ONE = (instance(),)


def test_an_instance_that_takes_no_more_clients_serves_those_that_it_has() -> None:
    decision = step(healthy(), observed(server(), looks(1, through=FULL), server_at=1), 1)
    assert says(decision.status, Type.HEALTHY) == ("False", "TooManyConnections")
    assert says(decision.status, Type.READY) == ("True", "PoolReady")
    assert decision.status.reconnect is None


def test_a_server_without_a_connection_left_for_the_operator_serves_those_that_it_has() -> None:
    decision = step(healthy(), observed(FULL, looks(1), server_at=1), 1)
    assert says(decision.status, Type.HEALTHY) == ("False", "TooManyConnections")
    assert says(decision.status, Type.READY)[0] == "True"
    assert decision.status.reconnect is None
    new = step(pool(), observed(FULL, looks(1), server_at=1), 1)
    assert says(new.status, Type.READY)[0] == "False"


@pytest.mark.parametrize("fault", [Fault.AUTHENTICATION_FAILED, Fault.TIMEOUT])
def test_a_standby_behind_an_instance_counts_though_the_operator_reaches_no_server(fault: Fault) -> None:
    """As with a wrong password in the Secret: the pool must not stay with a demoted primary unnoticed."""
    held = looks(1, through=through(role=ServerRole.STANDBY))
    decision = step(healthy(), observed(failure(fault), held, server_at=1), 1)
    assert says(decision.status, Type.ROLE_CORRECT) == ("False", "WrongRole")
    unknown = step(healthy(), observed(failure(fault), looks(1), server_at=1), 1)
    assert says(unknown.status, Type.ROLE_CORRECT)[0] == "Unknown"


def test_an_instance_that_knows_of_a_wrong_role_first_makes_the_pool_unhealthy() -> None:
    """The server is looked at next; until then, conditions do not contradict each other."""
    held = looks(1, through=through(role=ServerRole.READ_ONLY_PRIMARY))
    decision = step(healthy(), observed(server(), held, server_at=0), 1)
    for kind in (Type.ROLE_CORRECT, Type.HEALTHY, Type.READY):
        assert says(decision.status, kind) == ("False", "WrongRole"), kind


def test_the_score_of_a_pool_whose_server_is_gone() -> None:
    begun = step(healthy(), observed(failure(), looks(0), server_at=1), 1)
    parts = {p.name: p.points for p in begun.status.score_parts}
    assert (parts["role"], parts["instances"], parts["latency"]) == (0, 0, 0)
    assert begun.status.score == sum(parts.values())


def looking(seconds: float) -> ReconnectStatus:
    """The server is back as it was, and each instance is looked through."""
    return ReconnectStatus(
        phase=ReconnectPhase.VERIFYING, cause="x", started_at=at(0), server_at=at(1), next_at=at(seconds), identity="A1"
    )


@pytest.mark.parametrize(("config", "commands"), [(OLD_HASH, ()), (HASH, (Command(NAMES[0], Verb.RECONNECT),))])
def test_an_instance_with_an_old_password_keeps_its_connections(config: str, commands: tuple[Command, ...]) -> None:
    refused = look(2, through=failure(Fault.AUTHENTICATION_FAILED), console=console(config_hash=config))
    seen = observed(server(), {NAMES[0]: refused}, server_at=1, instances=ONE)
    status = pool(server=known(), config_hash=HASH, reconnect=looking(6)).status
    for seconds in (2.0, 60.0):
        assert plan(status, spec(), seen, at(seconds), 0.5).commands == commands


def test_an_instance_that_still_knew_the_old_address_is_told_again_within_the_try() -> None:
    told_once = ReconnectStatus(
        phase=ReconnectPhase.VERIFYING, cause="x", started_at=at(0), server_at=at(1), told_at=at(1), next_at=at(6)
    )
    status = pool(server=known("B1"), config_hash=HASH, reconnect=told_once).status
    wrong = observed(
        server("B1"), {NAMES[0]: look(1.5)}, server_at=1, instances=ONE, kept={"commands": told(RECONNECT=1)}
    )
    assert plan(status, spec(), wrong, at(1.9), 0.5).commands == ()
    step_ = plan(status, spec(), wrong, at(2), 0.5)
    assert step_.commands == (Command(NAMES[0], Verb.RECONNECT),)
    assert step_.status is not None
    assert (step_.status.attempt, step_.status.next_at) == (1, at(6))


def _ended(cause: str) -> PastReconnect:
    return PastReconnect(cause=cause, started_at=at(0), ended_at=at(1), attempts=1)


@pytest.mark.parametrize(
    ("cause", "seconds", "again"),
    [("the server did not answer", 500, False), ("the server did not answer", 700, True)]
    + [(f"instance x: {roles.ELSEWHERE} 10.1.0.1", s, a) for s, a in [(700, False), (80_000, False), (90_000, True)]],
)
def test_a_name_of_several_addresses_is_not_reconnected_over_and_over(cause: str, seconds: float, again: bool) -> None:
    both = console(connections=(connection(5), connection(5, address="10.9.9.9")))
    seen = observed(server(address=SERVER_ADDRESS), looks(seconds, console=both), server_at=seconds)
    status = pool(server=known(), reconnects=[_ended(cause)]).status
    assert (cause_of(status, spec(), seen, at(seconds)) is not None) is again


@pytest.mark.parametrize(("waited", "due"), [(4.9, False), (5.0, True)])
def test_clients_that_wait_for_long_make_everything_be_looked_at(waited: float, due: bool) -> None:
    """The server's connections may hang, and nothing else would tell before the interval is over."""
    shown = console(clients_waiting=3, longest_wait_seconds=waited)
    view = pool(server=known(), config_hash=HASH)
    kept: dict[str, Any] = {"insights": (InsightsFinding(at(0)),)}
    found = needs(view, observed(server(), looks(10, 0, console=shown), kept=kept), at(10))
    assert (found.server, found.instances) == (due, dict.fromkeys(NAMES, True) if due else {})
    paused = replace(shown, paused=True)
    assert not needs(view, observed(server(), looks(10, 0, console=paused), kept=kept), at(10)).server


def test_slowness_that_is_over_is_not_told_for_an_hour() -> None:
    def with_latencies(*values: float) -> Any:
        return replace(well(400), kept=replace(well(400).kept, query_ms=values))

    slow = step(healthy(), with_latencies(*(300.0,) * 80), 400)
    assert says(slow.status, Type.HEALTHY) == ("False", "Slow")
    over = step(after(healthy(), slow), with_latencies(*(300.0,) * 80, *(2.0,) * 20), 401)
    assert says(over.status, Type.HEALTHY) == ("True", "ChecksPassed")
