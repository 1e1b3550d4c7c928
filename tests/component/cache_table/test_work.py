"""Sweeps, evictions and flushes of a table with real rows, through a real pool."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from hack.rig.postgres import Postgres
from hack.rig.waiting import until
from sophia_operator.adapters import cache_tables_work
from sophia_operator.adapters.cache_tables import PostgresCacheTables
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.table import TableRequest, TableTask, TableWork
from tests.support.cache_tables import Entries, done, numbered, refused, seen, task, these

SWEEP, EVICT, DELETE = TableWork


@contextmanager
def locked(entries: Entries, where: str) -> Iterator[None]:
    """Rows that somebody else holds on to."""
    with entries.server.connect() as other:
        other.execute("BEGIN")
        other.execute(f"SELECT 1 FROM {entries.table} WHERE {where} FOR UPDATE".encode())
        yield


async def test_what_expired_goes_and_nothing_else(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(numbered("emb:g1:old-", 2500), namespace="embeddings", lives="-1 s")
    entries.write(numbered("emb:g1:new-", 30), namespace="embeddings")
    entries.write(these("other:1"), namespace="of nobody", lives="-1 s")
    entries.write(these("other:2"), namespace="of nobody", lives=None)
    swept = done(await tables.work(request_, task(SWEEP, ttls={"embeddings": 60})))
    assert (swept.deleted, swept.ttls_given) == (2501, 0)
    assert swept.freed_bytes > 2501 * 100
    assert entries.count("key LIKE 'emb:g1:new-%'") == 30
    # What has no TTL and is of no namespace stays as it is.
    assert entries.count("key = 'other:2' AND expires_at IS NULL") == 1
    assert entries.count() == 31


async def test_what_has_no_ttl_gets_one(tables: PostgresCacheTables, entries: Entries, request_: TableRequest) -> None:
    entries.write(numbered("emb:g1:", 1500), namespace="embeddings", lives=None)
    entries.write(numbered("ses:g1:", 7), namespace="sessions", lives=None)
    entries.write(numbered("emb:g1:has-", 3), namespace="embeddings", lives="9 hours")
    swept = done(await tables.work(request_, task(SWEEP, ttls={"embeddings": 60, "sessions": 3600, "none": 1})))
    assert (swept.deleted, swept.ttls_given, dict(swept.namespaces)) == (0, 1507, {"embeddings": 1500, "sessions": 7})
    minutes = "expires_at BETWEEN now() + interval '{} s' AND now() + interval '{} s'"
    assert entries.count(minutes.format(0, 60)) == 1500
    assert entries.count(minutes.format(3000, 3600)) == 7
    assert entries.count(minutes.format(8 * 3600, 10 * 3600)) == 3


async def test_what_was_not_used_for_longest_is_evicted_until_enough_is_gone(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    for hours in range(10):
        entries.write(numbered(f"emb:g1:{hours}-", 100), namespace="embeddings", used=f"{hours} hours", size=1000)
    entries.write(numbered("ses:g1:", 100), namespace="sessions", used="2 days", size=1000)
    used = seen(await tables.table(request_)).namespaces["embeddings"].used_bytes
    evicted = done(await tables.work(request_, task(EVICT, namespaces=("embeddings",), evict_bytes=used // 4)))
    assert (evicted.deleted, dict(evicted.namespaces)) == (250, {"embeddings": 250})
    assert used // 4 <= evicted.freed_bytes < used // 4 + used // 1000 + 10
    assert entries.count("key LIKE 'emb:g1:8-%' OR key LIKE 'emb:g1:9-%'") == 0
    assert entries.count("key LIKE 'emb:g1:7-%'") == 50
    assert entries.count("namespace = 'sessions'") == 100
    assert seen(await tables.table(request_)).namespaces["embeddings"].used_bytes == used - evicted.freed_bytes


async def test_an_eviction_of_more_than_there_is_ends(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(numbered("emb:g1:", 1200), namespace="embeddings")
    evicted = done(await tables.work(request_, task(EVICT, namespaces=("embeddings", "x"), evict_bytes=10**12)))
    assert evicted.deleted == 1200


KEYS = (
    "emb:g1:a",
    "emb:g1:b*",
    "emb:g1:bc",
    "emb:g10:a",
    "emb:g2:a",
    "emb:g2:é",
    "emb:x",
    "emba:g1:a",
    "ses:g1:a",
    "z",
)

#: Patterns, what is allowed, and what is gone then.
Case = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


@pytest.mark.parametrize(
    "case",
    [
        (("emb:*",), ("emb:",), ("emb:g1:a", "emb:g1:b*", "emb:g1:bc", "emb:g10:a", "emb:g2:a", "emb:g2:é", "emb:x")),
        (("emb:g1:*", "ses:g1:*"), ("emb:", "ses:"), ("emb:g1:a", "emb:g1:b*", "emb:g1:bc", "ses:g1:a")),
        (("emb:*:a",), ("emb:",), ("emb:g1:a", "emb:g10:a", "emb:g2:a")),
        (("emb:g1:b\\*",), ("emb:",), ("emb:g1:b*",)),
        (("emb:g[12]:??",), ("emb:",), ("emb:g1:b*", "emb:g1:bc", "emb:g2:é")),
        (("emb:g_:%",), ("emb:",), ()),
        (("emb:g1:a' OR 'a'='a",), ("emb:",), ()),
        # Whatever a pattern says, nothing goes that is not allowed.
        (("*",), ("ses:",), ("ses:g1:a",)),
        (
            ("*",),
            ("emb:g1:", "emb:"),
            ("emb:g1:a", "emb:g1:b*", "emb:g1:bc", "emb:g10:a", "emb:g2:a", "emb:g2:é", "emb:x"),
        ),
        (("emb*",), ("emb:",), ("emb:g1:a", "emb:g1:b*", "emb:g1:bc", "emb:g10:a", "emb:g2:a", "emb:g2:é", "emb:x")),
        (("*",), ("em_:", "%"), ()),
        (("*",), (), ()),
        ((), ("emb:",), ()),
    ],
)
async def test_a_flush_takes_what_matches_and_is_allowed(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest, case: Case
) -> None:
    patterns, allowed, gone = case
    entries.write(these(*KEYS), namespace="any")
    flushed = done(await tables.work(request_, task(DELETE, patterns=patterns, allowed=allowed)))
    assert set(KEYS) - set(entries.keys()) == set(gone)
    assert flushed.deleted == len(gone)


async def test_ranges_that_touch(tables: PostgresCacheTables, entries: Entries, request_: TableRequest) -> None:
    # The first range ends with the key that the second begins with.
    entries.write(these("a:", "a:1", "a;", "a;1", "a<"), namespace="any")
    done(await tables.work(request_, task(DELETE, patterns=("a:*", "a;*"), allowed=("a:", "a;"))))
    assert entries.keys() == ["a<"]


async def test_a_flush_by_tag(tables: PostgresCacheTables, entries: Entries, request_: TableRequest) -> None:
    entries.write(numbered("emb:g1:", 1500), namespace="embeddings", tags="{red,green}")
    entries.write(these("emb:g1:plain"), namespace="embeddings", tags="{green}")
    entries.write(these("foreign:1"), namespace="of nobody", tags="{red}")
    entries.write(numbered("ses:g1:", 20), namespace="sessions")
    how = {"tag": "red", "patterns": ("ses:*",), "allowed": ("emb:", "ses:")}
    assert done(await tables.work(request_, task(DELETE, **how))).deleted == 1520
    assert entries.keys() == ["emb:g1:plain", "foreign:1"]


async def test_everything_goes_at_once(tables: PostgresCacheTables, entries: Entries, request_: TableRequest) -> None:
    entries.write(numbered("emb:g1:", 5000), namespace="embeddings")
    entries.write(numbered("foreign:", 10), namespace="of nobody")
    assert done(await tables.work(request_, task(DELETE, everything=True))).deleted == 5010
    assert entries.count() == 0


async def test_a_table_that_is_read_is_not_emptied_and_nobody_waits_long(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(numbered("emb:g1:", 10), namespace="embeddings")
    with locked(entries, "true"):
        answer = await tables.work(request_, task(DELETE, everything=True, seconds=1.0))
        refused(answer, CacheFault.TIMEOUT, "in use")
    assert answer.cursor == ""
    assert answer.deleted == 0
    assert entries.count() == 10
    assert done(await tables.work(request_, task(DELETE, everything=True))).deleted == 10


async def _in_parts(tables: PostgresCacheTables, request: TableRequest, given: TableTask, **changes: Any) -> list[int]:
    """All parts, one after the other; how many rows each deleted."""
    found = []
    cursor: str | None = ""
    while cursor is not None:
        part = await tables.work(request, task(given.work, **{**changes, "cursor": cursor}))
        assert part.failure is None, part
        cursor = part.cursor
        found.append(part.deleted)
        assert len(found) < 100
    return found


async def test_a_flush_goes_on_where_it_stood(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(numbered("emb:g1:", 400), namespace="embeddings")
    entries.write(numbered("emb:g2:", 200), namespace="embeddings")
    how = {"patterns": ("emb:*:*7", "emb:g2:*"), "allowed": ("emb:",), "rows_per_second": 300, "seconds": 0.25}
    parts = await _in_parts(tables, request_, task(DELETE), **how)
    assert len(parts) > 1
    assert sum(parts) == 40 + 200
    assert entries.count() == 360
    assert entries.count("key LIKE 'emb:g1:%7' OR key LIKE 'emb:g2:%'") == 0


async def test_work_keeps_to_its_rate_and_its_time(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(numbered("emb:g1:", 5000), namespace="embeddings", lives="-1 s")
    part = await tables.work(request_, task(SWEEP, rows_per_second=500, seconds=1.0))
    assert part.failure is None
    assert part.cursor is not None
    # The last batch, of a tenth of a second, may begin just before the time is over.
    assert 1.0 <= part.seconds < 3
    assert 50 <= part.deleted <= 500 * part.seconds + 1
    assert entries.count() == 5000 - part.deleted


async def test_no_transaction_is_of_more_than_a_thousand_rows(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.sql("CREATE TABLE IF NOT EXISTS sizes (work text, size int); GRANT ALL ON sizes TO app; TRUNCATE sizes")
    entries.sql(
        "CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO sizes SELECT TG_OP, count(*) FROM gone; RETURN NULL; END $$"
    )
    for event in ("DELETE", "UPDATE"):
        entries.sql(
            f"CREATE TRIGGER note_{event} AFTER {event} ON {entries.table} REFERENCING OLD TABLE AS gone "
            "FOR EACH STATEMENT EXECUTE FUNCTION note()"
        )
    entries.write(numbered("emb:g1:bare-", 3000), namespace="embeddings", lives=None)
    entries.write(numbered("emb:g1:old-", 3000), namespace="embeddings", lives="-1 s")
    done(await tables.work(request_, task(SWEEP, ttls={"embeddings": 60})))
    done(await tables.work(request_, task(EVICT, namespaces=("embeddings",), evict_bytes=1500 * 200)))
    done(await tables.work(request_, task(DELETE, patterns=("emb:*",), allowed=("emb:",))))
    assert entries.count() == 0
    sizes = entries.sql("SELECT work, max(size), sum(size) FROM sizes WHERE size > 0 GROUP BY work ORDER BY work")
    assert [(work, total) for work, _, total in sizes] == [("DELETE", 6000), ("UPDATE", 3000)]
    assert all(500 < most <= 1000 for _, most, _ in sizes), sizes


@pytest.mark.parametrize(
    "given",
    [
        task(SWEEP, ttls={"embeddings": 60}),
        task(EVICT, namespaces=("embeddings",), evict_bytes=10**9),
    ],
    ids=["sweep", "evict"],
)
async def test_rows_in_use_are_left_for_later(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest, given: TableTask
) -> None:
    entries.write(numbered("emb:g1:", 50), namespace="embeddings", lives="-1 s")
    with locked(entries, "key = 'emb:g1:7'"):
        assert done(await tables.work(request_, given)).deleted == 49
        assert entries.keys() == ["emb:g1:7"]
    assert done(await tables.work(request_, given)).deleted == 1


@pytest.mark.parametrize("how", [{"patterns": ("emb:*",)}, {"tag": "red"}], ids=["by key", "by tag"])
async def test_a_flush_comes_back_for_rows_in_use(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest, how: dict[str, Any]
) -> None:
    entries.write(numbered("emb:g1:", 50), namespace="embeddings", tags="{red}")
    given = task(DELETE, allowed=("emb:",), **how)
    with locked(entries, "key = 'emb:g1:7'"):
        first = await tables.work(request_, given)
        assert (first.failure, first.deleted) == (None, 49)
        assert first.cursor
        second = await tables.work(request_, replace(given, cursor=first.cursor))
        assert second.deleted == 0
        # Each part is told apart from all others, though they stand at the same place.
        assert second.cursor not in (None, "", first.cursor)
    assert done(await tables.work(request_, replace(given, cursor=second.cursor))).deleted == 1


async def test_a_row_that_is_in_use_for_a_moment_is_waited_for(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_tables_work, "_LOCK_MS", 30_000)
    monkeypatch.setattr(cache_tables_work, "_STATEMENT_MS", 30_000)
    entries.write(numbered("emb:g1:", 50), namespace="embeddings")
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def let_go_once_waited_for() -> None:
        with locked(entries, "key = 'emb:g1:7'"):
            held.set()
            until("somebody to wait", lambda: entries.sql(waits) != [], seconds=30, every=0.005)

    held = threading.Event()
    other = threading.Thread(target=let_go_once_waited_for)
    other.start()
    assert await asyncio.to_thread(held.wait, 10)
    flushed = await tables.work(request_, task(DELETE, patterns=("emb:*",), allowed=("emb:",)))
    other.join()
    assert done(flushed).deleted == 50


async def test_clients_that_write_meanwhile_are_not_held_up(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest, database: Postgres
) -> None:
    entries.write(numbered("emb:g1:", 5000), namespace="embeddings")
    writes = 0
    over = threading.Event()
    failed: list[psycopg.Error] = []

    def write() -> None:
        nonlocal writes
        with database.connect() as client:
            client.execute("SET lock_timeout = '10s'")
            try:
                while not over.is_set():
                    client.execute(upsert, (f"emb:g1:{writes % 5000 + 1}",))
                    writes += 1
            except psycopg.Error as error:
                failed.append(error)

    upsert = (
        f"INSERT INTO {entries.table} (key, namespace, value) VALUES (%s, 'sessions', '') "
        "ON CONFLICT (key) DO UPDATE SET value = '', last_used = now()"
    ).encode()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        how = {"patterns": ("emb:*",), "allowed": ("emb:",), "rows_per_second": 5000, "seconds": 1.0}
        parts = await _in_parts(tables, request_, task(DELETE), **how)
    finally:
        over.set()
        writer.join()
    assert not failed
    assert writes > 10
    assert sum(parts) >= 4500


async def test_a_cursor_of_something_else_is_refused(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest
) -> None:
    entries.write(these("emb:g1:1"), namespace="embeddings")
    answer = await tables.work(request_, task(DELETE, cursor="17", patterns=("emb:*",), allowed=("emb:",)))
    refused(answer, CacheFault.OTHER, "cursor")
    assert entries.count() == 1


async def test_what_a_part_did_is_told_though_it_failed(
    tables: PostgresCacheTables, entries: Entries, request_: TableRequest, database: Postgres
) -> None:
    entries.write(numbered("emb:g1:", 3000), namespace="embeddings")
    given = task(DELETE, patterns=("emb:*",), allowed=("emb:",), rows_per_second=1000, seconds=20.0)
    # Not through the pool, which would take another connection to the server for the next batch.
    part = asyncio.create_task(tables.work(replace(request_, port=database.port), given))
    await asyncio.to_thread(until, "some to go", lambda: entries.count() < 2900, seconds=10, every=0.02)
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    broken = await part
    refused(broken, CacheFault.UNREACHABLE)
    assert broken.deleted == 3000 - entries.count()
    rest = done(await tables.work(request_, task(DELETE, cursor=broken.cursor, patterns=("emb:*",), allowed=("emb:",))))
    assert broken.deleted + rest.deleted == 3000


async def test_closing_ends_a_part(tables: PostgresCacheTables, entries: Entries, request_: TableRequest) -> None:
    entries.write(numbered("emb:g1:", 3000), namespace="embeddings")
    given = task(DELETE, patterns=("emb:*",), allowed=("emb:",), rows_per_second=100, seconds=60.0)
    part = asyncio.create_task(tables.work(request_, given))
    await asyncio.to_thread(until, "some to go", lambda: entries.count() < 3000, seconds=10, every=0.02)
    await tables.close()
    refused(await part, CacheFault.UNREACHABLE)
