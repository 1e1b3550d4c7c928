from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from sophia_operator.adapters.http import HttpRequests
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.findings import RequestsResult, RequestsTask
from tests.unit.adapters.servers import serving

LIST = "/a\n\n# these are seldom\n/b?x=1\n  /c\n"


@pytest.fixture
async def http() -> AsyncIterator[HttpRequests]:
    client = HttpRequests()
    yield client
    await client.close()


class Site:
    """Serves a list at /list, and notes what is asked for beside it."""

    def __init__(self, text: str | bytes = LIST, status: int = 200, broken: frozenset[str] = frozenset()) -> None:
        self.text, self.status, self.broken = text, status, broken
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/list":
            text = self.text if isinstance(self.text, bytes) else self.text.encode()
            return web.Response(body=text, status=self.status)
        self.asked.append(request.path_qs)
        return web.Response(status=500 if request.path in self.broken else 200)


async def part(
    http: HttpRequests, site: Site, first: int = 0, rate: int = 1000, seconds: float = 30.0
) -> RequestsResult:
    async with serving(site.answer) as url:
        return await http.warm(RequestsTask(f"{url}/list", f"{url}/", first, rate, seconds))


async def test_each_path_of_the_list_is_asked_for_once(http: HttpRequests) -> None:
    site = Site()
    result = await part(http, site)
    assert sorted(site.asked) == ["/a", "/b?x=1", "/c"]
    assert (result.next, result.total, result.answered, result.failed, result.failure) == (None, 3, 3, 0, None)


async def test_it_goes_on_where_it_stood(http: HttpRequests) -> None:
    site = Site()
    assert (await part(http, site, first=2)).next is None
    assert site.asked == ["/c"]
    assert (await part(http, site, first=3)).answered == 0
    assert site.asked == ["/c"]


async def test_a_part_ends_when_its_time_is_over(http: HttpRequests) -> None:
    site = Site("/x\n" * 1000)
    result = await part(http, site, rate=20, seconds=0.2)
    assert result.next == len(site.asked) == result.answered
    assert 1 <= result.next <= 4


async def test_requests_that_fail_are_counted_and_left_behind(http: HttpRequests) -> None:
    site = Site(broken=frozenset({"/a"}))
    result = await part(http, site)
    assert (result.next, result.answered, result.failed, result.failure) == (None, 2, 1, None)


async def test_a_service_that_answers_nothing_as_hoped_says_how(http: HttpRequests) -> None:
    site = Site("/a\n" * 1000, broken=frozenset({"/a"}))
    result = await part(http, site, rate=20, seconds=0.1)
    assert result.answered == 0
    assert result.failed == result.next
    assert result.failure is not None
    assert result.failure.message == "no request was answered as hoped: the answer is 500"


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (Site(status=404), "asked for the list, its server answers 404"),
        (Site(b"/\xff\xfe"), "the list is no text in UTF-8: correct it"),
        (Site("/a\n@example.com/\n"), "path 2 of the list does not begin with /: correct it"),
        (Site("/" + "a" * 5 * 1024 * 1024), "the list is larger than 4 MiB: make it shorter"),
    ],
)
async def test_a_list_that_cannot_be_used_is_said_to_be(http: HttpRequests, site: Site, message: str) -> None:
    result = await part(http, site, first=7)
    assert result.failure is not None
    assert result.failure.message == message
    assert (result.next, site.asked) == (7, [])


async def test_a_list_whose_server_is_not_there_is_said_to_be(http: HttpRequests) -> None:
    result = await http.warm(RequestsTask("http://127.0.0.1:1/list", "http://127.0.0.1:1", 0, 10, 1.0))
    assert result.failure is not None
    assert result.failure.fault is CacheFault.UNREACHABLE
    assert result.failure.message.startswith("the list cannot be had: cannot connect")


async def test_a_part_that_is_cut_off_leaves_no_request_behind(http: HttpRequests) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def hanging(request: web.Request) -> web.Response:
        if request.path == "/list":
            return web.Response(text="/a\n")
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with serving(hanging) as url:
        running = asyncio.create_task(http.warm(RequestsTask(f"{url}/list", url, 0, 10, 30.0)))
        await began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert {t.get_name() for t in asyncio.all_tasks() if "ask" in repr(t.get_coro())} == set()
