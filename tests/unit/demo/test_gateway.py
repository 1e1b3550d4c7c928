"""A load starts only once the gateway leads to the service, and says why it does not."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from hack.rig.gateway import wait_reachable
from tests.unit.adapters.servers import serving

HOST = "shop.demo.example.com"


async def wait(url: str, seconds: float = 10.0) -> None:
    await asyncio.to_thread(wait_reachable, url, HOST, seconds=seconds)


async def test_it_waits_through_the_gateways_own_404s_until_several_answers_in_a_row() -> None:
    statuses: list[int] = []

    async def handler(request: web.Request) -> web.Response:
        assert request.host == HOST
        # One listener knows the host already, another one still for a moment not.
        known = len(statuses) in (2, 3) or len(statuses) > 5
        statuses.append(200 if known else 404)
        return web.Response(status=statuses[-1], headers={"X-Sophia-Release": "shop-1"} if known else {})

    async with serving(handler) as url:
        await wait(url)
    assert statuses[6:11] == [200] * 5


async def test_an_error_of_the_app_itself_shows_that_it_is_reached() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=500, headers={"X-Sophia-Release": "shop-1"})

    async with serving(handler) as url:
        await wait(url)
        with pytest.raises(TimeoutError):
            await wait(url, seconds=0)


async def test_what_came_instead_is_in_the_error() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=404)

    async with serving(handler) as url:
        with pytest.raises(TimeoutError, match=rf"{url} to lead to {HOST}.*status 404 from the gateway"):
            await wait(url, seconds=0.5)


async def test_answers_of_somebody_else_are_none() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=200)

    async with serving(handler) as url:
        with pytest.raises(TimeoutError, match="of no release"):
            await wait(url, seconds=0.7)
