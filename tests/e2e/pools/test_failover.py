"""The server is lost, moved or demoted: the pool notices by role, and reconnects by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from hack.demo.figures import seconds_of
from hack.rig.databases import Promotion
from hack.rig.failovers import fail_over, prepare, under_way
from hack.rig.pools import Pool, condition_of

Make = Callable[..., Pool]
#: An event starts a reconnect, not the timer: it is seen at once.
NOTICED_SECONDS = 15.0
#: With other tests beside, far below the longer interval all the same; how fast it is, a benchmark says.
VERIFIED_SECONDS = 30.0


@pytest.mark.parametrize("interval", [1, 60])
def test_failover(pooled: Make, request: pytest.FixtureRequest, interval: int) -> None:
    """A crash of the primary; its standby is promoted once the pool is known to wait for it."""
    pool = pooled(standbys=1, healthCheck={"intervalSeconds": interval})
    prepare(pool)
    found, promotion = fail_over(pool)
    assert found.noticed < NOTICED_SECONDS, found
    assert len(found.writes) == 2
    assert found.first_write < VERIFIED_SECONDS, found
    assert is_verified(pool, promotion) < VERIFIED_SECONDS
    pool.wait_events("Reconnected")
    request.node.user_properties += [("failover_seconds", found.first_write), ("verified_seconds", found.verified)]


def is_verified(pool: Pool, promotion: Promotion) -> float:
    """The pool says that every instance was verified at the new primary, and how it came to it; returns how long after
    the promotion that was."""
    past = pool.wait_reconnected(promotion.promoted_at, seconds=30)
    assert past["cause"]
    assert seconds_of(past["startedAt"]) <= seconds_of(past["serverAt"]) <= seconds_of(past["endedAt"])
    status = pool.wait_ready(seconds=30)
    assert status["server"]["address"] == promotion.address
    assert status["server"]["role"] == "Primary"
    assert len(status["members"]) == 2
    assert all(member["roleCorrect"] for member in status["members"])
    assert (pool.condition("RoleCorrect") or {}).get("reason") == "RoleVerified"
    return seconds_of(past["endedAt"]) - promotion.promoted_at


def test_service_that_leads_to_another_primary(pooled: Make) -> None:
    """The old primary lives on, so no connection breaks: only the check by role finds that nobody should use it."""
    pool = pooled(standbys=1)
    database = pool.database
    old, new = database.primary(), database.standby()
    database.read_only(old, on=True)
    promotion = database.promote(new)
    is_verified(pool, promotion)
    used = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop' AND application_name <> 'sophia-operator'"
    pool.api.until("the old primary to be left", lambda: database.query(old, used) == [(0,)], seconds=40)
    for address in pool.addresses().values():
        with pool.connect(address) as connection:
            assert connection.execute("SELECT host(inet_server_addr())").fetchone() == (promotion.address,)


def test_primary_that_takes_no_writes(pooled: Make) -> None:
    """`SELECT 1` goes on passing, which is what made others call such a server healthy."""
    pool = pooled()
    database = pool.database
    server = database.primary()
    began = time.time()
    database.read_only(server, on=True)
    wrong = pool.wait_condition("RoleCorrect", "False", "WrongRole", seconds=30)
    # One interval and one look, with other tests beside; the default interval is a minute.
    assert seconds_of(wrong["lastTransitionTime"]) - began < NOTICED_SECONDS
    with pool.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE refused (x int)")
    found = pool.object()
    assert (condition_of(found, "Healthy") or {}).get("status") == "False"
    assert (condition_of(found, "Ready") or {}).get("status") == "False"
    again = time.time()
    database.read_only(server, on=False)
    pool.wait_condition("RoleCorrect", "True", seconds=40)
    assert seconds_of(pool.wait_reconnected(again)["endedAt"]) - again < VERIFIED_SECONDS
    pool.wait_ready(seconds=30)
    with pool.connect() as connection:
        connection.execute("CREATE TABLE taken (x int)")


def test_primary_that_becomes_a_standby_in_its_place(pooled: Make) -> None:
    pool = pooled()
    database = pool.database
    server = database.primary()
    database.demote(server)
    pool.wait_condition("RoleCorrect", "False", "WrongRole", seconds=45)
    begun = pool.wait("to wait for a primary", under_way, seconds=30)
    assert begun["phase"] == "Waiting"
    promotion = database.promote(server, move=False)
    is_verified(pool, promotion)
    with pool.connect() as connection:
        connection.execute("CREATE TABLE taken (x int)")


def test_pool_of_standbys(pooled: Make) -> None:
    """A ReadOnly pool in front of standbys is healthy, and not so when a primary takes a standby's place."""
    pool = pooled(standbys=1, role="ReadOnly", changes={"host": "pg-ro"})
    status = pool.status()
    assert status["server"]["role"] == "Standby"
    assert status["server"]["replicationLagSeconds"] < 30
    with pool.connect() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
