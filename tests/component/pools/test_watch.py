"""A connection that stands idle and tells at once when the server goes."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from hack.rig.pgbouncer import PgBouncer
from hack.rig.postgres import Postgres
from hack.rig.postgres_base import free_port
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.core.pool.findings import ServerRequest
from tests.support.postgres_requests import to

#: A connection that nobody closes is only found dead by its keepalives, twice as late.
_AT_ONCE_SECONDS = 5.0
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sophia-operator'"


async def _watching(pools: PostgresPools, server: Postgres, request: ServerRequest) -> asyncio.Task[None]:
    """A watch whose connection stands."""
    task = asyncio.ensure_future(pools.watch(request))
    await _until(server, 1)
    # It asks one thing first, and is idle then.
    while server.sql("SELECT state FROM pg_stat_activity WHERE application_name = 'sophia-operator'") != [("idle",)]:
        await asyncio.sleep(0.01)
    # The answer is on its way to us.
    done, _ = await asyncio.wait({task}, timeout=0.1)
    assert not done
    return task


async def _until(server: Postgres, sessions: int) -> None:
    async with asyncio.timeout(10):
        while server.sql(_SESSIONS) != [(sessions,)]:
            await asyncio.sleep(0.01)


async def test_it_returns_at_once_when_the_server_is_killed(pools: PostgresPools, fresh: Postgres) -> None:
    task = await _watching(pools, fresh, to(fresh))
    fresh.kill()
    await asyncio.wait_for(task, _AT_ONCE_SECONDS)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
async def test_it_returns_at_once_when_the_server_stops(
    pools: PostgresPools, fresh: Postgres, how: signal.Signals
) -> None:
    task = await _watching(pools, fresh, to(fresh))
    await asyncio.to_thread(fresh.stop, how)
    await asyncio.wait_for(task, _AT_ONCE_SECONDS)


async def test_it_returns_when_an_administrator_ends_it(pools: PostgresPools, fresh: Postgres) -> None:
    task = await _watching(pools, fresh, to(fresh))
    fresh.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sophia-operator'")
    await asyncio.wait_for(task, _AT_ONCE_SECONDS)


async def test_it_stays_where_idle_sessions_are_ended(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.set(idle_session_timeout="1s")
    task = await _watching(pools, fresh, to(fresh))
    done, _ = await asyncio.wait({task}, timeout=1.6)
    assert not done
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_stays_when_the_server_only_has_something_to_say(pools: PostgresPools, fresh: Postgres) -> None:
    task = await _watching(pools, fresh, to(fresh))
    fresh.set(default_transaction_read_only="on")
    done, _ = await asyncio.wait({task}, timeout=0.3)
    assert not done
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_stands_without_waking_anybody(pools: PostgresPools, fresh: Postgres) -> None:
    task = await _watching(pools, fresh, to(fresh))
    loop = asyncio.get_running_loop()
    before = time.process_time()
    await asyncio.sleep(0.5)
    # Two wake-ups of the loop would not show; a loop that spins, or polls every millisecond, does.
    assert time.process_time() - before < 0.05
    assert loop.is_running()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_cancelled_watch_leaves_nothing(pools: PostgresPools, fresh: Postgres) -> None:
    before = _watched_by_the_loop()
    task = await _watching(pools, fresh, to(fresh))
    assert _watched_by_the_loop() > before
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _watched_by_the_loop() == before
    await _until(fresh, 0)


def _watched_by_the_loop() -> set[int]:
    return set(asyncio.get_running_loop()._selector.get_map())  # type: ignore[attr-defined]


async def test_a_watch_that_is_cancelled_while_it_connects(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.freeze()
    task = asyncio.ensure_future(pools.watch(to(fresh)))
    await asyncio.wait({task}, timeout=0.2)
    task.cancel()
    async with asyncio.timeout(_AT_ONCE_SECONDS):
        with pytest.raises(asyncio.CancelledError):
            await task
    fresh.thaw()
    await _until(fresh, 0)


async def test_it_returns_when_there_is_no_server(pools: PostgresPools, fresh: Postgres) -> None:
    await asyncio.wait_for(pools.watch(to(fresh, port=free_port())), _AT_ONCE_SECONDS)


async def test_it_returns_when_the_server_does_not_answer(pools: PostgresPools, fresh: Postgres) -> None:
    fresh.freeze()
    await asyncio.wait_for(pools.watch(to(fresh, timeout_seconds=0.3)), _AT_ONCE_SECONDS)


async def test_closing_ends_every_watch(fresh: Postgres) -> None:
    pools = PostgresPools()
    task = await _watching(pools, fresh, to(fresh))
    await pools.close()
    await asyncio.wait_for(task, _AT_ONCE_SECONDS)
    await _until(fresh, 0)


async def test_closing_ends_a_watch_that_connects(fresh: Postgres) -> None:
    pools = PostgresPools()
    fresh.freeze()
    task = asyncio.ensure_future(pools.watch(to(fresh)))
    await asyncio.wait({task}, timeout=0.1)
    await pools.close()
    fresh.thaw()
    await asyncio.wait_for(task, _AT_ONCE_SECONDS)


async def test_a_pooler_can_be_watched_like_a_server(pools: PostgresPools, instance: PgBouncer) -> None:
    request = to(_as_server(instance), ssl_mode="Disable")
    task = asyncio.ensure_future(pools.watch(request))
    async with asyncio.timeout(10):
        while not [c for c in instance.console("SHOW CLIENTS") if c["application_name"] == "sophia-operator"]:
            await asyncio.sleep(0.01)
    assert not task.done()
    instance.kill()
    await asyncio.wait_for(task, _AT_ONCE_SECONDS)


def _as_server(instance: PgBouncer) -> Postgres:
    return Postgres(instance.folder, instance.port)
