"""How fast a warm-up by requests goes, and when it gives up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web

from sophia_operator.adapters import http_warm
from sophia_operator.adapters.http_warm import warm
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.findings import RequestsTask
from tests.support.paced_time import FakeTime
from tests.unit.adapters.servers import serving

LIST = "".join(f"/{number}\n" for number in range(1_000))


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    # A machine that is busy answers late, and nothing here is about that.
    monkeypatch.setattr(http_warm, "_REQUEST_SECONDS", 60.0)
    async with httpx.AsyncClient() as made:
        yield made


async def test_it_asks_at_its_pace(client: httpx.AsyncClient) -> None:
    asked: list[str] = []

    async def site(request: web.Request) -> web.Response:
        if request.path == "/list":
            return web.Response(text=LIST)
        asked.append(request.path)
        return web.Response()

    time = FakeTime()
    async with serving(site) as url:
        result = await warm(client, RequestsTask(f"{url}/list", url, 100, 100, 2.0), time.time())
    assert (result.next, result.answered, result.failed, result.failure) == (300, 200, 0, None)
    assert set(asked) == {f"/{number}" for number in range(100, 300)}
    assert 1.9 < time.at <= 2.1
    assert max(time.waits) <= 0.1


async def test_so_many_are_under_way_and_no_more(client: httpx.AsyncClient) -> None:
    under_way, most = 0, 0
    enough = asyncio.Event()

    async def site(request: web.Request) -> web.Response:
        nonlocal under_way, most
        if request.path == "/list":
            return web.Response(text=LIST)
        under_way += 1
        most = max(most, under_way)
        if under_way == 50:
            enough.set()
        await enough.wait()
        under_way -= 1
        return web.Response()

    async with serving(site) as url:
        result = await warm(client, RequestsTask(f"{url}/list", url, 0, 100_000, 60.0), FakeTime().time())
    assert (result.next, result.answered) == (None, 1_000)
    assert most == 50


async def test_a_release_that_is_not_there_costs_no_place_in_the_list(client: httpx.AsyncClient) -> None:
    async def site(_: web.Request) -> web.Response:
        return web.Response(text=LIST)

    time = FakeTime()
    async with serving(site) as url:
        result = await warm(client, RequestsTask(f"{url}/list", "http://127.0.0.1:1", 30, 20, 60.0), time.time())
    assert (result.next, result.total, result.answered, result.failed) == (30, 1_000, 0, 0)
    assert result.failure is not None
    assert result.failure.fault is CacheFault.UNREACHABLE
    assert result.failure.message.startswith("the release gives no answer: cannot connect")
