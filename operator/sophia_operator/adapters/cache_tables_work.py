"""Work at a cache's table, in short transactions of at most 1,000 rows."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from psycopg import errors, sql

from sophia_operator.adapters.cache_tables_faults import TableError
from sophia_operator.adapters.cache_tables_layout import State, statement_of, transaction
from sophia_operator.adapters.cache_tables_look import ENTRY_BYTES, count
from sophia_operator.adapters.cache_tables_pace import Pace
from sophia_operator.adapters.cache_tables_walk import Position, Range, ranges, wanted
from sophia_operator.adapters.postgres_session import Connection
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.table import TableResult, TableTask, TableWork

#: A batch that takes longer is given up; what it did is undone.
_STATEMENT_MS: Final = 2000
#: So long is waited for rows that are locked, and for the whole table. Whoever comes after waits as well.
_LOCK_MS: Final = 200

#: What follows a list of those that are `doomed`: delete them, and tell how many they were, and how large.
_GONE: Final = """gone AS (
  DELETE FROM {table} AS entry USING doomed WHERE entry.key = doomed.key RETURNING {bytes} AS bytes)
SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM gone"""
_ALLOWED: Final = """EXISTS (
  SELECT FROM unnest(%s::text[]) AS own (prefix) WHERE starts_with(key, own.prefix COLLATE "C"))"""
_EXPIRED: Final = """WITH doomed AS MATERIALIZED (
  SELECT key FROM {table} WHERE expires_at <= now() ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED), {gone}"""
_GIVE: Final = """WITH bare AS MATERIALIZED (
  SELECT key FROM {table} WHERE expires_at IS NULL AND namespace = %s LIMIT %s FOR UPDATE SKIP LOCKED)
UPDATE {table} AS entry SET expires_at = now() + make_interval(secs => %s) FROM bare WHERE entry.key = bare.key"""
#: Of the rows that were not used for longest only as many as are needed: those that are reached before enough is gone.
_EVICT: Final = """WITH locked AS MATERIALIZED (
  SELECT key, last_used, {bytes} AS bytes FROM {table} AS entry WHERE namespace = %s
  ORDER BY last_used LIMIT %s FOR UPDATE SKIP LOCKED),
