"""What runs for long on a real server, who waits for whom, and that exactly one statement is ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from hack.rig.postgres import Postgres, primary
from hack.rig.waiting import until
from sophia_operator.adapters import postgres_activity
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.core.pool.activity import Activity, Session
from sophia_operator.core.pool.findings import Server
from sophia_operator.core.pool.tasks import Analyzed, AnalyzeTask, Cancelled, CancelTask
from tests.support.postgres_requests import answered, to

Client = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with primary() as made:
        made.sql("CREATE ROLE bob LOGIN PASSWORD 'rig-app-password'")
        yield made


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes a fifth of a second is long here."""
    monkeypatch.setattr(postgres_activity, "LONG_SECONDS", 0.2)


@pytest.fixture
def client(server: Postgres) -> Iterator[Callable[..., Client]]:
    with contextlib.ExitStack() as stack:

        def connect(user: str = "app") -> Client:
            url = f"host=127.0.0.1 port={server.port} dbname=app user={user} password={server.password}"
            return stack.enter_context(contextlib.closing(psycopg.connect(url, autocommit=True)))

        yield connect
        stack.pop_all().close()
    # What a client left behind runs on.
    others = "FROM pg_stat_activity WHERE usename IN ('app', 'bob')"
    server.sql(f"SELECT pg_terminate_backend(pid) {others}")
    until("clients to go", lambda: server.sql(f"SELECT count(*) {others}") == [(0,)], seconds=20, every=0.02)


def send(client: Client, statement: str) -> None:
    """Begin with a statement, and do not wait for its end."""
    client.pgconn.send_query(statement.encode())
    client.pgconn.flush()


async def seen(pools: PostgresPools, server: Postgres) -> Activity:
    found: Server = answered(await pools.server(to(server)))
    return found.activity


def end(session: Session, **changes: Any) -> CancelTask:
    task = CancelTask("uid-1", session.pid, session.started_at, session.since, session.idle)
    return replace(task, **changes)


def is_working(server: Postgres, client: Client) -> bool:
    query = f"SELECT state FROM pg_stat_activity WHERE pid = {client.info.backend_pid}"
    return server.sql(query) == [("active",)]


def long_enough(server: Postgres, waiting: Client | None = None) -> None:
    if waiting is not None:
        query = f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {waiting.info.backend_pid}"
        until("it to wait", lambda: server.sql(query) == [("Lock",)], seconds=20, every=0.02)
    began = time.monotonic()
    until("it to take long", lambda: time.monotonic() - began > 0.3, seconds=5, every=0.05)


async def test_calm(pools: PostgresPools, server: Postgres, client: Callable[..., Client]) -> None:
    client().execute("SELECT 1")
    assert await seen(pools, server) == Activity()


async def test_one_statement_is_cancelled_and_not_its_neighbour(
    pools: PostgresPools, server: Postgres, client: Callable[..., Client]
) -> None:
    first, second = client(), client()
    send(first, "SELECT pg_sleep(60), 'secret' /* carol */ -- dave")
    send(second, "SELECT pg_sleep(61)")
    long_enough(server)
    found = {s.pid: s for s in (await seen(pools, server)).sessions}
    assert found.keys() == {first.info.backend_pid, second.info.backend_pid}
    mine = found[first.info.backend_pid]
    assert (mine.username, mine.address, mine.blocks, mine.waits, mine.idle) == ("app", "127.0.0.1", 0, False, False)
    assert mine.text == "SELECT pg_sleep(…), '…'"
    assert mine.query_id.startswith("text-")
    assert mine == {s.pid: s for s in (await seen(pools, server)).sessions}[mine.pid]

    # Neither another session of that number nor another statement of the session is hit.
    moment = timedelta(microseconds=1)
    for wrong in (
        end(mine, started_at=mine.started_at - moment),
        end(mine, since=mine.since + moment),
        end(mine, pid=mine.pid + 100_000),
        end(mine, idle=True),
    ):
        assert await pools.cancel(to(server), wrong) is Cancelled.GONE
        assert is_working(server, first)
    assert await pools.cancel(to(server), end(mine)) is Cancelled.TOLD
    until("it to end", lambda: not is_working(server, first), seconds=10, every=0.02)
    assert is_working(server, second)
    assert await pools.cancel(to(server), end(mine)) is Cancelled.GONE


async def test_who_waits_for_whom(pools: PostgresPools, server: Postgres, client: Callable[..., Client]) -> None:
    server.sql("DROP TABLE IF EXISTS stock; CREATE TABLE stock (id int, n int); GRANT ALL ON stock TO app, bob")
    server.sql("INSERT INTO stock VALUES (1, 1)")
    root, second, third = client(), client(), client()
    root.execute("BEGIN")
    root.execute("UPDATE stock SET n = 4242 WHERE id = 1")
    for waiting in (second, third):
        send(waiting, "UPDATE stock SET n = n + 1 WHERE id = 1")
        long_enough(server, waiting)
    found = (await seen(pools, server)).sessions
    assert [s.pid for s in found] == [c.info.backend_pid for c in (root, second, third)]
    assert [(s.blocks, s.waits, s.idle) for s in found] == [(2, False, True), (1, True, False), (0, True, False)]
    assert found[0].text == "UPDATE stock SET n = … WHERE id = …"

    # An open transaction has nothing to cancel: its session is ended.
    assert await pools.cancel(to(server), end(found[0], idle=False)) is Cancelled.GONE
    assert await pools.cancel(to(server), end(found[0])) is Cancelled.TOLD
    until("the others to go on", lambda: not is_working(server, third), seconds=10, every=0.02)
    assert (await seen(pools, server)).sessions == ()
    with pytest.raises(psycopg.OperationalError):
        root.execute("SELECT 1")


