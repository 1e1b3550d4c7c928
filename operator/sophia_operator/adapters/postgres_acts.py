"""What acts of recovery do at a server: one statement is ended, tables are analyzed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import psycopg

from sophia_operator.adapters.postgres_session import Connection, Deadline, rows
from sophia_operator.core.pool.findings import ServerRequest
from sophia_operator.core.pool.tasks import ANALYZE_LOCK_SECONDS, Analyzed, AnalyzeTask, Cancelled, CancelTask

#: Process, session and statement must all be those that were chosen: a process number is used again, and a session runs
#: one statement after the other. A session is ended only when it is the pool user's own.
_CANCEL: Final = """/* sophia-operator */ SELECT pg_{how}_backend(pid) FROM pg_stat_activity
WHERE pid = {pid} AND backend_start = '{started}' AND query_start = '{since}' AND {state}"""
_STATEMENT: Final = "state IN ('active', 'fastpath function call')"
_SESSION: Final = "state NOT IN ('active', 'fastpath function call') AND usename = current_user"
#: Those first of which most has changed. Who owns the database may analyze what is in it, as PostgreSQL has it. With a
#: table its partitions are analyzed.
_TABLES: Final = """/* sophia-operator */ SELECT format('%I.%I', n.nspname, c.relname), may.it
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
CROSS JOIN LATERAL (SELECT pg_has_role(c.relowner, 'USAGE') OR pg_has_role(
  (SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') AS it) may
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND {which}
ORDER BY coalesce(s.n_mod_since_analyze, 0) DESC, c.reltuples DESC, 1 LIMIT 1000"""
_ALL: Final = "may.it AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
_RECOVERY: Final = "/* sophia-operator */ SELECT pg_is_in_recovery()"
#: No table gets less.
_LEAST_SECONDS: Final = 0.1


async def cancel(connection: Connection, deadline: Deadline, task: CancelTask) -> Cancelled:
    """End the statement, or the session. Raises what `rows` raises, but for a right that is missing."""
    query = _CANCEL.format(
        how="terminate" if task.idle else "cancel",
        pid=int(task.pid),
        started=_text(task.started_at),
        since=_text(task.since),
        state=_SESSION if task.idle else _STATEMENT,
    )
    try:
        return Cancelled.TOLD if await rows(connection, query, deadline) else Cancelled.GONE
    except psycopg.errors.InsufficientPrivilege:
        return Cancelled.FORBIDDEN


async def analyze(connection: Connection, deadline: Deadline, request: ServerRequest, task: AnalyzeTask) -> Analyzed:
    """Collect statistics anew, table by table, until the time is over. Raises what `rows` raises when nothing was done
    yet."""
    if (await rows(connection, _RECOVERY, deadline))[0][0]:
        return Analyzed(refused="it is a standby, which has the statistics of its primary: act on a pool of that one")
    tables = await _tables(connection, deadline, request, task)
    if isinstance(tables, Analyzed):
        return tables
    await rows(connection, f"SET lock_timeout = {int(ANALYZE_LOCK_SECONDS * 1000)}", deadline)
    done: list[str] = []
    left: list[str] = []
    for number, table in enumerate(tables):
        if deadline.left < _LEAST_SECONDS:
            return Analyzed(tuple(done), tuple(left), len(tables) - number)
        try:
            # The server ends it in time by itself; the connection is left to the time that is beyond that.
            await rows(connection, f"SET statement_timeout = {max(1, int(deadline.left * 900))}", deadline)
            await rows(connection, f"ANALYZE {table}", deadline)
            done.append(table)
        except psycopg.errors.QueryCanceled:
            return Analyzed(tuple(done), tuple(left), len(tables) - number)
        except (
            psycopg.errors.LockNotAvailable,
            psycopg.errors.UndefinedTable,
            psycopg.errors.InsufficientPrivilege,
        ) as e:
            left.append(f"{table}: {_reason(e)}")
    return Analyzed(tuple(done), tuple(left))


async def _tables(
    connection: Connection, deadline: Deadline, request: ServerRequest, task: AnalyzeTask
) -> list[str] | Analyzed:
    if task.table is None:
        every = [str(name) for name, _ in await rows(connection, _TABLES.format(which=_ALL), deadline)]
        nothing = f"the user {request.username} owns no table in database {request.database}, and may analyze none"
        return every or Analyzed(refused=nothing)
    # As it is written, and else as SQL reads names without quotation marks.
    which = f"c.oid = coalesce({_class(task.table)}, {_class(task.table.lower())})"
    try:
        found = await rows(connection, _TABLES.format(which=which), deadline)
    except psycopg.errors.InsufficientPrivilege:
        found = []
    if not found:
        return Analyzed(refused=f"database {request.database} has no table {task.table} that {request.username} sees")
    ((name, may),) = found
    if not may:
        return Analyzed(refused=f"the user {request.username} does not own table {task.table}: only an owner analyzes")
    return [str(name)]


def _class(table: str) -> str:
    name = ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
    return f"to_regclass('{name.replace(chr(39), chr(39) * 2)}')"


def _reason(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "somebody else holds it"
    return "it is gone" if isinstance(error, psycopg.errors.UndefinedTable) else "the user may not"


def _text(moment: datetime) -> str:
    """To the microsecond, which is as exact as the server's own."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
