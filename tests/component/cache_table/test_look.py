"""What a look at a table tells, of small tables and of large ones."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from sophia_operator.adapters import cache_tables_look
from sophia_operator.adapters.cache_tables import PostgresCacheTables
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.table import TableRequest
from tests.support.cache_tables import Entries, numbered, seen, these


async def test_a_small_table_is_counted(tables: PostgresCacheTables, entries: Entries, request_: TableRequest) -> None:
    entries.write(numbered("emb:g1:", 300), namespace="embeddings", size=500)
    entries.write(numbered("ses:g1:", 20), namespace="sessions", lives=None)
    entries.write(numbered("ses:g1:old-", 5), namespace="sessions", lives="-1 s")
    entries.write(these("sophia-operator:check:left"), namespace="", lives="-1 s")
    found = seen(await tables.table(request_))
    assert (found.keys, found.expired) == (320, 5)
    assert {name: (n.keys, n.without_ttl) for name, n in found.namespaces.items()} == {
        "embeddings": (300, 0),
        "sessions": (20, 20),
    }
    used = found.namespaces["embeddings"].used_bytes
    assert 300 * 500 < used < 300 * 1000
    ((on_disk,),) = entries.sql(f"SELECT pg_total_relation_size('{entries.table}')")
    assert found.used_bytes == on_disk


async def test_a_large_value_counts_as_it_is_stored(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(these("emb:g1:easy"), namespace="easy", size=1_000_000)
    entries.sql(f"ALTER TABLE {entries.table} ALTER value SET STORAGE EXTERNAL")
    entries.write(these("emb:g1:hard"), namespace="hard", size=1_000_000)
    found = seen(await tables.table(request_)).namespaces
    assert found["easy"].used_bytes < 30_000
    assert found["hard"].used_bytes > 1_000_000


async def test_a_large_table_is_estimated(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(numbered("emb:g1:", 60_000), namespace="embeddings")
    entries.write(numbered("ses:g1:", 20_000), namespace="sessions", lives=None)
    exact = seen(await tables.table(request_))
    assert exact.keys == 80_000
    with patch.object(cache_tables_look, "PAGES", 400):
        found = seen(await tables.table(request_))
    ((pages,),) = entries.sql(f"SELECT pg_relation_size('{entries.table}') / 8192")
    assert pages > 1000
    # Other pages are looked at each time, so it is hardly ever exact, and never far off.
    assert found.keys != 80_000
    assert abs(found.keys - 80_000) < 20_000
    assert abs(found.namespaces["sessions"].without_ttl - 20_000) < 10_000
    ratio = found.namespaces["embeddings"].used_bytes / exact.namespaces["embeddings"].used_bytes
    assert 0.7 < ratio < 1.3


async def test_an_entry_that_cannot_be_written_says_why(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(numbered("emb:g1:", 3), namespace="embeddings")
    entries.sql(
        "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    entries.sql(f"CREATE TRIGGER full_disk BEFORE INSERT ON {entries.table} EXECUTE FUNCTION full_disk()")
    found = seen(await tables.table(request_))
    # It answers all the same, and can be read.
    assert found.keys == 3
    assert found.check_ms is None
    assert found.check_failure is not None
    assert found.check_failure.fault is CacheFault.PERSISTENCE_FAILED
    assert "could not extend file" in found.check_failure.message


async def test_a_look_keeps_its_time(tables: PostgresCacheTables, entries: Entries, request_: TableRequest) -> None:
    with entries.server.connect() as other:
        other.execute("BEGIN")
        other.execute(f"LOCK TABLE {entries.table}".encode())
        answer = await tables.table(replace(request_, timeout_seconds=1.0))
    assert isinstance(answer, CacheFailure)
    assert answer.fault is CacheFault.TIMEOUT