async def test_what_may_not_be_seen_is_said(
    pools: PostgresPools, server: Postgres, client: Callable[..., Client]
) -> None:
    server.sql("DROP TABLE IF EXISTS stock; CREATE TABLE stock (id int, n int); GRANT ALL ON stock TO app, bob")
    theirs, mine = client("bob"), client()
    theirs.execute("BEGIN")
    theirs.execute("LOCK TABLE stock")
    send(mine, "SELECT n FROM stock")
    long_enough(server, mine)
    found = await seen(pools, server)
    assert [(s.pid, s.waits) for s in found.sessions] == [(mine.info.backend_pid, True)]
    assert [(u.pid, u.username, u.blocks) for u in found.unseen] == [(theirs.info.backend_pid, "bob", 1)]
    assert found.hidden >= 1

    # With the right to see it, it may still not be ended: neither its statement, nor ever its session.
    server.sql("GRANT pg_read_all_stats TO app")
    try:
        worst = (await seen(pools, server)).sessions[0]
        assert (worst.pid, worst.username, worst.idle, worst.blocks) == (theirs.info.backend_pid, "bob", True, 1)
        assert await pools.cancel(to(server), end(worst)) is Cancelled.GONE
        send(theirs, "SELECT pg_sleep(60)")
        long_enough(server)
        worst = next(s for s in (await seen(pools, server)).sessions if s.pid == theirs.info.backend_pid)
        assert await pools.cancel(to(server), end(worst)) is Cancelled.FORBIDDEN
        assert is_working(server, theirs)
        server.sql("GRANT pg_signal_backend TO app")
        assert await pools.cancel(to(server), end(worst)) is Cancelled.TOLD
        until("it to end", lambda: not is_working(server, theirs), seconds=10, every=0.02)
    finally:
        server.sql("REVOKE pg_read_all_stats FROM app")
        server.sql("REVOKE pg_signal_backend FROM app")


async def test_a_server_that_shows_nobody_what_it_does_is_no_server_that_is_lost(
    pools: PostgresPools, server: Postgres
) -> None:
    server.sql("REVOKE EXECUTE ON FUNCTION pg_blocking_pids FROM PUBLIC")
    try:
        found = await seen(pools, server)
    finally:
        server.sql("GRANT EXECUTE ON FUNCTION pg_blocking_pids TO PUBLIC")
    assert found.sessions == ()
    assert "pg_blocking_pids" in (found.missing or "")


def estimate(server: Postgres, table: str) -> float:
    ((rows,),) = server.sql(f"SELECT reltuples FROM pg_class WHERE oid = '{table}'::regclass")
    return float(rows)


async def test_analyze_of_one_table_and_of_all(
    pools: PostgresPools, fresh: Postgres, client: Callable[..., Client]
) -> None:
    url = f"host=127.0.0.1 port={fresh.port} dbname=app user=app password={fresh.password}"
    fresh.sql("GRANT CREATE ON SCHEMA public TO app; CREATE TABLE theirs AS SELECT generate_series(1, 7) n")
    fresh.sql("ALTER DATABASE app OWNER TO postgres")
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as own:
        own.execute("CREATE TABLE item AS SELECT generate_series(1, 500) n")
        own.execute('CREATE TABLE "Item" AS SELECT generate_series(1, 30) n')
        own.execute("CREATE TABLE held AS SELECT generate_series(1, 40) n")
    assert await pools.analyze(to(fresh), AnalyzeTask("uid-1", "Item")) == Analyzed(('public."Item"',))
    assert (estimate(fresh, '"Item"'), estimate(fresh, "item")) == (30, -1)
    with fresh.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE held IN SHARE UPDATE EXCLUSIVE MODE")
        done = await pools.analyze(to(fresh), AnalyzeTask("uid-2"))
    assert isinstance(done, Analyzed)
    assert set(done.tables) == {"public.item", 'public."Item"'}
    assert done.left == ("public.held: somebody else holds it",)
    assert (estimate(fresh, "item"), estimate(fresh, "theirs"), estimate(fresh, "held")) == (500, -1, -1)

    async def refused(table: str | None) -> str:
        answer = await pools.analyze(to(fresh), AnalyzeTask("uid-3", table))
        assert isinstance(answer, Analyzed)
        return answer.refused or ""

    assert "does not own table theirs" in await refused("theirs")
    assert "has no table public.missing" in await refused("public.missing")
    fresh.sql("CREATE SCHEMA closed; CREATE TABLE closed.door (n int)")
    assert "has no table closed.door" in await refused("closed.door")
    fresh.demote()
    assert "it is a standby" in await refused(None)


async def test_analyze_has_a_time_limit(pools: PostgresPools, server: Postgres, client: Callable[..., Client]) -> None:
    own = client()
    server.sql("GRANT CREATE ON SCHEMA public TO app")
    own.execute("CREATE TABLE IF NOT EXISTS large AS SELECT generate_series(1, 10) n")
    # The index makes the server work for long on each row that it samples, and on each that is written.
    own.execute(
        "CREATE OR REPLACE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 FROM pg_sleep(1)'"
    )
    own.execute("TRUNCATE large")
    own.execute("CREATE INDEX IF NOT EXISTS slowly ON large (slow(n))")
    send(own, "INSERT INTO large VALUES (1), (2), (3)")
    until("the rows", lambda: not is_working(server, own), seconds=20, every=0.05)
    began = time.monotonic()
    done = await pools.analyze(to(server), AnalyzeTask("uid-1", "large", seconds=1.0))
    assert time.monotonic() - began < 8
    assert isinstance(done, Analyzed)
    assert (done.tables, done.late) == ((), 1)
