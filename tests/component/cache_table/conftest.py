from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from hack.rig.pgbouncer import PgBouncer, ini_for, pgbouncer, userlist_for
from hack.rig.postgres import Postgres, primary
from sophia_operator.adapters.cache_tables import PostgresCacheTables
from sophia_operator.core.cache.table import TableRequest
from tests.support.cache_tables import Entries, to_table

_numbers = count(1)


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A primary whose tables belong to the tests, each to one."""
    with primary() as running:
        yield running


@pytest.fixture(scope="module")
def pool(database: Postgres) -> Iterator[PgBouncer]:
    """A PgBouncer in transaction mode in front of it."""
    with pgbouncer(ini_for(database), userlist_for(database)) as running:
        yield running


@pytest.fixture
async def tables() -> AsyncIterator[PostgresCacheTables]:
    made = PostgresCacheTables()
    yield made
    await made.close()


@pytest.fixture
def request_(database: Postgres, pool: PgBouncer) -> TableRequest:
    """To a table of the test's own, through the pool."""
    return to_table(database, pool, table=f"cache_{next(_numbers)}")


@pytest.fixture
async def entries(database: Postgres, request_: TableRequest, tables: PostgresCacheTables) -> Entries:
    """The table, made, and with nothing in it."""
    await tables.table(request_)
    return Entries(database, request_.table)
