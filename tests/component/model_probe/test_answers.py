"""What a probe tells of a model that answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from aiohttp import web

from sophia_operator.adapters.models import HttpModels
from tests.component.model_probe.asking import answered, failed, request
from tests.support.openai_server import OpenAiServer
from tests.unit.adapters.servers import serving, speaking


async def test_a_stream_is_measured_to_its_first_token_and_to_its_end(models: HttpModels, server: OpenAiServer) -> None:
    server.control(first_token_seconds=0.3, tokens_per_second=20, tokens=6)
    found = await answered(models, server.url)
    assert 150 <= found.first_token_ms <= 600
    assert 400 <= found.total_ms <= 1200
    assert found.tokens == 6
    assert found.tokens_per_second is not None
    assert 8 <= found.tokens_per_second <= 40


async def test_the_request_is_short_streamed_and_says_who_asks(models: HttpModels, server: OpenAiServer) -> None:
    server.control(api_key="sk-right-key")
    await answered(models, server.url, api_key="sk-right-key", max_tokens=3)
    assert server.counters.last_body == {
        "model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say ready."}], "max_tokens": 3,
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    assert server.counters.last_headers["user-agent"] == "sophia-operator"
    assert server.counters.last_headers["accept-encoding"] == "identity"


async def test_a_finding_is_of_when_the_probe_ended(server: OpenAiServer) -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    models = HttpModels(now=lambda: moment)
    assert (await models.probe(request(server.url))).at == moment
    await models.close()


async def test_one_token_has_no_rate(models: HttpModels, server: OpenAiServer) -> None:
    found = await answered(models, server.url, max_tokens=1)
    assert (found.tokens, found.tokens_per_second) == (1, None)


async def test_each_probe_opens_a_connection_and_leaves_none(models: HttpModels, server: OpenAiServer) -> None:
    for _ in range(3):
        await answered(models, server.url)
    assert server.counters.connections == 3
    assert server.counters.last_headers["connection"] == "close"


async def test_what_it_takes_to_connect_is_no_time_of_the_model(server: OpenAiServer) -> None:
    models = HttpModels()
    plain = models._hosts.addresses

    async def slow(host: str) -> list[str]:
        await asyncio.sleep(1.5)
        return await plain(host)

    models._hosts.addresses = slow  # type: ignore[method-assign]
    assert (await answered(models, server.url)).total_ms < 1200
    await models.close()


@pytest.mark.parametrize("usage", [False, "refuse"])
async def test_without_a_usage_pieces_are_counted(models: HttpModels, server: OpenAiServer, usage: bool | str) -> None:
    server.control(stream_usage=usage)
    assert (await answered(models, server.url)).tokens == 6


async def test_a_server_that_refuses_an_option_is_not_asked_for_it_again(
    models: HttpModels, server: OpenAiServer
) -> None:
    server.control(stream_usage="refuse")
    await answered(models, server.url)
    await answered(models, server.url)
    assert server.counters.statuses == {400: 1, 200: 2}


async def test_a_model_that_wants_another_limit_gets_it(models: HttpModels) -> None:
    asked = list[set[str]]()

    async def handler(call: web.Request) -> web.Response:
        body = await call.json()
        asked.append({"max_tokens", "max_completion_tokens"} & body.keys())
        if "max_tokens" in body:
            words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
            return web.json_response({"error": {"message": words}}, status=400)
        return web.json_response({"choices": [{"message": {"content": "ready"}}]})

    async with serving(handler) as url:
        await answered(models, url)
        await answered(models, url)
    assert asked == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]


async def test_a_refusal_that_stays_is_told_and_nothing_is_learned_from_it(models: HttpModels) -> None:
    async def handler(call: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "max_tokens is too large"}}, status=400)

    async with serving(handler) as url:
        assert (await failed(models, url)).message == "answers 400: max_tokens is too large"
    assert not models._dialects


async def test_a_whole_completion_is_an_answer_to_a_stream_as_well(models: HttpModels, server: OpenAiServer) -> None:
    server.control(fault="no_stream", first_token_seconds=0.2)
    found = await answered(models, server.url, expect="ready")
    assert found.first_token_ms == found.total_ms >= 100
    assert (found.tokens, found.tokens_per_second) == (6, None)


async def test_an_expected_text_is_found_in_any_case_and_across_pieces(
    models: HttpModels, server: OpenAiServer
) -> None:
    assert (await answered(models, server.url, expect="IS READY")).tokens == 6


async def test_thoughts_are_tokens_too(models: HttpModels) -> None:
    events = (
        b'data: {"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": null}]}\n\n'
        b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\ndata: [DONE]\n\n'
    )
    async with speaking(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + events) as url:
        assert (await answered(models, url)).tokens == 1


async def test_thoughts_that_are_not_shown_are_no_part_of_the_rate(models: HttpModels) -> None:
    def event(words: str, more: str = "") -> bytes:
        return f'data: {{"choices": [{{"delta": {{"content": "{words}"}}{more}}}]}}\n\n'.encode()

    usage = b'data: {"choices": [], "usage": {"completion_tokens": 103, "completion_tokens_details": '
    parts = [event("a"), event("b"), event("c", ', "finish_reason": "stop"')]
    parts.append(usage + b'{"reasoning_tokens": 100}}}\n\ndata: [DONE]\n\n')
    async with speaking(b"HTTP/1.1 200 OK\r\n\r\n", *parts, pause=0.1) as url:
        found = await answered(models, url)
    assert found.tokens == 103
    assert found.tokens_per_second is not None
    # Two tokens in 0.2 s.
    assert 4 <= found.tokens_per_second <= 25


async def test_odd_but_sound_streams_are_understood(models: HttpModels) -> None:
    """Comments, carriage returns, events with names, no space behind the colon, and the connection as the end."""
    body = (
        b': ping\r\n\r\nevent: message\r\ndata:{"choices":[{"delta":{"content":"rea"}}]}\r\n\r\n'
        b'id: 7\r\ndata: {"choices": [{"delta": {"content": "dy"},\r\ndata: "finish_reason": "stop"}]}\r\n\r\n'
    )
    for size in (1, 7, 1000):
        parts = [body[i : i + size] for i in range(0, len(body), size)]
        async with speaking(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n", *parts) as url:
            assert (await answered(models, url, expect="ready")).tokens == 2


async def test_a_broken_end_after_a_whole_answer_does_no_harm(models: HttpModels) -> None:
    event = b'data: {"choices": [{"delta": {"content": "ready"}, "finish_reason": "stop"}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with speaking(head + b"%x\r\n%s\r\n" % (len(event), event)) as url:
        assert (await answered(models, url)).tokens == 1
