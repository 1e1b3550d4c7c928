"""The pool in the demo: it comes up beside the service, outlives its primary, and loses nothing that it could keep."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import psycopg
import pytest

from hack.demo.__main__ import main
from hack.rig.transactions import Outcome
from hack.rig.waiting import until
from tests.support import objects
from tests.unit.demo.fake_orders import RECORDS, done, pool
from tests.unit.demo.fakes import FakeCluster
from tests.unit.demo.test_demo import QUICK, figures, raising

SECONDS = 20.0
NOT_READY = objects.condition("Ready", "False", "WrongRole", "the server takes no writes")


def pool_figures() -> dict[str, Any]:
    found: dict[str, Any] = figures()["pool"]
    return found


def text_of(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_pool_and_service_come_up_at_the_same_time(cluster: FakeCluster) -> None:
    """Each waits for the other to have begun."""
    service, database = threading.Event(), threading.Event()
    met: list[bool] = []

    def service_begins() -> None:
        service.set()
        met.append(database.wait(SECONDS))

    def database_begins() -> None:
        database.set()
        met.append(service.wait(SECONDS))

    cluster.api.before[1], cluster.rig.coming = service_begins, database_begins
    assert main(QUICK) == 0
    assert met == [True, True]


def test_clients_use_the_pool_before_the_changes_and_until_the_end(cluster: FakeCluster) -> None:
    cluster.api.before[2] = lambda: cluster.rig.done.append("good change")
    assert main(QUICK) == 0
    assert cluster.rig.done == [
        *("reachable", "database up", "apply", "standby up", "ready", "table", "start clients"),
        *("good change", "fail over", "ready", "stop clients", "ask clients to stop"),
    ]


def test_what_happens_is_said_line_by_line(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    cluster.rig.pool = pool(
        objects.condition("Ready", "True", "PoolReady", "clients are served"),
        reconnect={"phase": "Verifying", "cause": "the server was lost", "startedAt": objects.ago(3)},
    )
    cluster.rig.failing = lambda: setattr(cluster.api, "pool", pool())
    assert main(QUICK) == 0
    said = text_of(capsys)
    assert "The primary dies" in said
    for line in (
        "pool orders Verifying: the server was lost",
        "pg-0, the primary, is killed",
        "the pool noticed, after 0.5 s",
        "pg-1, the standby, was promoted",
        "pool orders PoolReady: clients are served by 192.0.2.7, Primary",
        "transactions committed through the pool │ 30",
        "from the promotion to the first write through every instance │ 1.5 s",
        "from the promotion until every instance was verified │ 2.5 s",
    ):
        assert line in said


def test_a_pool_that_is_not_ready_at_the_end_is_a_failure(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.rig.pool = pool(NOT_READY)
    assert main(QUICK) == 1
    assert pool_figures()["ready"] is False
    assert "WrongRole: the server takes no writes" in text_of(capsys)


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.REFUSED])
@pytest.mark.parametrize("at", [-10.0, 50.0])
def test_what_fails_outside_the_failover_is_a_failure(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], at: float, outcome: Outcome
) -> None:
    cluster.rig.records = (*RECORDS, done(at, outcome, error="57P01 it went away"))
    assert main(QUICK) == 1
    assert (pool_figures()["lost"], pool_figures()["lostInFailover"]) == (1, 0)
    assert f"LOST: {outcome}: 57P01 it went away" in text_of(capsys)


def test_what_dies_with_the_primary_is_counted_apart(cluster: FakeCluster) -> None:
    cluster.rig.records = (*RECORDS, done(0.0, Outcome.LOST), done(1.0, Outcome.REFUSED), done(2.0, Outcome.TOLD))
    assert main(QUICK) == 0
    found = pool_figures()
    assert (found["lost"], found["lostInFailover"], found["refusedInFailover"]) == (0, 1, 1)


def test_a_committed_row_that_is_gone_is_a_failure(cluster: FakeCluster) -> None:
    cluster.rig.gone = {RECORDS[3].key}
    assert main(QUICK) == 1
    assert pool_figures()["lost"] == 1


def test_clients_that_committed_nothing_prove_nothing(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.rig.records = ()
    monkeypatch.setattr("hack.demo.orders.CLIENTS", 0)
    assert main(QUICK) == 1
    assert (pool_figures()["committed"], pool_figures()["lost"]) == (0, 0)


def test_a_pool_that_does_not_come_up_is_a_failure_in_words(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.rig.coming = raising(TimeoutError("waited 60 s for pg-0 to take connections"))
    assert main(QUICK) == 1
    assert figures()["failure"] == "waited 60 s for pg-0 to take connections"
    assert (pool_figures()["committed"], pool_figures()["ready"]) == (None, False)
    told = capsys.readouterr()
    assert "error: waited 60 s for pg-0 to take connections\n" in told.err
    assert cluster.api.done[-1] == "down"


def test_a_failover_that_does_not_end_is_a_failure_with_what_is_known(cluster: FakeCluster) -> None:
    cluster.rig.records = (*RECORDS, done(-10.0, Outcome.LOST), done(30.0, Outcome.LOST))
    cluster.rig.failing = raising(TimeoutError("waited 20 s for orders to begin a reconnect"))
    assert main(QUICK) == 1
    assert figures()["failure"] == "waited 20 s for orders to begin a reconnect"
    assert (figures()["promoted"], figures()["rolledBack"]) == (True, True)
    found = pool_figures()
    # Nobody knows when it would have ended, so all that came after it is its own.
    assert (found["lost"], found["lostInFailover"], found["firstWriteSeconds"]) == (1, 1, None)


def test_rows_that_cannot_be_looked_at_are_a_failure_in_words(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hack.demo.orders.rows_of", raising_with(psycopg.OperationalError("the server is away")))
    assert main(QUICK) == 1
    assert figures()["failure"] == "the server is away"
    assert "error: the server is away\n" in capsys.readouterr().err


def raising_with(error: Exception) -> Any:
    def act(*_: object) -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("which", "why", "first"),
    [
        ("no_pods", "this machine has no way to pods (10.0.0.7:8080: timed out)", "not reachable"),
        ("no_service", "this machine has no way to Services (10.0.0.9:5432: timed out)", "reachable"),
    ],
)
def test_where_pods_cannot_be_reached_the_pool_comes_up_and_the_rest_is_left_out(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], which: str, why: str, first: str
) -> None:
    setattr(cluster.rig, which, why)
    assert main(QUICK) == 0
    assert cluster.rig.done == [first, "database up", "apply", "standby up", "ready"]
    found = pool_figures()
    assert (found["skipped"], found["ready"], found["score"]) == (why, True, 97)
    assert (found["committed"], found["lost"], found["firstWriteSeconds"]) == (None, None, None)
    assert f"Left out, as nobody could see it: {why}." in text_of(capsys)


def test_a_pool_that_nobody_can_use_from_here_must_be_ready_all_the_same(cluster: FakeCluster) -> None:
    cluster.rig.no_pods, cluster.rig.pool = "no way", pool(NOT_READY)
    assert main(QUICK) == 1


def test_an_interrupt_during_the_failover_waits_for_no_client(cluster: FakeCluster) -> None:
    never = threading.Event()

    def failing() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        never.wait(SECONDS)

    cluster.rig.failing = failing
    try:
        assert main(QUICK) == 130
    finally:
        never.set()
    assert "stop clients" not in cluster.rig.done
    assert cluster.rig.done[-1] == "ask clients to stop"
    assert cluster.api.done[-1] == "down"
    assert (figures()["failure"], pool_figures()["committed"]) == ("interrupted", 30)


def test_a_pool_that_is_late_gets_no_clients(cluster: FakeCluster) -> None:
    over = threading.Event()
    cluster.rig.coming = lambda: over.wait(SECONDS)
    cluster.api.before[1] = raising(KeyboardInterrupt())
    assert main(QUICK) == 130
    assert cluster.api.done[-1] == "down"
    over.set()
    wait_for_the_rest()
    assert cluster.rig.done[-1] == "ready"


def test_clients_that_begin_when_all_is_over_end_at_once(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, over = threading.Event(), threading.Event()
    cluster.reachable, cluster.rig.coming = begun.set, lambda: begun.wait(SECONDS)

    def make_table(_connection: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        over.wait(SECONDS)

    monkeypatch.setattr("hack.demo.orders.prepare", make_table)
    assert main(QUICK) == 130
    over.set()
    wait_for_the_rest()
    assert cluster.rig.done[-2:] == ["start clients", "ask clients to stop"]


def wait_for_the_rest() -> None:
    """Wait until the pool has come up, though nobody waits for it any more."""

    def look() -> bool:
        return all(thread.name != "orders-come-up" for thread in threading.enumerate())

    until("the end", look, seconds=SECONDS, every=0.01)
