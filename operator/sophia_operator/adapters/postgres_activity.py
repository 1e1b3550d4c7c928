"""What sessions of a database do for long, and who waits for whom."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sophia_operator.adapters.postgres_literals import without_values
from sophia_operator.adapters.postgres_session import Connection, Deadline, rows
from sophia_operator.core.pool.activity import LONG_SECONDS, Activity, Session, Unseen
from sophia_operator.core.pool.insights import text_of

#: Whom somebody waits for is asked of so many at most, those that wait longest: each costs the server something.
_WAITERS: Final = 50
_ROWS: Final = 200
#: One query. What other users' sessions do is hidden from ordinary users: their state is null, and that they wait is
#: not seen either. `query_id` is there from PostgreSQL 14 on, if the server computes it. The operator's own sessions
#: are left out: nobody is to end those.
_ACTIVITY: Final = """/* sophia-operator */ WITH sessions AS (
  SELECT * FROM pg_stat_activity
  WHERE datname = current_database() AND coalesce(backend_type, 'client backend') = 'client backend'
    AND application_name IS DISTINCT FROM current_setting('application_name')
), waiting AS (
  SELECT pid, pg_blocking_pids(pid) AS blockers FROM sessions
  WHERE state <> 'idle' AND wait_event_type = 'Lock' ORDER BY query_start LIMIT {waiters}
), told AS (
  SELECT pid, usename::text AS username, host(client_addr) AS address, backend_start, query_start, state,
    query_start < clock_timestamp() - interval '{long:g} seconds' AS long,
    (SELECT blockers FROM waiting WHERE waiting.pid = sessions.pid) AS blockers,
    left(query, 2000), to_jsonb(sessions) ->> 'query_id' AS query_id
  FROM sessions
  WHERE pid IN (SELECT pid FROM waiting) OR pid IN (SELECT unnest(blockers) FROM waiting)
    OR (state IN ('active', 'fastpath function call')
      AND query_start < clock_timestamp() - interval '{long:g} seconds')
  ORDER BY pid IN (SELECT unnest(blockers) FROM waiting) DESC, query_start, pid LIMIT {rows}
)
SELECT (SELECT count(*) FROM sessions WHERE state IS NULL), told.*
FROM (SELECT 1) AS always LEFT JOIN told ON true"""
_WORKING: Final = frozenset({"active", "fastpath function call"})


@dataclass(frozen=True, slots=True)
class _Row:
    pid: int
    username: str | None
    address: str | None
    started_at: datetime | None
    since: datetime | None
    state: str | None
    long: bool | None
    blockers: list[int] | None
    text: str | None
    query_id: str | None


async def activity(connection: Connection, deadline: Deadline) -> Activity:
    """Look. Raises what `rows` raises."""
    query = _ACTIVITY.format(long=LONG_SECONDS, waiters=_WAITERS, rows=_ROWS)
    answer = await rows(connection, query, deadline)
    if not answer:
        return Activity()
    return activity_of([_Row(*row[1:]) for row in answer if row[1] is not None], answer[0][0])


def activity_of(found: Iterable[_Row], hidden: int) -> Activity:
    """What stands out: what runs for long, and what somebody waits for who waits for long."""
    known = {row.pid: row for row in found}
    victims = victims_of({row.pid: row.blockers for row in known.values() if row.blockers})
    late = {pid for pid, row in known.items() if row.long}
    blocking = {pid: waiting for pid, waiting in victims.items() if waiting & late}
    sessions: list[Session] = []
    unseen: list[Unseen] = []
    for pid in {*known, *blocking}:
        row, waiting = known.get(pid), blocking.get(pid, set())
        session = _session(row, len(waiting)) if row is not None else None
        if session is not None and (waiting or (row is not None and row.long and not session.idle)):
            sessions.append(session)
        elif session is None and waiting:
            unseen.append(Unseen(pid, row.username if row is not None else None, len(waiting)))
    sessions.sort(key=lambda s: (-s.blocks, s.since, s.pid))
    unseen.sort(key=lambda u: (-u.blocks, u.pid))
    return Activity(tuple(sessions), tuple(unseen), hidden)


def victims_of(blockers: Mapping[int, Iterable[int]]) -> dict[int, set[int]]:
    """Who waits for each, by himself or through others. Who waits in a circle does not wait for himself."""
    direct: dict[int, set[int]] = {}
    for pid, of in blockers.items():
        for blocker in of:
            direct.setdefault(blocker, set()).add(pid)
    out: dict[int, set[int]] = {}
    for blocker in direct:
        reached: set[int] = set()
        open_ones = [blocker]
        while open_ones:
            new = direct.get(open_ones.pop(), set()) - reached
            reached |= new
            open_ones.extend(new)
        out[blocker] = reached - {blocker}
    return out


def _session(row: _Row, blocks: int) -> Session | None:
    """None when nothing of it can be seen."""
    if row.state is None or row.started_at is None or row.since is None:
        return None
    text = text_of(without_values(row.text or ""))
    return Session(
        pid=row.pid,
        username=row.username or "",
        address=row.address,
        started_at=row.started_at,
        since=row.since,
        idle=row.state not in _WORKING,
        waits=row.blockers is not None,
        blocks=blocks,
        text=text,
        query_id=row.query_id or f"text-{hashlib.sha256(text.encode()).hexdigest()[:16]}",
    )
