"""Changes under transactions: those that PgBouncer takes live replace no pod, and the others lose nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import psycopg

from hack.rig.api import Json
from hack.rig.pools import NEWER_IMAGE, POOLER_IMAGE, Pool
from hack.rig.transactions import Transactions
from tests.e2e.pools.books import nothing_lost, wait_commits

Make = Callable[..., Pool]
Clients = Callable[..., Transactions]
CLIENTS = 20
#: More than there are server connections, so that some clients always wait for one.
UNDER_LOAD = {"clients": CLIENTS, "every": 0.3, "hold": 0.1}


def replaced(pool: Pool, running: Transactions, old: set[str]) -> None:
    """Wait until new pods have taken the place of the old ones, and every client commits through them."""
    pool.api.until("every pod to be replaced", lambda: pool.all_gone(old), seconds=150)
    pool.wait_ready(seconds=60)
    wait_commits(running, CLIENTS)


def test_roll_loses_no_transaction(pooled: Make, clients: Clients) -> None:
    pool = pooled()
    running = clients(pool, **UNDER_LOAD)
    wait_commits(running, CLIENTS)
    old = pool.uids()
    pool.patch(template={"resources": {"limits": {"memory": "72Mi"}}})
    replaced(pool, running, old)
    books = nothing_lost(pool, running)
    # Nobody stays behind: each was told, and came to a new pod.
    assert set(books.reconnects) == set(range(CLIENTS))


def test_other_version_and_back_loses_no_transaction(pooled: Make, clients: Clients) -> None:
    """Old, newer, old: no instance may get a setting that it does not know, nor be left without those it could use."""
    pool = pooled(autosize={"enabled": False})
    running = clients(pool, **UNDER_LOAD)
    for image, version, prepares in ((NEWER_IMAGE, "1.24", True), (POOLER_IMAGE, "1.18", False)):
        old = pool.uids()
        pool.patch(image=image)
        replaced(pool, running, old)
        pool.wait(f"to run {version}", partial(runs, version), seconds=30)
        # What the version can do is rendered once the last pod of the other one is gone, and confirmed.
        pool.wait_condition("ConfigApplied", "True")
        assert can_prepare(pool) is prepares
        assert not any(c["restartCount"] for p in pool.pods() for c in p["status"]["containerStatuses"])
    nothing_lost(pool, running)


#: A client that other clients are quick enough to leave the same connection to proves nothing.
_TRIES = 10


def runs(version: str, found: Json) -> list[Json] | None:
    """Every instance, when all have that version and the newest configuration."""
    members: list[Json] = found["status"].get("members") or []
    right = [m for m in members if (m.get("version") or "").startswith(version) and m.get("configCurrent")]
    return members if len(right) == len(members) == 2 else None


def can_prepare(pool: Pool) -> bool:
    """Whether a statement that a client prepares is known on whatever server connection it gets next."""
    address = next(iter(pool.addresses().values()))
    return all(_is_known(pool, address) for _ in range(_TRIES))


def _is_known(pool: Pool, address: str) -> bool:
    with pool.connect(address) as one, pool.connect(address) as other:
        one.prepare_threshold = 0
        try:
            one.execute("SELECT %s::int", (1,))
            # The connection that was used last is used first: this one takes it, and the next query gets another.
            other.execute("BEGIN")
            other.execute("SELECT 1")
            one.execute("SELECT %s::int", (2,))
        except (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement):
            return False
    return True


def test_live_change_replaces_no_pod(pooled: Make, clients: Clients) -> None:
    pool = pooled(autosize={"enabled": False})
    running = clients(pool, **UNDER_LOAD)
    wait_commits(running, CLIENTS)
    before, old = pool.uids(), pool.status()
    assert old["size"] == 8
    asked = time.time()
    pool.patch(size={"min": 3, "max": 12}, queryTimeoutSeconds=20, parameters={"server_lifetime": "1200"})
    pool.wait_condition("ConfigApplied", "True", "ConfigConfirmed", seconds=30)
    status = pool.wait_ready(seconds=30)
    assert time.time() - asked < 30, "the kubelet was not asked to look at once"
    assert status["configHash"] != old["configHash"]
    assert (status["size"], [m["size"] for m in status["members"]]) == (12, [6, 6])
    assert pool.uids() == before
    books = nothing_lost(pool, running)
    assert not books.reconnects
    # It is more than a figure: so many transactions are open at the same time.
    for address in pool.addresses().values():
        with ExitStack() as open_ones:
            pids = set()
            for _ in range(6):
                connection = open_ones.enter_context(pool.connect(address))
                connection.execute("BEGIN")
                pids.add((connection.execute("SELECT pg_backend_pid()").fetchone() or (0,))[0])
            assert len(pids) == 6


def test_scaling_moves_clients_without_losing_a_transaction(pooled: Make, clients: Clients) -> None:
    """By the scale subresource, as an autoscaler does: 2 instances, 3, and 1."""
    pool = pooled()
    running = clients(pool, **UNDER_LOAD)
    wait_commits(running, CLIENTS)
    for number in (3, 1):
        pool.api.merge("ConnectionPool", pool.namespace, pool.name, {"spec": {"replicas": number}}, sub="scale")
        pool.api.until(f"{number} instances", partial(has, pool, number), seconds=90)
        status = pool.wait_ready(seconds=60)
        assert status["ready"] == f"{number}/{number}"
        wait_commits(running, CLIENTS)
    nothing_lost(pool, running)


def has(pool: Pool, number: int) -> bool:
    """Whether so many instances are ready, and no other pod is there."""
    return len(pool.addresses()) == len(pool.pods()) == number


def test_evicted_instance_loses_no_transaction(pooled: Make, clients: Clients) -> None:
    """One pod is evicted, as a drain of its node does: it ends like one that is rolled."""
    pool = pooled()
    running = clients(pool, **UNDER_LOAD)
    wait_commits(running, CLIENTS)
    first = pool.pods()[0]["metadata"]
    pool.api.evict(pool.namespace, first["name"])
    pool.api.until("the evicted pod to go", lambda: pool.all_gone({first["uid"]}), seconds=90)
    pool.wait_ready(seconds=60)
    wait_commits(running, CLIENTS)
    nothing_lost(pool, running)