ordered AS (SELECT key, sum(bytes) OVER (ORDER BY last_used, key) - bytes AS before FROM locked),
doomed AS (SELECT key FROM ordered WHERE before < %s), {gone}"""
_TAGGED: Final = """WITH doomed AS MATERIALIZED (
  SELECT key FROM {table} WHERE tags @> ARRAY[%s]::text[] AND {allowed} LIMIT %s FOR UPDATE {skip}), {gone}"""
_NAMED: Final = """WITH doomed AS MATERIALIZED (
  SELECT key FROM {table} WHERE key = ANY(%s::text[]) AND {allowed} ORDER BY key FOR UPDATE {skip}), {gone}"""
_NEXT: Final = "SELECT key FROM {table} WHERE key >= %s AND key < %s AND key > %s ORDER BY key LIMIT %s"
_SKIP, _WAIT = sql.SQL("SKIP LOCKED"), sql.SQL("")


@dataclass(frozen=True, slots=True)
class _Done:
    """What a batch did to how many rows: it took them away, or gave them TTLs."""

    rows: int
    freed_bytes: int = 0
    scanned: int | None = None
    #: Of those that were to be deleted: how many were locked.
    left: int = 0
    namespace: str | None = None
    gave: bool = False


class Progress:
    """What a part has done so far."""

    def __init__(self, task: TableTask) -> None:
        self._began = time.monotonic()
        self.cursor: str | None = task.cursor
        self.scanned = 0
        self.deleted = 0
        self.freed_bytes = 0
        self.ttls_given = 0
        self.namespaces: dict[str, int] = {}

    def add(self, done: _Done) -> None:
        """A batch was committed."""
        self.scanned += done.rows if done.scanned is None else done.scanned
        if done.gave:
            self.ttls_given += done.rows
        else:
            self.deleted += done.rows
            self.freed_bytes += done.freed_bytes
        if done.namespace is not None and done.rows:
            self.namespaces[done.namespace] = self.namespaces.get(done.namespace, 0) + done.rows

    def result(self, failure: CacheFailure | None = None) -> TableResult:
        """For whoever asked."""
        return TableResult(
            cursor=self.cursor,
            scanned=self.scanned,
            deleted=self.deleted,
            ttls_given=self.ttls_given,
            freed_bytes=self.freed_bytes,
            seconds=time.monotonic() - self._began,
            failure=failure,
            namespaces=self.namespaces,
        )


async def work_at(connection: Connection, found: State, task: TableTask, progress: Progress) -> None:
    """Do a part. `progress` knows what is done even when it fails in the middle. Raises what psycopg raises."""
    worker = _Worker(connection, found, task, progress)
    kinds: dict[TableWork, Callable[[], Awaitable[None]]] = {
        TableWork.SWEEP: worker.sweep,
        TableWork.EVICT: worker.evict,
        TableWork.DELETE: worker.truncate if task.everything else worker.delete,
    }
    await kinds[task.work]()


class _Worker:
    def __init__(self, connection: Connection, found: State, task: TableTask, progress: Progress) -> None:
        self._connection = connection
        self._found = found
        self._task = task
        self._progress = progress
        self._pace = Pace(task.rows_per_second, task.seconds)
        of: dict[str, sql.Composable] = {"table": found.table, "bytes": sql.SQL(ENTRY_BYTES)}
        self._parts = {**of, "gone": sql.SQL(_GONE).format(**of), "allowed": sql.SQL(_ALLOWED)}

    async def sweep(self) -> None:
        """Delete what expired, the longest expired first; then give TTLs to what has none."""
        if not await self._repeat(lambda rows: self._take(_EXPIRED, rows)):
            return
        for namespace, seconds in self._task.ttls.items():
            if not await self._repeat(partial(self._give, namespace, seconds)):
                return
        self._progress.cursor = None

    async def _give(self, namespace: str, seconds: int, rows: int) -> _Done:
        answer = await self._run(_GIVE, namespace, rows, seconds)
        return _Done(answer.rowcount, namespace=namespace, gave=True)

    async def evict(self) -> None:
        """Delete what was not used for longest, until enough is gone."""
        for namespace in self._task.namespaces:
            if not await self._repeat(partial(self._evict, namespace), until=self._evicted):
                return
        self._progress.cursor = None

    def _evicted(self) -> bool:
        return self._progress.freed_bytes >= self._task.evict_bytes

    async def _evict(self, namespace: str, rows: int) -> _Done:
        left = self._task.evict_bytes - self._progress.freed_bytes
        return replace(await self._take(_EVICT, namespace, rows, left), namespace=namespace)

    async def truncate(self) -> None:
        """Empty the table. It is not waited for long: nobody could read meanwhile."""
        holds = await count(self._connection, self._found, statement_ms=_STATEMENT_MS)
        while not await self._insist("TRUNCATE {table}"):
            if self._pace.over:
                message = f"the table was in use for longer than {_LOCK_MS} ms each time that it was to be emptied"
                raise TableError(CacheFault.TIMEOUT, message)
        self._progress.add(_Done(holds.keys, holds.used_bytes))
        self._progress.cursor = None

    async def delete(self) -> None:
        """Delete entries with the tag; then, by their keys, what matches one of the patterns."""
        position = Position.of(self._task.cursor)
        position = replace(position, part=position.part + 1)
        self._progress.cursor = position.cursor
        allowed = list(self._task.allowed)
        if self._task.tag is not None and not position.key:
            tag = self._task.tag
            if not await self._repeat(lambda rows: self._take(_TAGGED, tag, allowed, rows)):
                return
            # What is left is locked, or was written just now.
            position = replace(position, missed=not await self._insist(_TAGGED, tag, allowed, self._pace.rows))
        for part in ranges(self._task.patterns, self._task.allowed):
            if position.key < part.end:
                position, through = await self._walk(position, part, allowed)
                self._progress.cursor = position.cursor
                if not through:
                    return
        # Rows that were locked are come back for.
        self._progress.cursor = Position(part=position.part).cursor if position.missed else None

    async def _walk(self, position: Position, part: Range, allowed: list[str]) -> tuple[Position, bool]:
        """As far as the time allows; and whether the range is through."""
        while not self._pace.over:
            keys: list[str] = []
            rows = self._pace.rows

            async def take(rows: int, after: str = position.key, keys: list[str] = keys) -> _Done:
                answer = await self._run(_NEXT, part.first, part.end, after, rows)
                keys.extend(str(key) for (key,) in await answer.fetchall())
                doomed = wanted(keys, self._task.patterns)
                done = await self._take(_NAMED, doomed, allowed) if doomed else _Done(0)
                return replace(done, scanned=len(keys), left=len(doomed) - done.rows)

            done = await self._attempt(take)
            if done is None:
                continue
            missed = position.missed
            if done.left:
                missed |= not await self._insist(_NAMED, wanted(keys, self._task.patterns), allowed)
            position = replace(position, key=keys[-1] if keys else position.key, missed=missed)
            self._progress.cursor = position.cursor
            if len(keys) < rows:
                return position, True
        return position, False

    async def _repeat(
        self, work: Callable[[int], Awaitable[_Done]], *, until: Callable[[], bool] = lambda: False
    ) -> bool:
        """Batch after batch, until nothing is left or enough is done; False when the time is over before."""
        while not until():
            if self._pace.over:
                return False
            rows = self._pace.rows
            done = await self._attempt(work)
            if done is not None and done.rows < rows and not until():
                return True
        return True

    async def _attempt(self, work: Callable[[int], Awaitable[_Done]]) -> _Done | None:
        """One batch, and the pause after it; None when the server gave it up because it took too long."""
        began = time.monotonic()
        try:
            async with self._transaction():
                done = await work(self._pace.rows)
        except errors.QueryCanceled:
            if not self._pace.too_slow():
                raise
            done = None
        if done is not None:
            self._progress.add(done)
        await self._pace.pause(0 if done is None else done.rows, time.monotonic() - began)
        return done

    async def _insist(self, statement: str, *values: Any) -> bool:
        """Wait, for a moment, for locks that others hold; False when they keep them."""
        began = time.monotonic()
        done = _Done(0)
        try:
            async with self._transaction():
                if statement.startswith("TRUNCATE"):
                    await self._run(statement)
                else:
                    done = await self._take(statement, *values, skip=_WAIT)
        except (errors.LockNotAvailable, errors.QueryCanceled):
            await self._pace.pause(0, time.monotonic() - began)
            return False
        self._progress.add(done)
        await self._pace.pause(done.rows, time.monotonic() - began)
        return True

    def _transaction(self) -> AbstractAsyncContextManager[None]:
        return transaction(self._connection, statement_ms=_STATEMENT_MS, lock_ms=_LOCK_MS)

    async def _take(self, statement: str, *values: Any, skip: sql.SQL = _SKIP) -> _Done:
        """Delete rows, and tell how many they were, and how large."""
        answer = await self._run(statement, *values, skip=skip)
        ((rows, size),) = await answer.fetchall()
        return _Done(rows, size, scanned=rows)

    async def _run(self, statement: str, *values: Any, skip: sql.SQL = _SKIP) -> Any:
        return await self._connection.execute(statement_of(statement, **self._parts, skip=skip), values or None)
