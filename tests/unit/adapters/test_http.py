from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from sophia_operator.adapters.http import HttpRequests
from sophia_operator.api.release import Color
from sophia_operator.api.smoke import Expectation, Header, HttpMethod, JsonPathExpectation, SmokeTest
from sophia_operator.core.findings import ProbeRequest, SmokeRequest
from tests.unit.adapters.servers import serving, speaking


@pytest.fixture
async def http() -> AsyncIterator[HttpRequests]:
    client = HttpRequests()
    yield client
    await client.close()


def smoke_request(url: str, test: SmokeTest, host: str | None = None, **marks: str) -> SmokeRequest:
    return SmokeRequest(test, url, host, marks)


def probe_request(url: str, count: int) -> ProbeRequest:
    return ProbeRequest(url, "shop.example", "/", {"x-sophia-probe": "weighted"}, count)


async def test_smoke_sends_what_the_test_says_and_reads_the_whole_answer(http: HttpRequests) -> None:
    got: dict[str, object] = {}

    async def handler(request: web.Request) -> web.Response:
        got.update(
            method=request.method, path=request.path_qs, host=request.host, body=await request.text(),
            own=request.headers["X-Own"], probe=request.headers["x-sophia-probe"],
        )  # fmt: skip
        return web.json_response({"models": [{"ready": True}]}, status=201)

    test = SmokeTest(
        name="predict",
        path="/v1/predict?dry=1",
        method=HttpMethod.POST,
        headers=[Header(name="X-Own", value="yes"), Header(name="X-Sophia-Probe", value="forged")],
        body='{"input": 1}',
        expect=Expectation(status=201, json_path=JsonPathExpectation(path=".models[0].ready", equals="true")),
    )
    async with serving(handler) as url:
        result = await http.smoke(smoke_request(url, test, "shop.example", **{"x-sophia-probe": "candidate"}))
    assert result.passed, result.message
    assert got == {
        "method": "POST", "path": "/v1/predict?dry=1", "host": "shop.example", "body": '{"input": 1}', "own": "yes",
        "probe": "candidate",
    }  # fmt: skip


async def test_smoke_says_what_was_wrong(http: HttpRequests) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=500, text="boom")

    async with serving(handler) as url:
        result = await http.smoke(smoke_request(url, SmokeTest(name="t", path="/")))
    assert not result.passed
    assert result.message == "the answer is 500, 200 expected"


async def test_smoke_does_not_follow_redirects(http: HttpRequests) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async with serving(handler) as url:
        moved = SmokeTest(name="t", path="/", expect=Expectation(status=302))
        assert (await http.smoke(smoke_request(url, moved))).passed


async def test_smoke_gives_up_on_an_answer_that_drips(http: HttpRequests) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
    async with speaking(head, *[b"x"] * 50, pause=0.3) as url:
        result = await http.smoke(smoke_request(url, SmokeTest(name="t", path="/", timeout_seconds=1)))
    assert not result.passed
    assert result.message == "no whole answer within 1 s"


async def test_smoke_reads_no_more_than_a_mebibyte(http: HttpRequests) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * (3 * 1024 * 1024) + b"needle")

    async with serving(handler) as url:
        looks = SmokeTest(name="t", path="/", expect=Expectation(body_contains="needle"))
        blind = SmokeTest(name="t", path="/")
        result = await http.smoke(smoke_request(url, looks))
        assert not result.passed
        assert "larger than 1 MiB" in result.message
        assert (await http.smoke(smoke_request(url, blind))).passed


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "cannot connect"),
        ("http://127.0.0.1:99999", "cannot be sent as it is written"),
        ("gopher://127.0.0.1", "cannot be sent as it is written"),
        ("http://no-such-host.invalid", "cannot connect"),
    ],
)
async def test_smoke_never_raises_for_the_network(http: HttpRequests, url: str, words: str) -> None:
    result = await http.smoke(smoke_request(url, SmokeTest(name="t", path="/")))
    assert not result.passed
    assert words in result.message


async def test_smoke_never_shows_header_values(http: HttpRequests) -> None:
    header = Header.model_construct(name="authorization", value="s3cret\r\nx")
    test = SmokeTest(name="t", path="/").model_copy(update={"headers": [header]})
    result = await http.smoke(smoke_request("http://127.0.0.1:1", test))
    assert not result.passed
    assert "s3cret" not in result.message


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"])
async def test_smoke_survives_servers_that_speak_badly(http: HttpRequests, answer: bytes) -> None:
    async with speaking(answer) as url:
        result = await http.smoke(smoke_request(url, SmokeTest(name="t", path="/")))
    assert not result.passed
    assert "the connection broke" in result.message


