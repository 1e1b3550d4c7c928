"""Acts of recovery on a pool that is real below Kubernetes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from hack.rig.postgres import Postgres, primary
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from tests.component.pool_real.rig import RealPool, now, running
from tests.support.recovery_objects import action

Client = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with primary() as made:
        made.sql("GRANT CREATE ON SCHEMA public TO app")
        yield made


def send(client: Client, statement: str) -> None:
    client.pgconn.send_query(statement.encode())
    client.pgconn.flush()


async def ended(pool: RealPool, does: str, name: str, **parameters: Any) -> ActStatus:
    """Ask for an act, and wait for its end."""
    obj = action(name, "Claimed", does=does, status={"claimedAt": now().isoformat()}, parameters=parameters)
    obj["metadata"].pop("uid")
    pool.cluster.add(obj)

    def over() -> ActStatus | None:
        found = next((a for a in pool.status().acts if a.name == name), None)
        return found if found is not None and found.phase is not ActPhase.RUNNING else None

    found: ActStatus = await pool.until(f"{does} to end", over, 60)
    return found


async def test_what_blocks_is_seen_long_before_the_interval_is_over_and_ended_alone(server: Postgres) -> None:
    async with running(server, healthCheck={"intervalSeconds": 600}, size={"min": 6, "max": 6}) as pool:
        with contextlib.ExitStack() as stack:

            async def connect(way: str) -> Client:
                return await asyncio.to_thread(pool.connect, way)

            ways = list(pool.ways().values())
            clients = [stack.enter_context(closing(await connect(ways[n % 2]))) for n in range(3)]
            root, victim, neighbour = clients
            await asyncio.to_thread(root.execute, "CREATE TABLE IF NOT EXISTS stock AS SELECT 1 AS id, 1 AS n")
            await asyncio.to_thread(root.execute, "BEGIN")
            await asyncio.to_thread(root.execute, "UPDATE stock SET n = 4711")
            send(victim, "UPDATE stock SET n = 2")
            send(neighbour, "SELECT pg_sleep(40)")
            seen = await pool.until("the three to be seen", lambda: len(pool.status().statements) == 3, 30)
            assert seen
            first = pool.status().statements[0]
            assert (first.blocks, first.idle, first.text) == (1, True, "UPDATE stock SET n = …")

            # The transaction is left open: only its session can be ended, and it is the pool's own.
            done = await ended(pool, "CancelStatement", "idle", minSeconds=5)
            assert (done.phase, done.did) == (ActPhase.DONE, [f"pg_terminate_backend({first.pid})"]), done
            await pool.until("the victim to go on", lambda: not is_working(server, "UPDATE stock SET n = 2"))
            assert is_working(server, "SELECT pg_sleep(40)")

            done = await ended(pool, "CancelStatement", "active", minSeconds=5)
            assert done.phase is ActPhase.DONE
            assert done.did[0].startswith("pg_cancel_backend(")
            assert not is_working(server, "SELECT pg_sleep(40)")


def is_working(server: Postgres, statement: str) -> bool:
    return server.sql(f"SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = '{statement}'") == [(1,)]


async def test_statistics_sizes_and_connections(server: Postgres) -> None:
    async with running(server, healthCheck={"intervalSeconds": 5}, size={"min": 8, "max": 8}) as pool:
        with pool.connect(next(iter(pool.ways().values()))) as client:
            client.execute("CREATE TABLE IF NOT EXISTS item AS SELECT generate_series(1, 300) n")
        done = await ended(pool, "RefreshPlans", "plans", table="item")
        assert done.phase is ActPhase.DONE
        assert done.did[0] == "ANALYZE public.item"
        assert len(done.did) == 3
        assert server.sql("SELECT reltuples FROM pg_class WHERE relname = 'item'") == [(300.0,)]

        done = await ended(pool, "Reconnect", "reconnect")
        assert done.phase is ActPhase.DONE
        assert len(done.did) == 2

        done = await ended(pool, "LimitConnections", "limit", percent=50)
        assert done.phase is ActPhase.DONE
        assert {m.size for m in pool.status().members} == {2}
        pool.cluster.remove("RecoveryAction", "limit")
        await pool.until("the size to be given back", lambda: {m.size for m in pool.status().members} == {4})
