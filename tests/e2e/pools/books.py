"""What clients' books must say at the end."""

from __future__ import annotations

import time

from hack.rig.pools import Pool
from hack.rig.transactions import Books, Transactions, rows_of
from hack.rig.waiting import until


def wait_commits(running: Transactions, clients: int, *, seconds: float = 30) -> float:
    """Wait until every client has committed something that began after now; returns what "now" was."""
    now = time.time()
    until(
        "a commit by every client",
        lambda: running.books().since(now).clients() == set(range(clients)),
        seconds=seconds,
        every=0.1,
    )
    return now


def nothing_lost(pool: Pool, running: Transactions, between: tuple[float, float] = (0.0, 0.0)) -> Books:
    """Stop the clients: no transaction failed once it had begun, nobody was refused, and every row is there.

    `between`: two moments between which the server itself refuses new connections.
    """
    running.stop()
    books = running.books()
    assert books.committed > 0
    assert not books.lost, books.errors()
    begin, end = between
    assert not [r for r in books.refused if r.ended < begin or r.started > end], books.errors()
    with pool.connect() as connection:
        assert not books.missing(rows_of(connection))
    return books
