"""What is said of the health of a pool, and when it is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sophia_operator.api.conditions import ConditionType as Type
from sophia_operator.api.conditions import Reason
from sophia_operator.core.pool.findings import ServerRole
from sophia_operator.core.pool.views import FleetView, PoolObserved
from sophia_operator.core.views import PodProblem
from tests.support.pool_scene import (
    after,
    condition,
    console,
    failure,
    healthy,
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
    with_first,
)

UNHEALTHY = [
    (with_first(look(1, console=failure())), "InstanceUnreachable", "False"),
    (with_first(look(1, through=failure())), "InstanceUnreachable", "False"),
    (with_first(look(1, console=console(clients_waiting=1, longest_wait_seconds=5.0))), "ClientsWaiting", "True"),
    (replace(well(1), kept=replace(well(1).kept, query_ms=(150.0,) * 20)), "Slow", "True"),
]


@pytest.mark.parametrize(("seen", "reason", "ready"), UNHEALTHY)
def test_what_is_not_healthy(seen: PoolObserved, reason: str, ready: str) -> None:
    view = healthy()
    decision = step(view, seen, 1)
    assert says(decision.status, Type.HEALTHY) == ("False", reason)
    assert says(decision.status, Type.READY)[0] == ready
    assert reasons(decision) == [("Warning", reason)]
    fine = replace(well(400), kept=replace(well(400).kept, query_ms=(1.0,) * 20))
    mended = step(after(view, decision), fine, 400)
    assert says(mended.status, Type.HEALTHY) == ("True", "ChecksPassed")
    assert [kind for kind, _ in reasons(mended)] == ["Normal"]


def test_slow_ends_well_below_the_threshold() -> None:
    view = healthy()
    for ms, reason in [(120, "Slow"), (95, "Slow"), (70, "ChecksPassed"), (90, "ChecksPassed"), (120, "Slow")]:
        seen = replace(well(1), kept=replace(well(1).kept, query_ms=(float(ms),) * 20))
        view = after(view, step(view, seen, 1))
        assert says(view.status, Type.HEALTHY)[1] == reason, ms


def test_a_standby_that_trails_behind_and_one_that_was_promoted() -> None:
    wish = spec(role="ReadOnly")
    standby = {"role": ServerRole.STANDBY}
    marks = looks(0, through=through(role=ServerRole.STANDBY))
    fine = step(pool(wish), observed(server(lag_seconds=1.0, **standby), marks), 0)
    assert says(fine.status, Type.READY) == ("True", "PoolReady")
    behind = step(after(pool(wish), fine), observed(server(lag_seconds=31.0, **standby), marks), 1)
    assert says(behind.status, Type.HEALTHY) == ("False", "ReplicationLag")
    assert behind.status.reconnect is None
    assert behind.status.score is not None
    assert fine.status.score is not None
    assert fine.status.score - behind.status.score == 20
    promoted = step(after(pool(wish), fine), observed(server(), marks), 1)
    assert says(promoted.status, Type.ROLE_CORRECT) == ("False", "WrongRole")
    assert promoted.status.reconnect is not None


def test_a_pool_that_loses_all_instances_is_not_healthy() -> None:
    problem = PodProblem(Reason.NOT_READY, "no node has room")
    gone = observed(server(), {}, instances=(), fleet=FleetView(2, 0, 0, True, "i", problem))
    decision = step(healthy(), gone, 1)
    assert says(decision.status, Type.HEALTHY) == ("False", "InstancesNotReady")
    assert "no node has room" in condition(decision.status, Type.HEALTHY).message
    assert says(decision.status, Type.READY) == ("False", "InstancesNotReady")


def test_clients_that_wait_for_a_moment_are_no_trouble() -> None:
    moment = with_first(look(1, console=console(clients_waiting=1, longest_wait_seconds=4.9)))
    assert says(step(healthy(), moment, 1).status, Type.HEALTHY) == ("True", "ChecksPassed")
