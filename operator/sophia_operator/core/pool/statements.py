"""Statements that run for long, or that others wait for, as the status tells of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sophia_operator.api.connection_pool_status import MAX_STATEMENTS, RunningStatement
from sophia_operator.core.pool.activity import Activity, Session
from sophia_operator.core.pool.sight import client_connections, console_of, server_of
from sophia_operator.core.pool.views import PoolObserved, PoolView
from sophia_operator.core.steady import steady
from sophia_operator.core.words import count

_NOTED: Final = 3


def statements(pool: PoolView, observed: PoolObserved) -> tuple[list[RunningStatement], str]:
    """At most five, and what is to be said of what cannot be seen. What is known of a server that does not answer
    stays. Times are those of the server, and no lengths of time: nothing changes while the same statement runs."""
    server = server_of(observed)
    if server is None:
        return pool.status.statements, pool.status.statements_note
    old = {(s.pid, s.since): s.blocks for s in pool.status.statements}
    comes = comes_through(pool, observed)
    told = [_told(s, old.get((s.pid, s.since))) for s in server.activity.sessions if s.blocks or comes(s)]
    told.sort(key=lambda s: (-s.blocks, s.since, s.pid))
    user = observed.access.username if observed.access is not None else "of the pool"
    return told[:MAX_STATEMENTS], note_of(server.activity, user)


def _told(session: Session, blocked: int | None) -> RunningStatement:
    return RunningStatement(
        pid=session.pid,
        since=session.since,
        session_since=session.started_at,
        blocks=steady(blocked, session.blocks),
        waits=session.waits,
        idle=session.idle,
        query_id=session.query_id[:32],
        text=session.text[:200],
    )


def note_of(activity: Activity, user: str) -> str:
    """What others wait for and the pool's user may not see, and what to do; empty when there is nothing."""
    parts: list[str] = []
    for unseen in activity.unseen[:_NOTED]:
        waiting = f"{count(unseen.blocks, 'session')} wait" + ("s" if unseen.blocks == 1 else "")
        if unseen.pid == 0:
            parts.append(f"{waiting} for a prepared transaction: COMMIT or ROLLBACK it (pg_prepared_xacts)")
        elif unseen.username is None:
            parts.append(f"{waiting} for process {unseen.pid}, which is not at this database")
        else:
            parts.append(
                f"{waiting} for process {unseen.pid} of user {unseen.username}, and {user} may not see what that does: "
                f"GRANT pg_read_all_stats TO {user}"
            )
    if activity.missing is not None:
        parts.append(f"pg_stat_activity cannot be read: {activity.missing}")
    return "; ".join(parts)[:4096]


def comes_through(pool: PoolView, observed: PoolObserved) -> Callable[[Session], bool]:
    """Whether a session comes through the pool: from the address of an instance, or as the process that an instance
    names for one of its connections. Where neither can be seen, every session of the pool's user counts."""
    del pool
    own = {i.address for i in observed.instances if i.address is not None}
    pids = _processes(observed)
    server, access = server_of(observed), observed.access
    addresses = {b.address for b in server.backends} if server is not None else set()
    if pids or own & addresses:
        return lambda s: s.address in own or s.pid in pids
    return lambda s: access is not None and s.username == access.username


def is_surely_ours(observed: PoolObserved, session: Session) -> bool:
    """Whether the session is the pool user's own, and certainly comes through the pool: only those may be ended."""
    own = {i.address for i in observed.instances if i.address is not None}
    mine = observed.access is not None and session.username == observed.access.username
    return mine and (session.address in own or session.pid in _processes(observed))


def _processes(observed: PoolObserved) -> set[int]:
    consoles = (console_of(observed, i) for i in observed.instances)
    return {c.pid for shown in consoles if shown for c in client_connections(shown) if c.pid is not None}
