"""The layout of a cache's table: how it is made, and brought to the newest version."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg import errors, sql

from sophia_operator.adapters.cache_tables_faults import TableError
from sophia_operator.adapters.postgres_session import Connection
from sophia_operator.core.cache.faults import CacheFault

#: Waiting for a lock on the whole table holds up everybody who comes after; so it is not waited for longer.
LAYOUT_LOCK_MS: Final = 500
#: Longest key, in bytes. An index could not hold keys of more than some 2,700.
MAX_KEY_BYTES: Final = 1024

#: For each version, the statements that make it of the version before; those of the first make the table. {table},
#: {unlogged} and {name}, for names of indexes, are filled in. A step is never changed once it was released.
Steps = Sequence[Sequence[str]]
STEPS: Final[Steps] = (
    (
        # Bytes order the keys, so that those with the same beginning are next to each other.
        f"""CREATE {{unlogged}} TABLE {{table}} (
  key text COLLATE "C" PRIMARY KEY CHECK (octet_length(key) <= {MAX_KEY_BYTES}),
  namespace text COLLATE "C" NOT NULL,
  value bytea NOT NULL,
  tags text[] NOT NULL DEFAULT '{{{{}}}}',
  expires_at timestamptz,
  last_used timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)""",
        "CREATE INDEX {expires} ON {table} (expires_at) WHERE expires_at IS NOT NULL",
        "CREATE INDEX {bare} ON {table} (namespace) WHERE expires_at IS NULL",
        "CREATE INDEX {used} ON {table} (namespace, last_used)",
        "CREATE INDEX {tags} ON {table} USING gin (tags)",
    ),
)
_INDEXES: Final = ("expires", "bare", "used", "tags")
_COMMENT: Final = "sophia-operator: table of a cache, version {version}"
_OURS: Final = re.compile(r"sophia-operator: table of a cache, version ([1-9][0-9]{0,8})")

_STATE: Final = """/* sophia-operator */ SELECT
  current_schema()::text,
  current_user::text,
  current_database()::text,
  pg_is_in_recovery(),
  has_schema_privilege(current_schema(), 'CREATE'),
  c.oid::bigint,
  c.relkind::text,
  c.relpersistence::text,
  obj_description(c.oid, 'pg_class'),
  pg_has_role(c.relowner, 'USAGE'),
  c.oid IS NULL OR (SELECT bool_and(has_table_privilege(c.oid, p)) FROM unnest(%s::text[]) AS p)
FROM (SELECT 1) AS one LEFT JOIN pg_class AS c ON c.relnamespace = current_schema()::regnamespace AND c.relname = %s"""
_LIMITS: Final = """/* sophia-operator */ SELECT
  set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)"""
#: What work needs.
_PRIVILEGES: Final = ["SELECT", "INSERT", "UPDATE", "DELETE"]


@dataclass(frozen=True, slots=True)
class State:
    """The table as it is; `version` is None while there is none."""

    schema: str
    name: str
    user: str
    database: str
    standby: bool
    may_create: bool
    version: int | None
    unlogged: bool
    owned: bool
    allowed: bool

    @property
    def table(self) -> sql.Identifier:
        """Its name, for statements."""
        return sql.Identifier(self.schema, self.name)


@asynccontextmanager
async def transaction(connection: Connection, *, statement_ms: int, lock_ms: int) -> AsyncIterator[None]:
    """A transaction with limits of its own: behind a pool, whatever is set otherwise would be left to others."""
    async with connection.transaction():
        await connection.execute(_LIMITS, (str(statement_ms), str(lock_ms)))
        yield


async def state(connection: Connection, name: str) -> State:
    """Look at the table, within a transaction. Raises TableError when one of that name is somebody else's."""
    answer = await connection.execute(_STATE, (_PRIVILEGES, name))
    schema, user, database, standby, may_create, oid, kind, persistence, comment, owned, allowed = await _one(answer)
    if schema is None:
        message = f"the user {user} has no schema in its search_path: set one, as in ALTER ROLE ... SET search_path"
        raise TableError(CacheFault.NO_PERMISSION, message)
    ours = _OURS.fullmatch(comment or "") if kind == "r" else None
    if oid is not None and ours is None:
        message = (
            f"{schema}.{name} in the database {database} was not made by the operator, and is left alone: choose "
            "another name in spec.postgresql.table, or take it out of the way"
        )
        raise TableError(CacheFault.NOT_OURS, message)
    return State(
        schema=schema,
        name=name,
        user=user,
        database=database,
        standby=standby,
        may_create=bool(may_create),
        version=int(ours[1]) if ours else None,
        unlogged=persistence == "u",
        owned=bool(owned),
        allowed=bool(allowed),
    )


