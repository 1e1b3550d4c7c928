"""What a server runs for its user just now: statements that run for long, how they are ended, and fresh statistics."""

from __future__ import annotations

from typing import Final

from sophia_operator.adapters.postgres_session import Connection, Deadline, rows
from sophia_operator.api.connection_pool_status import RunningStatement
from sophia_operator.core.pool.findings import Running

#: ANALYZE reads a sample of each table, and may wait for others.
ANALYZE_SECONDS: Final = 600.0
#: Of the pool's own user at its database: what others run is neither shown to it nor its to end. Whom a session waits
#: for is asked only of those that wait for a lock, since that takes locks itself. A statement counts from five seconds
#: on; an open transaction that does nothing counts while others wait for it.
_RUNNING: Final = """/* sophia-operator */ WITH waits AS (
  SELECT unnest(pg_blocking_pids(pid)) AS pid FROM pg_stat_activity
  WHERE wait_event_type = 'Lock' AND datname = current_database()
), blocks AS (SELECT pid, count(*)::int AS others FROM waits GROUP BY pid)
SELECT a.pid, CASE WHEN a.state = 'active' THEN a.query_start ELSE a.state_change END,
  coalesce(b.others, 0), a.state <> 'active'
FROM pg_stat_activity a LEFT JOIN blocks b ON b.pid = a.pid
WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
  AND coalesce(a.backend_type, 'client backend') = 'client backend'
  AND a.application_name <> current_setting('application_name')
  AND (
    (a.state = 'active' AND a.query_start < clock_timestamp() - interval '5 seconds')
    OR (a.state LIKE 'idle in transaction%' AND b.others > 0
        AND a.state_change < clock_timestamp() - interval '5 seconds')
  )
ORDER BY 3 DESC, 2, 1 LIMIT 5"""
#: A process is told only while it still does what it did then; one that is idle in a transaction has nothing to
#: cancel, so its session ends.
_END: Final = """/* sophia-operator */ SELECT CASE WHEN state = 'active'
  THEN pg_cancel_backend(pid) ELSE pg_terminate_backend(pid) END
FROM pg_stat_activity WHERE pid = {pid} AND usename = current_user AND datname = current_database()
  AND CASE WHEN state = 'active' THEN query_start ELSE state_change END = '{since}'::timestamptz"""
_LIMIT: Final = "/* sophia-operator */ SELECT set_config('statement_timeout', '{ms}', false)"


async def running(connection: Connection, deadline: Deadline) -> tuple[Running, ...]:
    """At most five, those that block most first. Raises what `rows` raises."""
    found = await rows(connection, _RUNNING, deadline)
    return tuple(Running(pid, since, blocks, idle) for pid, since, blocks, idle in found)


async def end(connection: Connection, deadline: Deadline, statement: RunningStatement) -> str:
    """End it; what was done. Raises what `rows` raises."""
    query = _END.format(pid=int(statement.pid), since=statement.since.isoformat())
    found = await rows(connection, query, deadline)
    if not found:
        return "it was over by itself"
    return "pg_terminate_backend" if statement.idle else "pg_cancel_backend"


async def analyze(connection: Connection, deadline: Deadline, table: str | None) -> str:
    """ANALYZE; what was done. Tables of others are skipped by the server. Raises what `rows` raises."""
    await rows(connection, _LIMIT.format(ms=int(ANALYZE_SECONDS * 900)), deadline)
    # The name is letters, digits, `_` and a dot: the API takes nothing else.
    await rows(connection, f"/* sophia-operator */ ANALYZE {table or ''}".rstrip(), deadline)
    return f"ANALYZE {table or 'of every table that the user may analyze'}"
