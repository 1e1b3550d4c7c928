"""A planned switchover: clients wait, the primary changes, clients go on, and nobody saw an error."""

from __future__ import annotations

import time
from collections.abc import Callable

from hack.rig.pools import Pool
from hack.rig.transactions import Transactions
from tests.e2e.pools.books import nothing_lost, wait_commits

Make = Callable[..., Pool]
Clients = Callable[..., Transactions]
CLIENTS = 10


def test_switchover_while_paused(pooled: Make, clients: Clients) -> None:
    pool = pooled(standbys=1)
    database = pool.database
    old, new = database.primary(), database.standby()
    running = clients(pool, clients=CLIENTS, every=0.2, hold=0.1)
    wait_commits(running, CLIENTS)
    pool.patch(paused=True)
    pool.wait_condition("Paused", "True", "PausedBySpec", seconds=45)
    status = pool.wait("to say until when", lambda found: found["status"].get("pause"), seconds=30)
    assert not status["over"]
    paused = time.time()
    # Nobody is on the server any more, and so everything that was committed is on the standby a moment later.
    busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop' AND state <> 'idle'"
    pool.api.until("transactions to end", lambda: database.query(old, busy) == [(0,)], seconds=45)
    database.wait_replayed(new)
    before = running.books().committed
    database.kill(old)
    promotion = database.promote(new)
    assert running.books().committed == before, "somebody wrote while the pool was paused"
    pool.patch(paused=False)
    resumed = wait_commits(running, CLIENTS)
    status = pool.wait_ready(seconds=60)
    assert status["server"]["address"] == promotion.address
    assert "pause" not in status
    assert pool.condition("Paused") is None
    books = nothing_lost(pool, running)
    assert not books.reconnects, "clients were told to connect anew"
    # One that was about to begin when the others began to wait came a moment later.
    assert books.longest >= resumed - paused - 1, "nobody waited"
    with pool.connect() as connection:
        assert connection.execute("SELECT host(inet_server_addr())").fetchone() == (promotion.address,)
