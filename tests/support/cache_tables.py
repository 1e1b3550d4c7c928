"""Requests to the table of a cache in a rig, and what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hack.rig.pgbouncer import PgBouncer
from hack.rig.postgres import Postgres
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.table import Table, TableRequest, TableResult, TableTask, TableWork


def to_table(server: Postgres, pool: PgBouncer | None = None, **changes: Any) -> TableRequest:
    """A request as the application's user, through the pool if there is one."""
    through = pool or server
    how = {
        "host": through.host,
        "port": through.port,
        "database": server.database,
        "username": server.user,
        "password": server.password,
        "table": "sophia_cache",
        "unlogged": True,
    }
    return TableRequest(**{**how, **changes})


def task(work: TableWork, **changes: Any) -> TableTask:
    """A part that may take as long and be as quick as it likes."""
    return TableTask(**{"work": work, "rows_per_second": 1_000_000, "seconds": 30.0, **changes})


def seen(answer: Table | CacheFailure) -> Table:
    """The table, which has to have answered."""
    assert isinstance(answer, Table), answer
    return answer


def refused(answer: Table | CacheFailure | TableResult, fault: CacheFault, *words: str) -> None:
    """There was no answer, for that reason, told in these words among others."""
    failure = answer.failure if isinstance(answer, TableResult) else answer
    assert isinstance(failure, CacheFailure), failure
    assert failure.fault is fault, failure
    for each in words:
        assert each in failure.message, failure


def done(result: TableResult) -> TableResult:
    """What a part did, which has to have gone well and to the end."""
    assert result.failure is None, result
    assert result.cursor is None, result
    return result


@dataclass(frozen=True)
class Entries:
    """What is in a table, as the server says, past the operator."""

    server: Postgres
    table: str

    def write(
        self,
        keys: str,
        *,
        namespace: str,
        lives: str | None = "1 hour",
        used: str = "0 s",
        tags: str = "{}",
        size: int = 10,
    ) -> None:
        """An entry for each key. `keys` is a query, `lives` how long they live from now on, `used` how long ago."""
        expires = "NULL" if lives is None else f"now() + interval '{lives}'"
        self.sql(
            f"INSERT INTO {self.table} (key, namespace, value, tags, expires_at, last_used) "
            f"SELECT key, '{namespace}', convert_to(repeat('x', {size}), 'UTF8'), '{tags}', {expires}, "
            f"now() - interval '{used}' FROM ({keys}) AS made (key)"
        )

    def keys(self) -> list[str]:
        """In order."""
        return [key for (key,) in self.sql(f"SELECT key FROM {self.table} ORDER BY key")]

    def count(self, where: str = "true") -> int:
        """How many."""
        ((found,),) = self.sql(f"SELECT count(*) FROM {self.table} WHERE {where}")
        return int(found)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """As the superuser."""
        return self.server.sql(statement)


def numbered(prefix: str, count: int) -> str:
    """A query of keys, for `Entries.write`."""
    return f"SELECT '{prefix}' || n FROM generate_series(1, {count}) AS n"


def these(*keys: str) -> str:
    """A query of keys, for `Entries.write`."""
    return "VALUES " + ", ".join("('{}')".format(key.replace("'", "''")) for key in keys)