async def test_probe_counts_which_colour_answers(http: HttpRequests) -> None:
    turns, at_once, most = 0, 0, 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal turns, at_once, most
        assert request.headers["x-sophia-probe"] == "weighted"
        assert request.host == "shop.example"
        assert "cookie" not in request.headers
        turns, at_once = turns + 1, at_once + 1
        turn = turns
        most = max(most, at_once)
        await asyncio.sleep(0.005)
        at_once -= 1
        if turn % 10 == 0:
            return web.Response(status=503)
        color = "green" if turn % 2 else "blue"
        return web.Response(headers={"x-sophia-color": color, "set-cookie": f"sticky={color}"})

    async with serving(handler) as url:
        result = await http.probe(probe_request(url, 40))
    assert result.by_color == {Color.GREEN: 20, Color.BLUE: 16}
    assert result.other == 4
    assert result.message == "4 of 40: answered 503 without a mark"
    assert 2 <= most <= 10


async def test_probe_uses_connections_again(http: HttpRequests) -> None:
    peers = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(headers={"x-sophia-color": "blue"}, text=json.dumps(list(range(1000))))

    async with serving(handler) as url:
        await http.probe(probe_request(url, 60))
    assert len(peers) <= 10


async def test_probe_without_a_gateway_counts_nothing(http: HttpRequests) -> None:
    result = await http.probe(probe_request("http://127.0.0.1:1", 3))
    assert result.by_color == {}
    assert result.other == 3
    assert "cannot connect" in result.message


async def test_probe_gives_each_request_two_seconds(http: HttpRequests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sophia_operator.adapters.http._PROBE_SECONDS", 0.2)

    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async with serving(handler) as url:
        result = await asyncio.wait_for(http.probe(probe_request(url, 5)), 2)
    assert result.other == 5
    assert "no answer within" in result.message


class Limit:
    """The time that all probes have together; it runs out when the test says so."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await self.over.wait()


async def test_probe_counts_what_was_answered_when_the_time_for_all_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sophia_operator.adapters.http._PROBE_SECONDS", 60)
    limit, turns, go_on = Limit(), 0, asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        nonlocal turns
        turns += 1
        if turns > 10:
            # Ten are sent at once: when ten more are here, the first ten are answered.
            if turns == 20:
                limit.over.set()
            await go_on.wait()
        return web.Response(headers={"x-sophia-color": "blue"})

    http = HttpRequests(sleep=limit)
    async with serving(handler) as url:
        result = await http.probe(probe_request(url, 100))
        go_on.set()
    await http.close()
    assert limit.seconds == [3.0]
    assert result.by_color == {Color.BLUE: 10}
    assert result.other == 90
    assert result.message == "90 of 100: no answer within the 3 s that all have together"
    assert turns == 20


async def test_probe_gives_up_after_ten_in_a_row_without_an_answer() -> None:
    http, turns = HttpRequests(sleep=Limit()), 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal turns
        turns += 1
        if turns <= 5:
            return web.Response(headers={"x-sophia-color": "blue"})
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(handler) as url:
        result = await http.probe(probe_request(url, 100))
    await http.close()
    assert result.by_color == {Color.BLUE: 5}
    assert result.other == 95
    assert "given up, as" in result.message
    assert "of 100: no answer: the connection broke" in result.message
    assert turns < 40


async def test_answers_without_a_mark_are_no_reason_to_give_up(http: HttpRequests) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=503)

    async with serving(handler) as url:
        result = await http.probe(probe_request(url, 40))
    assert result.message == "40 of 40: answered 503 without a mark"


async def test_a_probe_that_is_stopped_leaves_no_request_behind(http: HttpRequests) -> None:
    here, gone = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        here.set()
        await gone.wait()
        return web.Response()

    async with serving(handler) as url:
        before = asyncio.all_tasks()
        asking = asyncio.create_task(http.probe(probe_request(url, 20)))
        await here.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        left = [repr(task.get_coro()) for task in asyncio.all_tasks() - before]
        assert [task for task in left if "_probe_once" in task or "sleep" in task] == []
        gone.set()
