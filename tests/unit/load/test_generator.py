"""The load generator against servers on the loopback interface."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from hack.load import Load, Outcome

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RELEASE = {"X-Sophia-Release": "web-1"}


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


async def finished(load: Load) -> None:
    async with load:
        assert await asyncio.to_thread(load.wait, 30)


async def good(request: web.Request) -> web.Response:
    return web.Response(text="ok", headers=RELEASE)


async def test_every_request_is_sent_on_schedule_and_counted() -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(text="ok", headers=RELEASE)

    async with serving(handler) as url:
        load = Load(f"{url}shop?x=1", "web.example", rate=200, max_requests=100, headers={"X-Extra": "1"})
        await finished(load)
    report = load.report()
    assert (report.sent, report.ok, report.lost, report.app_errors) == (100, 100, 0, 0)
    assert report.releases == {"web-1": 100}
    assert {(r.path_qs, r.host, r.headers["X-Extra"]) for r in seen} == {("/shop?x=1", "web.example", "1")}
    due = sorted(record.scheduled for record in load.records)
    assert due == pytest.approx([due[0] + number / 200 for number in range(100)])


async def test_completions_are_asked_for_and_whoever_answers_says_so_in_a_header_of_its_own() -> None:
    seen: list[tuple[str, str, object]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.content_type, await request.json()))
        return web.Response(text="ok", headers={"X-Model": "large", **RELEASE})

    async with serving(handler) as url:
        load = Load(url, rate=500, max_requests=20, fresh_share=0.5, body=b'{"model": "chat"}', named_by="x-model")
        await finished(load)
    assert seen == [("POST", "application/json", {"model": "chat"})] * 20
    assert load.report().releases == {"large": 20}


async def test_a_share_of_requests_has_a_connection_of_its_own() -> None:
    closing = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal closing
        closing += request.headers.get("Connection") == "close"
        return await good(request)

    async with serving(handler) as url:
        load = Load(url, rate=500, max_requests=100, fresh_share=0.25)
        await finished(load)
    assert closing == 25
    assert sum(record.fresh for record in load.records) == 25


async def test_an_error_of_the_app_is_not_a_lost_request() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=500, headers={**RELEASE, "X-Demo-Fault": "error"})

    async with serving(handler) as url:
        load = Load(url, rate=500, max_requests=20)
        await finished(load)
    report = load.report()
    assert (report.app_errors, report.lost, report.faults) == (20, 0, {"error": 20})


async def test_an_error_of_the_gateway_is_a_lost_request() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=503, text="no healthy upstream")

    async with serving(handler) as url:
        load = Load(url, rate=500, max_requests=20)
        await finished(load)
    report = load.report()
    assert (report.app_errors, report.lost) == (0, 20)
    assert report.lost_reasons == {"status 503 from the gateway": 20}


async def test_a_refused_connection_is_a_lost_request() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        load = Load(f"http://127.0.0.1:{unused.getsockname()[1]}/", rate=500, max_requests=20)
        await finished(load)
    assert load.report().lost == 20
    assert load.report().lost_reasons == {"connection refused": 20}


async def test_an_answer_that_comes_too_late_is_a_lost_request() -> None:
    never = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        if request.headers.get("Connection") == "close":
            await never.wait()
        return await good(request)

    async with serving(handler) as url:
        load = Load(url, rate=500, max_requests=20, fresh_share=0.5, timeout=0.2)
        await finished(load)
        never.set()
    report = load.report()
    assert (report.ok, report.lost) == (10, 10)
    assert report.lost_reasons == {"no answer within 0.2 s": 10}


async def test_a_connection_that_ends_in_mid_answer_is_a_lost_request() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        load = Load(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", rate=500, max_requests=10)
        await finished(load)
    assert load.report().lost == 10
    assert not any(record.repeated for record in load.records)


async def test_kept_connections_are_reused() -> None:
    peers: set[object] = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await good(request)

    async with serving(handler) as url:
        load = Load(url, rate=200, max_requests=50, fresh_share=0, connections=4)
        await finished(load)
    assert load.report().ok == 50
    assert len(peers) < 25


async def test_slow_answers_do_not_slow_the_schedule() -> None:
    """Open loop: all requests are out before the first is answered."""
    arrived = 0
    all_there = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        if arrived == 30:
            all_there.set()
        await all_there.wait()
        return await good(request)

    async with serving(handler) as url:
        load = Load(url, rate=500, max_requests=30)
        await finished(load)
    assert load.report().ok == 30


async def test_no_more_than_max_in_flight_are_unanswered_and_the_wait_shows() -> None:
    inside, most = 0, 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.005)
        inside -= 1
        return await good(request)

    async with serving(handler) as url:
        load = Load(url, rate=2000, max_requests=60, max_in_flight=2)
        await finished(load)
    report = load.report()
    assert (report.ok, most) == (60, 2)
    assert report.late_ms is not None
    assert report.late_ms > 50  # 60 requests of 5 ms, two at a time, were all due within 30 ms


async def test_it_stops_when_told_and_finishes_what_it_sent(tmp_path: Path) -> None:
    log = tmp_path / "log" / "requests.jsonl"
    answered = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        answered.set()
        return await good(request)

    async with serving(handler) as url, Load(url, rate=100, log=log) as load:
        await answered.wait()
        assert load.running
    assert load.wait(0)
    sent = load.report().sent
    assert 0 < sent < 1000
    assert load.report().lost == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == sent
    assert {line["release"] for line in lines} == {"web-1"}


async def test_a_report_can_be_of_a_part_of_the_time() -> None:
    async with serving(good) as url:
        load = Load(url, rate=500, max_requests=50)
        await finished(load)
    middle = load.records[25].scheduled
    before, after = load.report(until=middle), load.report(since=middle)
    assert before.sent + after.sent == 50
    assert before.sent > 0
    assert after.sent > 0


async def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    load = Load("http://127.0.0.1:9/", log=tmp_path)  # a folder
    with pytest.raises(IsADirectoryError):
        await finished(load)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("https://127.0.0.1/", {}),
        ("127.0.0.1:80", {}),
        ("http://127.0.0.1/", {"rate": 0}),
        ("http://127.0.0.1/", {"fresh_share": 1.5}),
        ("http://127.0.0.1/", {"connections": 0}),
        ("http://127.0.0.1/", {"headers": {"X": "a\r\nb"}}),
    ],
)
def test_bad_arguments_are_refused(url: str, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|want|line break"):
        Load(url, **options)  # type: ignore[arg-type]


def test_outcomes_have_the_names_that_the_log_uses() -> None:
    assert [outcome.value for outcome in Outcome] == ["ok", "appError", "lost"]
