"""A new password of the server's user reaches running instances, and applications notice nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from hack.rig.api import Json
from hack.rig.pools import Pool, condition_of
from hack.rig.transactions import Transactions
from tests.e2e.pools.books import nothing_lost, wait_commits

Make = Callable[..., Pool]
Clients = Callable[..., Transactions]
CLIENTS = 4
SIZE = 8
#: The Secret, the check, the kubelet's volume and the reload: a kubelet that is not asked takes a minute and more.
TAKEN_SECONDS = 25.0


def test_rotated_password_reaches_running_instances(pooled: Make, clients: Clients) -> None:
    # Two connections stand, so that there are some to open anew.
    pool = pooled(size={"min": 2, "max": SIZE}, autosize={"enabled": False})
    database = pool.database
    running = clients(pool, clients=CLIENTS, every=0.2, hold=0.02)
    wait_commits(running, CLIENTS)
    uids, binding, before = pool.uids(), pool.binding(), pool.status()["configHash"]
    rotated = time.time()
    database.rotate()
    pool.wait("to take the new password", lambda found: confirmed(found, before), seconds=30)
    # From the server's change to the reload, it takes no new connection of the pool: that is what rotating in place
    # costs, whoever does it. Those that stand serve on.
    taken = time.time()
    assert taken - rotated < TAKEN_SECONDS
    open_many(pool)
    for address in pool.addresses().values():
        newer = (
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop' AND client_addr = %s::inet"
            " AND backend_start > to_timestamp(%s)"
        )
        ((opened,),) = database.query(database.primary(), newer, address, rotated)
        assert opened > 0, f"{address} opened no server connection with the new password"
    wait_commits(running, CLIENTS)
    pool.wait_ready(seconds=30)
    books = nothing_lost(pool, running, between=(rotated, taken))
    assert not books.since(taken).reconnects, "applications were told to connect anew"
    assert pool.uids() == uids
    assert not any(c["restartCount"] for p in pool.pods() for c in p["status"]["containerStatuses"])
    assert pool.binding() == binding


def confirmed(found: Json, before: str) -> bool:
    """Whether every instance shows a configuration that is not the one from before."""
    status, condition = found["status"], condition_of(found, "ConfigApplied")
    current = all(member.get("configCurrent") for member in status["members"])
    return condition is not None and condition["status"] == "True" and current and status["configHash"] != before


def open_many(pool: Pool) -> None:
    """Keep as many transactions open at the same time as each instance has server connections for."""
    for address in pool.addresses().values():
        with ExitStack() as open_ones:
            for _ in range(SIZE // 2):
                connection = open_ones.enter_context(pool.connect(address))
                connection.execute("BEGIN")
                connection.execute("SELECT 1")


def test_wrong_password_is_not_taken_over(pooled: Make, clients: Clients) -> None:
    """The Secret is changed and the server is not: what serves goes on with what works, until it is put right."""
    pool = pooled()
    database = pool.database
    running = clients(pool, clients=CLIENTS, every=0.2, hold=0.02)
    wait_commits(running, CLIENTS)
    database.set_credentials(password="nobody has this")
    pool.wait_reason("AuthenticationFailed", database.credentials, seconds=30)
    wait_commits(running, CLIENTS)
    database.set_credentials()
    pool.wait_ready(seconds=60)
    nothing_lost(pool, running)
