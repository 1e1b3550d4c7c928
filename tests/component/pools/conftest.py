from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from hack.rig.pgbouncer import PgBouncer, ini_for, pgbouncer, userlist_for
from hack.rig.postgres import Postgres, primary
from sophia_operator.adapters.pools import PostgresPools


@pytest.fixture(scope="session")
def lasting() -> Iterator[Postgres]:
    """A primary for tests that leave it as it was."""
    with primary(preload="pg_stat_statements") as server:
        yield server


@pytest.fixture
def fresh() -> Iterator[Postgres]:
    """A primary of the test's own."""
    with primary() as server:
        yield server


@pytest.fixture
def instance(lasting: Postgres) -> Iterator[PgBouncer]:
    """A PgBouncer of the test's own, in front of the lasting primary."""
    with pgbouncer(ini_for(lasting), userlist_for(lasting)) as running:
        yield running


@pytest.fixture
async def pools() -> AsyncIterator[PostgresPools]:
    made = PostgresPools()
    yield made
    await made.close()
