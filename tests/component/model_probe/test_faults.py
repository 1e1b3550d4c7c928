"""What a probe tells of a model that does not answer as it should, each in a way that somebody can act on."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from datetime import UTC, datetime

import pytest
from aiohttp import web

from sophia_operator.adapters.models import HttpModels
from sophia_operator.core.model.findings import ModelFault
from tests.component.model_probe.asking import answered, failed, request
from tests.support.openai_server import OpenAiServer
from tests.unit.adapters.servers import serving, speaking

KEY = "sk-s3cret-0123456789-abcdef"


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("hang", ModelFault.TIMEOUT, "no answer within 0.5 s"),
        ("hang_in_stream", ModelFault.TIMEOUT, "no end of the answer within 0.5 s"),
        ("endless", ModelFault.TIMEOUT, "no end of the answer within 0.5 s"),
        ("drip", ModelFault.TIMEOUT, "within 0.5 s"),
        ("close", ModelFault.UNREACHABLE, "the connection was closed without an answer"),
        ("truncated", ModelFault.TRUNCATED, "the connection broke before the answer was whole"),
        ("unfinished", ModelFault.TRUNCATED, "the stream ended before the answer was whole"),
        ("error_body", ModelFault.INVALID_ANSWER, "answers 200 with an error: out of order"),
        ("error_event", ModelFault.INVALID_ANSWER, "answers 200 with an error: out of order"),
        ("html", ModelFault.INVALID_ANSWER, "answers 200 with something that is no JSON"),
        ("no_json", ModelFault.INVALID_ANSWER, "answers 200 with events that are no JSON"),
        ("huge", ModelFault.INVALID_ANSWER, "the answer is larger than 2 MiB"),
        ("redirect", ModelFault.INVALID_ANSWER, "answers 307: a redirect is not followed; correct the URL"),
    ],
)
async def test_each_fault_of_a_server_is_told(
    models: HttpModels, server: OpenAiServer, fault: str, kind: ModelFault, words: str
) -> None:
    server.control(fault=fault, message="out of order", location=f"{server.url}/elsewhere")
    limit = 0.5 if kind is ModelFault.TIMEOUT else 5.0
    found = await failed(models, server.url, timeout_seconds=limit)
    assert found.fault is kind
    assert words in found.message
    assert server.counters.requests == 1
    server.control(fault=None)
    await answered(models, server.url)


async def test_a_server_notices_at_once_that_a_probe_gave_up(models: HttpModels, server: OpenAiServer) -> None:
    """What is not waited for any more costs no tokens."""
    server.control(fault="endless")
    await failed(models, server.url, timeout_seconds=0.3)
    async with asyncio.timeout(5):
        while server.counters.running:
            await asyncio.sleep(0.01)
    assert server.counters.left == 1


@pytest.mark.parametrize("fault", ["hang_in_stream", "endless"])
async def test_so_is_an_answer_that_is_no_stream_and_does_not_come(
    models: HttpModels, server: OpenAiServer, fault: str
) -> None:
    server.control(fault="no_stream", first_token_seconds=60)
    found = await failed(models, server.url, timeout_seconds=0.3)
    assert (found.fault, found.message) == (ModelFault.TIMEOUT, "no answer within 0.3 s")


async def test_a_stream_that_begins_and_says_nothing_has_no_token(models: HttpModels, server: OpenAiServer) -> None:
    server.control(first_token_seconds=60)
    found = await failed(models, server.url, timeout_seconds=0.3)
    assert (found.fault, found.message) == (ModelFault.TIMEOUT, "no token within 0.3 s")


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, ModelFault.REQUEST_REFUSED, "answers 400: bad luck"),
        (404, ModelFault.REQUEST_REFUSED, "answers 404: bad luck"),
        (408, ModelFault.REQUEST_REFUSED, "answers 408: bad luck"),
        (429, ModelFault.RATE_LIMITED, "answers 429: bad luck"),
        (500, ModelFault.SERVER_ERROR, "answers 500: bad luck"),
        (503, ModelFault.SERVER_ERROR, "answers 503: bad luck"),
        (529, ModelFault.SERVER_ERROR, "answers 529: bad luck"),
        (204, ModelFault.INVALID_ANSWER, "answers 204 instead of a completion"),
    ],
)
async def test_a_status_says_whose_fault_it_is(
    models: HttpModels, server: OpenAiServer, status: int, kind: ModelFault, words: str
) -> None:
    server.control(error_rate=1, status=status, message="bad luck")
    found = await failed(models, server.url)
    assert (found.fault, found.message, found.retry_after_seconds) == (kind, words, None)


async def test_a_name_that_the_api_does_not_know_is_told(models: HttpModels, server: OpenAiServer) -> None:
    found = await failed(models, server.url, model="gpt-5")
    assert found.fault is ModelFault.REQUEST_REFUSED
    assert found.message == "answers 404: The model `gpt-5` does not exist"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Sun, 01 Mar 2026 00:01:30 GMT", 90.0),
        ("Sat, 28 Feb 2026 23:59:59 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
async def test_a_provider_says_how_long_to_wait(server: OpenAiServer, written: str, seconds: float | None) -> None:
    models = HttpModels(now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    server.control(error_rate=1, status=429, retry_after=written)
    assert (await failed(models, server.url)).retry_after_seconds == seconds
    await models.close()


async def test_a_date_is_understood_by_the_clock_of_who_says_it(models: HttpModels) -> None:
    head = (
        b"HTTP/1.1 429 Slow Down\r\nretry-after: Fri, 02 Jan 1970 00:00:10 GMT\r\n"
        b"date: Fri, 02 Jan 1970 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n"
    )
    async with speaking(head) as url:
        assert (await failed(models, url)).retry_after_seconds == 10.0
    async with speaking(b"HTTP/1.1 429 Slow Down\r\nretry-after-ms: 1500\r\ncontent-length: 0\r\n\r\n") as url:
        assert (await failed(models, url)).retry_after_seconds == 1.5


@pytest.mark.parametrize("status", [401, 403])
async def test_of_refused_credentials_nothing_that_the_provider_says_is_shown(
    models: HttpModels, server: OpenAiServer, status: int
) -> None:
    server.control(error_rate=1, status=status, message=f"Incorrect API key: {KEY[:6]}***{KEY[-6:]}")
    found = await failed(models, server.url, api_key=KEY)
    assert found.fault is ModelFault.CREDENTIALS_REFUSED
    reason = "it does not accept the key" if status == 401 else "the key is not allowed to do this"
    assert found.message == f"answers {status}: {reason}"
    without = await failed(models, server.url)
    assert without.message == f"answers {status}: it wants credentials, and credentialsSecretRef names none"


async def test_a_wrong_key_is_refused_and_the_right_one_is_not(models: HttpModels, server: OpenAiServer) -> None:
    server.control(api_key=KEY)
    assert (await failed(models, server.url, api_key="sk-wrong")).fault is ModelFault.CREDENTIALS_REFUSED
    await answered(models, server.url, api_key=KEY)


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\r\nx: y", "schlüssel", "", "two words"])
async def test_a_key_that_cannot_be_sent_is_not_sent(models: HttpModels, server: OpenAiServer, key: str) -> None:
    found = await failed(models, server.url, api_key=key)
    assert found.fault is ModelFault.CREDENTIALS_REFUSED
    assert "cannot be sent" in found.message
    assert KEY not in found.message
    assert server.counters.requests == 0


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"you sent {KEY}", "you sent ***"),
        (f"you sent {KEY[:9]}...{KEY[-8:]}", "you sent ***...***"),
        ("upstream said sk-other-key-of-a-gateway", "upstream said ***"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("two\nlines\tand \x1b[31mred", "two lines and ?[31mred"),
        ("x" * 1000, "x" * 299 + "…"),
    ],
)
@pytest.mark.parametrize("how", ["status", "body", "event", "text"])
async def test_words_of_a_provider_are_short_and_without_keys(
    models: HttpModels, server: OpenAiServer, how: str, said: str, shown: str
) -> None:
    match how:
        case "status":
            server.control(error_rate=1, status=500, message=said)
        case "body":
            server.control(fault="error_body", message=said)
        case "event":
            server.control(fault="error_event", message=said)
        case "text":
            server.name = said
    found = await failed(models, server.url, api_key=KEY, expect="no such text")
    assert KEY[:9] not in found.message
    assert KEY[-8:] not in found.message
    assert len(found.message) <= 400
    assert found.message.isprintable()
    if how in ("status", "text") and len(said) < 100:
        assert shown in found.message


async def test_a_missing_text_is_told_with_what_came_instead(models: HttpModels, server: OpenAiServer) -> None:
    found = await failed(models, server.url, expect="42")
    assert found.fault is ModelFault.UNEXPECTED_ANSWER
    assert found.message == 'the answer is without "42": it is "primary is ready to answer."'
    cut = await failed(models, server.url, expect="answer.", max_tokens=3)
    assert cut.message.endswith("; it was cut, so raise probe.maxTokens if it would have come")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "answers 200 without a completion"),
        (b"[]", "answers 200 without a completion"),
        (b"null", "answers 200 without a completion"),
        (b"", "answers 200 with something that is no JSON"),
        (b'{"choices": []}', "answers 200 without a completion"),
        (b'{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}', "the answer is empty"),
        (b'{"choices": [null]}', "answers 200 without a completion"),
        (b'{"choices": [{"message": "text"}]}', "the answer is empty"),
        (b'{"object": "error", "message": "no memory"}', "answers 200 with an error: no memory"),
        (b'{"error": "no memory"}', "answers 200 with an error: no memory"),
        (b'{"error": {"code": 17}}', "answers 200 with an error: 17"),
        (b'{"error": true}', "answers 200 with an error: an error without words"),
        (b"[" * 100_000, "answers 200 with something that is no JSON"),
        (b"\xff\xfe\x00", "answers 200 with something that is no JSON"),
        (b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\ndata: [DONE]\n\n', "the answer is empty"),
        (b"data: [DONE]\n\n", "answers 200 without a completion"),
        (b": nothing\n\n", "answers 200 without a completion"),
    ],
)
async def test_a_200_that_is_no_completion_is_none(models: HttpModels, body: bytes, words: str) -> None:
    async def handler(call: web.Request) -> web.Response:
        return web.Response(body=body)

    async with serving(handler) as url:
        found = await failed(models, url)
    assert found.fault is ModelFault.INVALID_ANSWER
    assert found.message.startswith(words)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"detail": "Not Found"}', "answers 500: Not Found"),
        (b'[{"error": {"message": "in a list"}}]', "answers 500: in a list"),
        (b"<html>secret things</html>", "answers 500"),
        (b'{"error": {}}', "answers 500: an error without words"),
        (b"x" * 200_000, "answers 500"),
    ],
)
async def test_only_messages_in_json_are_shown_of_an_error(models: HttpModels, body: bytes, message: str) -> None:
    async def handler(call: web.Request) -> web.Response:
        return web.Response(body=body, status=500)

    async with serving(handler) as url:
        assert (await failed(models, url)).message == message


async def test_a_status_is_told_though_the_rest_of_the_answer_hangs(models: HttpModels) -> None:
    async with speaking(b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\n", b"x", pause=30) as url:
        found = await failed(models, url, timeout_seconds=0.3)
    assert (found.fault, found.message) == (ModelFault.SERVER_ERROR, "answers 503")


async def test_what_is_no_http_is_no_answer(models: HttpModels) -> None:
    async with speaking(b"-ERR unknown command\r\n\r\n") as url:
        found = await failed(models, url)
    assert (found.fault, found.message) == (ModelFault.INVALID_ANSWER, "it does not answer as HTTP does")


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("http://127.0.0.1:1/v1", ModelFault.UNREACHABLE, "cannot connect: Connection refused"),
        ("http://no-such-host.invalid/v1", ModelFault.HOST_UNKNOWN, "host no-such-host.invalid cannot be resolved"),
        (f"http://{'x' * 70}.example/v1", ModelFault.HOST_UNKNOWN, "no name of a host"),
        ("http://127.0.0.1:99999/v1", ModelFault.HOST_UNKNOWN, "cannot be used: check host and port"),
        ("http://a:b:c/v1", ModelFault.HOST_UNKNOWN, "cannot be used: check host and port"),
        ("http://169.254.169.254/v1", ModelFault.UNREACHABLE, "no address that a model can have"),
        ("http://[::ffff:169.254.169.254]/v1", ModelFault.UNREACHABLE, "no address that a model can have"),
        ("http://0.0.0.0/v1", ModelFault.UNREACHABLE, "no address that a model can have"),
    ],
)
async def test_nobody_there_is_told_apart(models: HttpModels, url: str, kind: ModelFault, words: str) -> None:
    found = await failed(models, url)
    assert found.fault is kind
    assert words in found.message


async def test_a_host_that_takes_no_connection_is_given_up_in_time(models: HttpModels) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        place = deaf.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(place)
        found = await failed(models, f"http://127.0.0.1:{place[1]}/v1", timeout_seconds=0.4)
        for one in crowd:
            one.close()
    assert (found.fault, found.message) == (ModelFault.TIMEOUT, "no connection within 0.4 s")


async def test_a_name_server_that_hangs_holds_up_nobody_else(
    models: HttpModels, server: OpenAiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, real = threading.Event(), socket.getaddrinfo

    def hanging(host: str, *rest: object, **named: object) -> object:
        if host.startswith("slow"):
            release.wait(20)
        return real(host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    slow = [asyncio.create_task(failed(models, "http://slow.invalid/v1", timeout_seconds=1.0)) for _ in range(40)]
    await asyncio.sleep(0)
    local = server.url.replace("127.0.0.1", "localhost")
    await asyncio.wait_for(answered(models, local), 5)
    found = await asyncio.gather(*slow)
    assert {(f.fault, f.message) for f in found} == {(ModelFault.TIMEOUT, "its name was not resolved within 1 s")}
    release.set()


async def test_a_dead_address_of_a_name_leaves_time_for_the_others(server: OpenAiServer) -> None:
    models = HttpModels()

    async def two(_: str) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    models._hosts.addresses = two  # type: ignore[method-assign,assignment]
    assert (await answered(models, server.url)).tokens > 0
    await models.close()


async def test_proxies_of_the_environment_are_not_asked(
    models: HttpModels, server: OpenAiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert (await answered(models, server.url)).tokens > 0


async def test_a_probe_that_is_cancelled_ends_and_leaves_no_connection(
    models: HttpModels, server: OpenAiServer
) -> None:
    server.control(fault="hang")
    task = asyncio.create_task(models.probe(request(server.url, timeout_seconds=60)))
    async with asyncio.timeout(5):
        while not server.counters.running:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while server.counters.running:
            await asyncio.sleep(0.01)
    assert time.monotonic() - began < 5
