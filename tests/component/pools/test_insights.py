"""What pg_stat_statements of a real server shows, and what is said when it shows nothing."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from hack.rig.postgres import Postgres, primary
from sophia_operator.adapters.pools import PostgresPools
from tests.support.postgres_requests import to


@pytest.fixture
def loaded() -> Iterator[Postgres]:
    """A primary with the extension, in a schema of its own."""
    with primary(preload="pg_stat_statements") as server:
        server.sql('CREATE SCHEMA "Stats"')
        server.sql('GRANT USAGE ON SCHEMA "Stats" TO PUBLIC')
        server.sql('CREATE EXTENSION pg_stat_statements SCHEMA "Stats"')
        yield server


def _as_application(server: Postgres) -> psycopg.Connection[tuple[object, ...]]:
    where = f"host=127.0.0.1 port={server.port} dbname=app user=app password={server.password}"
    return psycopg.connect(where, autocommit=True)


async def test_statements_of_the_pools_user(pools: PostgresPools, loaded: Postgres) -> None:
    with _as_application(loaded) as client:
        client.execute("CREATE TABLE item (id int)")
        client.execute("INSERT INTO item SELECT generate_series(1, 5)")
        for limit in (2, 3):
            client.execute(f"SELECT id FROM item WHERE id <= {limit}".encode())
        client.execute("SELECT count(*) FROM generate_series(1, 200000)")
    seen = await pools.insights(to(loaded))
    assert not isinstance(seen, str), seen
    found = {s.text: s for s in seen}
    lookup = found["SELECT id FROM item WHERE id <= $1"]
    assert (lookup.calls, lookup.rows) == (2, 5)
    assert lookup.total_ms > 0
    assert int(lookup.query_id) != 0
    # Most time first; and what the operator itself asks is not among them.
    assert [s.total_ms for s in seen] == sorted((s.total_ms for s in seen), reverse=True)
    again = await pools.insights(to(loaded))
    assert lookup in again
    assert not [s for s in again if "sophia-operator" in str(s) or "pg_extension" in str(s)]


async def test_no_password_of_a_statement_is_shown(pools: PostgresPools, loaded: Postgres) -> None:
    """The server keeps statements that change users word by word."""
    loaded.sql("CREATE USER another PASSWORD 'canary-in-a-coal-mine'")
    loaded.sql("GRANT pg_read_all_stats TO app")
    loaded.sql("ALTER ROLE another PASSWORD $x$canary-in-a-coal-mine$x$", database="app")
    loaded.sql("CREATE USER third PASSWORD 'canary-in-a-coal-mine'", database="app")
    seen = await pools.insights(to(loaded))
    assert not isinstance(seen, str), seen
    assert "CREATE USER third PASSWORD '…'" in [s.text for s in seen]
    assert "canary" not in str(seen)


async def test_statements_of_another_database_are_left_out(pools: PostgresPools, loaded: Postgres) -> None:
    loaded.sql("SELECT 'elsewhere'", database="postgres")
    loaded.sql("GRANT pg_read_all_stats TO app")
    loaded.sql("SELECT 1 AS here")
    seen = await pools.insights(to(loaded))
    assert not isinstance(seen, str), seen
    texts = [s.text for s in seen]
    assert "SELECT $1 AS here" in texts
    assert "SELECT $1" not in texts


async def test_the_same_statement_of_two_users_is_one(pools: PostgresPools, loaded: Postgres) -> None:
    loaded.sql("GRANT pg_read_all_stats TO app")
    loaded.sql("SELECT 1 AS twice")
    with _as_application(loaded) as client:
        client.execute("SELECT 2 AS twice")
    seen = await pools.insights(to(loaded))
    assert not isinstance(seen, str), seen
    assert [s.calls for s in seen if s.text == "SELECT $1 AS twice"] == [2]


async def test_at_most_two_hundred(pools: PostgresPools, loaded: Postgres) -> None:
    with _as_application(loaded) as client:
        columns = [f"c{number}" for number in range(210)]
        client.execute(f"CREATE TABLE wide ({', '.join(f'{column} int' for column in columns)})".encode())
        for column in columns:
            client.execute(f"SELECT {column} FROM wide".encode())
    seen = await pools.insights(to(loaded))
    assert not isinstance(seen, str), seen
    assert len(seen) == 200


async def test_without_the_extension(pools: PostgresPools, lasting: Postgres) -> None:
    seen = await pools.insights(to(lasting))
    assert isinstance(seen, str)
    assert "database app does not have pg_stat_statements" in seen
    assert "CREATE EXTENSION pg_stat_statements" in seen


async def test_the_library_is_not_loaded(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.sql("CREATE EXTENSION pg_stat_statements")
    seen = await pools.insights(to(fresh))
    assert isinstance(seen, str)
    assert "put it into shared_preload_libraries and restart the server" in seen


async def test_without_the_right_to_read_the_view(pools: PostgresPools, loaded: Postgres) -> None:
    loaded.sql('REVOKE USAGE ON SCHEMA "Stats" FROM PUBLIC')
    seen = await pools.insights(to(loaded))
    assert isinstance(seen, str)
    assert 'GRANT USAGE ON SCHEMA "Stats"' in seen


async def test_only_other_users_statements(pools: PostgresPools, loaded: Postgres) -> None:
    loaded.sql('SELECT "Stats".pg_stat_statements_reset()')
    loaded.sql("SELECT 1 AS hidden")
    seen = await pools.insights(to(loaded))
    assert isinstance(seen, str)
    assert "GRANT pg_read_all_stats to it" in seen


async def test_no_server(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.stop()
    seen = await pools.insights(to(fresh))
    assert isinstance(seen, str)
    assert seen.startswith("pg_stat_statements could not be read: ")
    assert "Connection refused" in seen
