"""The table is made, brought on, and left alone where it is somebody else's. On a real server, through a real pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from hack.rig.pgbouncer import PgBouncer
from hack.rig.postgres import Postgres
from sophia_operator.adapters.cache_tables import PostgresCacheTables
from sophia_operator.adapters.cache_tables_layout import STEPS
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.table import TableRequest, TableWork
from tests.support.cache_tables import Entries, numbered, refused, seen, task, to_table

NEXT = (*STEPS, ("ALTER TABLE {table} ADD COLUMN hits bigint NOT NULL DEFAULT 0",))


@pytest.fixture
async def newer() -> AsyncIterator[PostgresCacheTables]:
    """An operator that knows one more version."""
    made = PostgresCacheTables(steps=NEXT)
    yield made
    await made.close()


def _comment(entries: Entries) -> str:
    ((text,),) = entries.sql(f"SELECT obj_description('{entries.table}'::regclass)")
    return str(text)


async def test_the_first_look_makes_the_table(
    tables: PostgresCacheTables, request_: TableRequest, database: Postgres
) -> None:
    found = seen(await tables.table(request_))
    assert (found.version, found.keys, found.unlogged, dict(found.namespaces)) == (1, 0, True, {})
    assert found.check_failure is None
    assert found.check_ms is not None
    assert 0 < found.check_ms < 5000
    assert 0 < found.ping_ms < 5000
    entries = Entries(database, request_.table)
    assert _comment(entries) == "sophia-operator: table of a cache, version 1"
    assert entries.keys() == []  # The operator's own entry is gone.
    assert len(entries.sql(f"SELECT 1 FROM pg_indexes WHERE tablename = '{entries.table}'")) == 5
    assert seen(await tables.table(request_)).version == 1


@pytest.mark.parametrize(("unlogged", "kind"), [(True, "u"), (False, "p")])
async def test_it_is_unlogged_as_told_and_only_when_it_is_made(
    tables: PostgresCacheTables, database: Postgres, pool: PgBouncer, unlogged: bool, kind: str
) -> None:
    how = {"table": f"logged_{kind}"}
    assert seen(await tables.table(to_table(database, pool, unlogged=unlogged, **how))).unlogged is unlogged
    # Told otherwise later, it stays: that would write all of it anew, with everybody locked out.
    assert seen(await tables.table(to_table(database, pool, unlogged=not unlogged, **how))).unlogged is unlogged
    assert database.sql(f"SELECT relpersistence::text FROM pg_class WHERE relname = 'logged_{kind}'") == [(kind,)]


async def test_many_that_make_it_at_once(tables: PostgresCacheTables, request_: TableRequest) -> None:
    answers = await asyncio.gather(*(tables.table(request_) for _ in range(6)))
    assert {seen(answer).version for answer in answers} == {1}


async def test_a_table_of_somebody_else_is_left_alone(
    tables: PostgresCacheTables, database: Postgres, pool: PgBouncer
) -> None:
    database.sql("CREATE TABLE theirs (key text, expires_at timestamptz); COMMENT ON TABLE theirs IS 'our orders'")
    database.sql("INSERT INTO theirs VALUES ('a', now() - interval '1 day'); ALTER TABLE theirs OWNER TO app")
    request = to_table(database, pool, table="theirs")
    refused(await tables.table(request), CacheFault.NOT_OURS, "public.theirs", "spec.postgresql.table")
    for work in TableWork:
        given = task(work, patterns=("*",), allowed=("",), namespaces=("a",), evict_bytes=1, everything=True)
        refused(await tables.work(request, given), CacheFault.NOT_OURS)
    assert database.sql("SELECT key FROM theirs") == [("a",)]
    assert database.sql("SELECT obj_description('theirs'::regclass)") == [("our orders",)]


@pytest.mark.parametrize("comment", ["sophia-operator: table of a cache, version 1"])
async def test_a_view_is_no_table_whatever_its_comment(
    tables: PostgresCacheTables, database: Postgres, pool: PgBouncer, comment: str
) -> None:
    database.sql(f"CREATE VIEW seen AS SELECT 1; COMMENT ON VIEW seen IS '{comment}'")
    refused(await tables.table(to_table(database, pool, table="seen")), CacheFault.NOT_OURS)


async def test_work_waits_for_the_table(tables: PostgresCacheTables, request_: TableRequest) -> None:
    refused(await tables.work(request_, task(TableWork.SWEEP)), CacheFault.TABLE_MISSING, request_.table)


async def test_an_older_table_is_brought_on_with_all_that_is_in_it(
    newer: PostgresCacheTables, tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(numbered("emb:g1:", 100), namespace="embeddings")
    refused(await newer.work(request_, task(TableWork.SWEEP)), CacheFault.OTHER, "version 1")
    found = seen(await newer.table(request_))
    assert (found.version, found.keys) == (2, 100)
    assert entries.count("hits = 0") == 100
    assert _comment(entries).endswith("version 2")
    # Whoever knows less keeps away from it.
    refused(await tables.table(request_), CacheFault.NEWER_LAYOUT, "version 2", "knows 1")
    refused(await tables.work(request_, task(TableWork.SWEEP)), CacheFault.NEWER_LAYOUT)


async def test_a_step_that_fails_leaves_the_table_as_it_was(entries: Entries, request_: TableRequest) -> None:
    failing = PostgresCacheTables(steps=(*NEXT, ("ALTER TABLE {table} ADD COLUMN hits int",)))
    refused(await failing.table(request_), CacheFault.OTHER, "already exists")
    assert _comment(entries).endswith("version 1")
    assert (
        entries.sql(f"SELECT 1 FROM pg_attribute WHERE attrelid = '{entries.table}'::regclass AND attname = 'hits'")
        == []
    )
    await failing.close()


async def test_a_table_in_use_is_not_waited_for(
    newer: PostgresCacheTables, entries: Entries, request_: TableRequest, database: Postgres
) -> None:
    with database.connect() as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT count(*) FROM {entries.table}".encode())
        refused(await newer.table(request_), CacheFault.TIMEOUT, "in use", "next look")
        # Others were not held up for good: a writer gets through while the reader still reads.
        entries.write(numbered("emb:g1:", 1), namespace="embeddings")
    assert seen(await newer.table(request_)).version == 2


async def test_without_the_right_to_make_it(tables: PostgresCacheTables, database: Postgres, pool: PgBouncer) -> None:
    database.sql("ALTER DATABASE app OWNER TO postgres")
    try:
        answer = await tables.table(to_table(database, pool, table="forbidden"))
        refused(answer, CacheFault.NO_PERMISSION, "GRANT CREATE ON SCHEMA public TO app", "database app")
    finally:
        database.sql("ALTER DATABASE app OWNER TO app")
    assert seen(await tables.table(to_table(database, pool, table="forbidden"))).version == 1


async def test_without_the_right_to_use_it(
    tables: PostgresCacheTables, newer: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.sql(
        f"ALTER TABLE {entries.table} OWNER TO postgres; GRANT SELECT, INSERT, UPDATE ON {entries.table} TO app"
    )
    refused(await tables.table(request_), CacheFault.NO_PERMISSION, "GRANT SELECT, INSERT, UPDATE, DELETE")
    entries.sql(f"GRANT DELETE ON {entries.table} TO app")
    assert seen(await tables.table(request_)).version == 1
    refused(await newer.table(request_), CacheFault.NO_PERMISSION, "OWNER TO app")


async def test_a_standby_makes_no_table(
    tables: PostgresCacheTables, database: Postgres, request_: TableRequest
) -> None:
    with database.standby() as standby:
        answer = await tables.table(to_table(standby, table="elsewhere"))
    refused(answer, CacheFault.READ_ONLY, "standby")


async def test_a_server_that_is_gone_and_a_wrong_password(
    tables: PostgresCacheTables, database: Postgres, pool: PgBouncer
) -> None:
    secret = "not-the-password"
    wrong = await tables.table(to_table(database, password=secret))
    refused(wrong, CacheFault.AUTHENTICATION_FAILED)
    assert secret not in str(wrong)
    refused(await tables.table(to_table(database, port=1)), CacheFault.UNREACHABLE)
    refused(await tables.table(to_table(database, host="nowhere.invalid")), CacheFault.HOST_UNKNOWN)


async def test_a_closed_adapter_opens_nothing(request_: TableRequest) -> None:
    made = PostgresCacheTables()
    await made.close()
    refused(await made.table(request_), CacheFault.UNREACHABLE)


async def test_nothing_is_left_prepared_or_set_in_the_pool(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest, pool: PgBouncer, database: Postgres
) -> None:
    await tables.work(request_, task(TableWork.SWEEP, ttls={"embeddings": 60}))
    assert isinstance(request_, TableRequest)
    with pool.connect("app", database.user, database.password) as client:
        assert isinstance(client, psycopg.Connection)
        for name in ("statement_timeout", "lock_timeout"):
            assert client.execute(f"SELECT current_setting('{name}')".encode()).fetchall() == [("0",)]
        assert client.execute(b"SELECT count(*) FROM pg_prepared_statements").fetchall() == [(0,)]
