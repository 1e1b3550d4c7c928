"""What is right by role."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.connection_pool_status import ConnectionPoolStatus, PastReconnect, ServerStatus
from sophia_operator.core.pool import roles
from sophia_operator.core.pool.findings import Fault, ServerRole
from sophia_operator.core.pool.triggers import cause_of
from tests.support.pool_scene import (
    NAMES,
    at,
    connection,
    console,
    failure,
    known,
    look,
    looks,
    observed,
    server,
    spec,
    through,
)

PRIMARY, READ_ONLY, STANDBY = ServerRole.PRIMARY, ServerRole.READ_ONLY_PRIMARY, ServerRole.STANDBY


@pytest.mark.parametrize(
    ("wish", "role", "lag", "reason"),
    [
        ("ReadWrite", PRIMARY, None, None),
        ("ReadWrite", STANDBY, 0.0, "WrongRole"),
        ("ReadWrite", READ_ONLY, None, "WrongRole"),
        ("ReadOnly", STANDBY, 30.0, None),
        ("ReadOnly", STANDBY, None, None),
        ("ReadOnly", STANDBY, 30.1, "ReplicationLag"),
        ("ReadOnly", PRIMARY, None, "WrongRole"),
        ("ReadOnly", READ_ONLY, None, "WrongRole"),
    ],
)
def test_what_a_server_must_be(wish: str, role: ServerRole, lag: float | None, reason: str | None) -> None:
    fault = roles.server_fault(spec(role=wish), server(role=role, lag_seconds=lag))
    assert (fault[0].value if fault is not None else None) == reason
    assert fault is None or "db:5432" in fault[1]


KNOWN = ServerStatus(identity="A1", identity_since=at(-100), role="Primary")
ENDED = PastReconnect(cause="x", started_at=at(-60), ended_at=at(-50), attempts=1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"through": through(role=STANDBY)}, "is a standby"),
        ({"through": through("B1")}, "another server"),
        ({"through": failure()}, None),
        ({"console": failure()}, None),
        ({"console": console(connections=(connection(-99),))}, None),
        ({"console": console(connections=(connection(-101.9),))}, None),  # clocks differ
        ({"console": console(connections=(connection(-103),))}, "before the server became another"),
        ({"console": console(connections=(connection(-103, closing=True),))}, None),
        ({"console": console(connections=(connection(-9), connection(-9, address="10.9.9.9")))}, "another address"),
        # behind a Service an instance sees the Service's address only
        ({"console": console(connections=(connection(-9, address="10.9.9.9"),))}, None),
    ],
)
def test_what_an_instance_must_hold(changes: dict[str, Any], says: str | None) -> None:
    seen = observed(server(), {**looks(0), NAMES[0]: look(0, **changes)}, server_at=0)
    cause = cause_of(ConnectionPoolStatus(server=KNOWN), spec(), seen, at(0))
    assert (cause is None) is (says is None)
    assert cause is None or (says or "") in cause.message


def test_any_standby_will_do_for_readers() -> None:
    standby = {"role": STANDBY}
    seen = observed(server("B1", **standby), looks(0, through=through("C1", STANDBY)))
    assert cause_of(ConnectionPoolStatus(server=KNOWN), spec(role="ReadOnly"), seen, at(0)) is None


def test_addresses_alone_start_no_second_reconnect_soon() -> None:
    two = console(connections=(connection(-9), connection(-9, address="10.9.9.9")))
    seen, status = observed(server(), looks(0, console=two)), ConnectionPoolStatus(server=KNOWN, reconnects=[ENDED])
    assert cause_of(status, spec(), seen, at(0)) is None
    assert cause_of(status, spec(), seen, at(551)) is not None


def test_looks_from_before_start_nothing() -> None:
    wrong = looks(-51, through=through("B1"))
    status = ConnectionPoolStatus(server=known(), reconnects=[ENDED])
    assert cause_of(status, spec(), observed(server(), wrong), at(0)) is None
    newer = {**looks(0), NAMES[0]: look(1, through=through("B1"))}
    assert cause_of(status, spec(), observed(server(), newer), at(1)) is None  # the server is looked at first
    assert cause_of(status, spec(), observed(server(), newer, server_at=1), at(1)) is not None


@pytest.mark.parametrize(
    ("fault", "starts"),
    [(f, f is not Fault.TOO_MANY_CONNECTIONS) for f in Fault],
)
def test_a_server_that_does_not_answer(fault: Fault, starts: bool) -> None:
    seen = observed(failure(fault), looks(0))
    cause = cause_of(ConnectionPoolStatus(server=known()), spec(), seen, at(0))
    assert (cause is not None and cause.reason.value == "ServerLost") is starts
    assert cause_of(ConnectionPoolStatus(), spec(), seen, at(0)) is None  # it never answered
