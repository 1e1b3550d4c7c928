"""Looks at a cache's table: what it holds, and whether it takes an entry and gives it back."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from sophia_operator.adapters.cache_tables_faults import FAILURES, TableError, cache_failure_of
from sophia_operator.adapters.cache_tables_layout import State, statement_of, transaction
from sophia_operator.adapters.postgres_session import Connection
from sophia_operator.adapters.stopwatch import Stopwatch
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.names import OWN_PREFIX
from sophia_operator.core.cache.table import TableNamespace

#: What an entry takes beside its key, value and tags: the row's own fields, and its place in the indexes.
_ROW_BYTES: Final = 160
#: Of a row, as it is stored: a large value that is compressed counts as that, and is not read.
ENTRY_BYTES: Final = (
    f"({_ROW_BYTES} + 2 * octet_length(entry.key) + pg_column_size(entry.value) + pg_column_size(entry.tags))"
)
#: Up to so many pages (16 MiB; large values are elsewhere) every row is counted, else those of about as many pages.
PAGES: Final = 2048
#: Clients may call namespaces as they like; nobody needs to know of more.
_NAMESPACES: Final = 200

_SIZE: Final = """SELECT
  (pg_relation_size({name}::regclass) / current_setting('block_size')::int)::bigint,
  pg_total_relation_size({name}::regclass)::bigint"""
_COUNT: Final = """SELECT
  grouping(namespace) = 1, namespace,
  count(*) FILTER (WHERE {live}), coalesce(sum({bytes}) FILTER (WHERE {live}), 0)::bigint,
  count(*) FILTER (WHERE expires_at IS NULL), count(*) FILTER (WHERE NOT {live})
FROM {table} AS entry {sample} WHERE NOT starts_with(key, {own})
GROUP BY GROUPING SETS ((namespace), ()) ORDER BY 1 DESC, 3 DESC LIMIT {most}"""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a table holds."""

    keys: int
    used_bytes: int
    expired: int
    namespaces: dict[str, TableNamespace]


async def count(connection: Connection, found: State, *, statement_ms: int) -> Holdings:
    """Count what it holds: every row of a small table, else a sample, so that the time is bounded. Raises
    psycopg.Error."""
    async with transaction(connection, statement_ms=statement_ms, lock_ms=statement_ms):
        name = sql.Literal(found.table.as_string(None))
        ((there, used_bytes),) = await _rows(connection, statement_of(_SIZE, name=name))
        share = min(1.0, PAGES / max(1, there))
        sample = sql.SQL("") if share == 1.0 else sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(share * 100))
        counted = await _rows(
            connection,
            statement_of(
                _COUNT,
                bytes=sql.SQL(ENTRY_BYTES),
                live=sql.SQL("coalesce(expires_at > now(), true)"),
                table=found.table,
                sample=sample,
                own=sql.Literal(f"{OWN_PREFIX}:"),
                most=sql.Literal(_NAMESPACES + 1),
            ),
        )
    (_, _, keys, _, _, expired), *rest = counted
    return Holdings(
        keys=round(keys / share),
        used_bytes=used_bytes,
        expired=round(expired / share),
        namespaces={
            namespace: TableNamespace(round(n / share), round(size / share), round(bare / share))
            for _, namespace, n, size, bare, _ in rest
        },
    )


async def check_entry(connection: Connection, found: State, *, secret: str, statement_ms: int) -> float | CacheFailure:
    """Write, read and delete an entry of the operator's own; the milliseconds that took, or why it failed."""
    try:
        async with Stopwatch() as watch:
            await _check(connection, found, statement_ms)
    except (*FAILURES, TableError) as error:
        return cache_failure_of(error, secret=secret)
    return watch.milliseconds


async def _check(connection: Connection, found: State, statement_ms: int) -> None:
    key, value = f"{OWN_PREFIX}:check:{secrets.token_hex(8)}", secrets.token_bytes(16)
    async with transaction(connection, statement_ms=statement_ms, lock_ms=statement_ms):
        write = (
            "INSERT INTO {table} (key, namespace, value, expires_at) VALUES (%s, '', %s, now() + interval '1 minute')"
        )
        await connection.execute(statement_of(write, table=found.table), (key, value))
        read = statement_of("SELECT value FROM {table} WHERE key = %s AND expires_at > now()", table=found.table)
        ((got,),) = await _rows(connection, read, key)
        if got != value:
            raise TableError(CacheFault.OTHER, "the operator's own entry was not read as it was written")
        await connection.execute(statement_of("DELETE FROM {table} WHERE key = %s", table=found.table), (key,))


async def _rows(connection: Connection, statement: sql.Composed, *values: Any) -> list[tuple[Any, ...]]:
    answer = await connection.execute(statement, values or None)
    return await answer.fetchall()
