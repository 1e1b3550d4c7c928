"""What pg_stat_statements knows of a database."""

from __future__ import annotations

from typing import Final

import psycopg

from sophia_operator.adapters.postgres_literals import without_literals
from sophia_operator.adapters.postgres_session import Connection, Deadline, rows
from sophia_operator.core.pool.findings import ServerRequest, Statement

_MOST: Final = 200
#: Where the extension is, and what its view calls the time: `total_time` before version 1.8.
_EXTENSION: Final = """/* sophia-operator */ SELECT quote_ident(n.nspname), quote_ident(a.attname)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'pg_stat_statements'
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('total_exec_time', 'total_time')
WHERE e.extname = 'pg_stat_statements'"""
#: Statements of other users have no id for those who may not read them. The operator's own do not count.
_STATEMENTS: Final = """/* sophia-operator */ SELECT
  s.queryid::text, left(min(s.query), 2000), sum(s.calls)::bigint, sum(s.{time})::float8, sum(s.rows)::bigint
FROM {schema}.pg_stat_statements s
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND s.query NOT LIKE '/* sophia-operator */%'
GROUP BY s.queryid ORDER BY 4 DESC LIMIT {most}"""


async def statements(connection: Connection, deadline: Deadline, request: ServerRequest) -> tuple[Statement, ...] | str:
    """The statements that took most time in all; or why there are none, and what to do. Raises what `rows` raises."""
    found = await rows(connection, _EXTENSION, deadline)
    if not found:
        return (
            f"The database {request.database} does not have pg_stat_statements: an administrator can add it by "
            "CREATE EXTENSION pg_stat_statements, when the server's shared_preload_libraries has it."
        )
    ((schema, time),) = found
    query = _STATEMENTS.format(schema=schema, time=time or "total_exec_time", most=_MOST + 1)
    try:
        answer = await rows(connection, query, deadline)
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return (
            "The server has not loaded pg_stat_statements: put it into shared_preload_libraries and restart the server."
        )
    except psycopg.errors.InsufficientPrivilege:
        return (
            f"The user {request.username} may not read pg_stat_statements: GRANT USAGE ON SCHEMA {schema} and "
            f"GRANT SELECT ON {schema}.pg_stat_statements to it."
        )
    visible = [row for row in answer if row[0] is not None]
    if answer and not visible:
        return (
            f"The user {request.username} may not see other users' statements, and has none of its own: "
            "GRANT pg_read_all_stats to it."
        )
    return tuple(Statement(query_id, without_literals(text), *rest) for query_id, text, *rest in visible[:_MOST])