def check(found: State, newest: int) -> None:
    """Raises TableError when nothing can be done with the table, whatever its version."""
    if found.standby:
        message = "the server behind the pool is a standby: a cache needs one that takes writes"
        raise TableError(CacheFault.READ_ONLY, message)
    if found.version is not None and found.version > newest:
        message = (
            f"{found.schema}.{found.name} has version {found.version} of its layout, and this operator knows {newest}: "
            "it is left alone until the operator is brought to the newer release again, or the table is dropped"
        )
        raise TableError(CacheFault.NEWER_LAYOUT, message)
    if not found.allowed:
        message = (
            f"the user {found.user} may not use {found.schema}.{found.name}: GRANT SELECT, INSERT, UPDATE, DELETE on it"
        )
        raise TableError(CacheFault.NO_PERMISSION, message)


def check_ready(found: State, newest: int) -> None:
    """Raises TableError when the table cannot be worked at as it is."""
    check(found, newest)
    if found.version is None:
        message = f"there is no table {found.schema}.{found.name}; the next look makes it"
        raise TableError(CacheFault.TABLE_MISSING, message)
    if found.version < newest:
        message = f"{found.schema}.{found.name} has version {found.version} of its layout; the next look brings it on"
        raise TableError(CacheFault.OTHER, message)


async def bring_on(connection: Connection, name: str, *, unlogged: bool, steps: Steps, statement_ms: int) -> State:
    """Make the table, or bring it to the newest version, in one transaction: all of it or nothing.

    Two operators that do so at once do it one after the other, and the second finds it done. Raises TableError and
    psycopg.Error.
    """
    try:
        async with transaction(connection, statement_ms=statement_ms, lock_ms=LAYOUT_LOCK_MS):
            lock = "/* sophia-operator */ SELECT pg_advisory_xact_lock(hashtextextended('sophia-operator ' || %s, 0))"
            await connection.execute(lock, (name,))
            found = await state(connection, name)
            check(found, len(steps))
            if found.version == len(steps):
                return found
            _check_rights(found)
            await _step(connection, found, steps, unlogged=unlogged)
            return await state(connection, name)
    except errors.LockNotAvailable:
        message = f"the table {name} was in use for longer than {LAYOUT_LOCK_MS} ms, and is brought on at the next look"
        raise TableError(CacheFault.TIMEOUT, message) from None


def _check_rights(found: State) -> None:
    if found.version is None and not found.may_create:
        message = (
            f"the user {found.user} may not make tables in the schema {found.schema} of the database {found.database}: "
            f"GRANT CREATE ON SCHEMA {found.schema} TO {found.user}"
        )
        raise TableError(CacheFault.NO_PERMISSION, message)
    if found.version is not None and not found.owned:
        message = (
            f"the user {found.user} does not own {found.schema}.{found.name}, and so cannot bring it to the newest "
            f"layout: ALTER TABLE {found.schema}.{found.name} OWNER TO {found.user}"
        )
        raise TableError(CacheFault.NO_PERMISSION, message)


async def _step(connection: Connection, found: State, steps: Steps, *, unlogged: bool) -> None:
    names: dict[str, sql.Composable] = {index: sql.Identifier(f"{found.name}_{index}") for index in _INDEXES}
    names["table"] = found.table
    names["unlogged"] = sql.SQL("UNLOGGED" if unlogged else "")
    for step in steps[found.version or 0 :]:
        for statement in step:
            await connection.execute(statement_of(statement, **names))
    comment = sql.Literal(_COMMENT.format(version=len(steps)))
    await connection.execute(statement_of("COMMENT ON TABLE {table} IS {comment}", table=found.table, comment=comment))


def statement_of(text: str, **parts: sql.Composable) -> sql.Composed:
    """A statement of the operator's, with names in it."""
    return sql.SQL("/* sophia-operator */ ") + sql.SQL(text).format(**parts)


async def _one(answer: Any) -> tuple[Any, ...]:
    row = await answer.fetchone()
    if row is None:
        raise ValueError("a query that always has an answer had none")
    return tuple(row)
