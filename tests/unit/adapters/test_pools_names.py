"""Names are resolved in threads that hold up neither each other nor the end of the process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from sophia_operator.adapters import postgres_names
from sophia_operator.adapters.postgres_names import Resolver

SOURCE = Path(__file__).resolve().parents[3] / "operator"
_SECONDS = 10.0


class Names:
    """A name server that does not answer for names that begin with `slow` until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host.startswith("slow"):
            self.go.wait(_SECONDS)
        if host.endswith("missing"):
            raise OSError(-2, "Name or service not known")
        return ["10.0.0.1", "fd00::1"]


async def test_addresses_are_not_looked_up() -> None:
    names = Names()
    resolve = Resolver(names)
    assert [await resolve(host, 5432) for host in ("10.0.0.7", "fd00::7")] == [["10.0.0.7"], ["fd00::7"]]
    assert names.asked == []


async def test_a_name_is_looked_up_each_time() -> None:
    names = Names()
    resolve = Resolver(names)
    for _ in range(2):
        assert await resolve("db", 5432) == ["10.0.0.1", "fd00::1"]
    assert names.asked == ["db", "db"]
    with pytest.raises(OSError, match="not known"):
        await resolve("missing", 5432)


async def test_names_that_are_not_answered_hold_up_no_others_however_often_they_are_asked_for() -> None:
    names = Names()
    resolve = Resolver(names)
    waiting = [asyncio.create_task(resolve(f"slow-{number % 40}", 5432)) for number in range(400)]
    await asyncio.sleep(0)
    async with asyncio.timeout(_SECONDS):
        assert await resolve("db", 5432) == ["10.0.0.1", "fd00::1"]
    assert len(names.asked) == 41
    names.go.set()
    assert {tuple(found) for found in await asyncio.gather(*waiting)} == {("10.0.0.1", "fd00::1")}


async def test_who_stops_waiting_takes_the_answer_from_nobody() -> None:
    names = Names()
    resolve = Resolver(names)
    first, second = (asyncio.create_task(resolve("slow", 5432)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    names.go.set()
    assert await second == ["10.0.0.1", "fd00::1"]


async def test_threads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_names, "_AT_ONCE", 2)
    names = Names()
    resolve = Resolver(names)
    waiting = [asyncio.create_task(resolve(f"slow-{number}", 5432)) for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="2 other names are being resolved"):
        await resolve("db", 5432)
    names.go.set()
    await asyncio.gather(*waiting)
    assert await resolve("db", 5432)


async def test_closing_ends_the_waiting() -> None:
    names = Names()
    resolve = Resolver(names)
    waiting = asyncio.create_task(resolve("slow-missing", 5432))
    await asyncio.sleep(0)
    resolve.close()
    with pytest.raises(OSError, match="the operator ends"):
        await waiting
    names.go.set()


_ENDING = """
import asyncio, socket, time
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.api.connection_pool import SslMode
from sophia_operator.core.pool.findings import ServerRequest

socket.getaddrinfo = lambda *_, **__: time.sleep(60)

async def main():
    pools = PostgresPools()
    request = ServerRequest("db.example", 5432, "app", SslMode.DISABLE, "app", "pw", None, timeout_seconds=0.2)
    print(await pools.server(request))
    await pools.close()

asyncio.run(main())
"""


def test_a_name_server_that_hangs_does_not_keep_the_process_from_ending() -> None:
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", _ENDING]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=40)
    assert done.returncode == 0, done.stderr
    assert "was not resolved within 0.2 s" in done.stdout
