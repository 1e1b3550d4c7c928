"""The adapter against servers that answer as Prometheus does, and as it never would."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from sophia_operator.adapters import prometheus
from sophia_operator.api.metrics import PrometheusAccess
from sophia_operator.core.findings import MetricsOutage, MetricsRequest, QueryRefused, Samples
from tests.unit.adapters.prometheus_rig import answering, ask, vector
from tests.unit.adapters.servers import serving, speaking


async def test_samples_are_told_apart_and_values_that_are_no_numbers_left_out(make: Any) -> None:
    text = vector(
        ({"sophia": "total"}, "412"),
        ({"sophia": "errors"}, "0.5"),
        ({"sophia": "value"}, "NaN"),
        ({"sophia": "ceiling"}, "+Inf"),
        ({"other": "label"}, "7"),
    )
    seen: list[web.Request] = []
    form: dict[str, Any] = {}
    async with serving(answering(text, seen=seen, form=form)) as url:
        answer = await ask(make(), f"{url}/prom/")
    assert answer == Samples({"total": 412, "errors": 0.5, "": 7})
    assert [(r.method, r.path_qs) for r in seen] == [("POST", "/prom/api/v1/query")]
    assert form == {"query": "vector(1)", "timeout": "5s"}


async def test_no_sample_is_an_answer(make: Any) -> None:
    async with serving(answering(vector())) as url:
        assert await ask(make(), url) == Samples({})


async def test_a_scalar_has_no_label(make: Any) -> None:
    text = json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [1700000000, "3"]}})
    async with serving(answering(text)) as url:
        assert await ask(make(), url) == Samples({"": 3})


async def test_several_series_for_one_value_are_refused(make: Any) -> None:
    text = vector(({"sophia": "value", "pod": "a"}, "1"), ({"sophia": "value", "pod": "b"}, "2"))
    async with serving(answering(text)) as url:
        answer = await ask(make(), url)
    assert answer == QueryRefused(
        "the query yields several series for the sample 'value': aggregate them, as with sum()"
    )


def error(kind: str, words: str) -> str:
    return json.dumps({"status": "error", "errorType": kind, "error": words})


@pytest.mark.parametrize("status", [400, 422])
async def test_a_query_that_cannot_be_understood_is_refused_in_prometheus_own_words(make: Any, status: int) -> None:
    async with serving(answering(error("bad_data", "1:5: parse error: no closing brace"), status)) as url:
        assert await ask(make(), url) == QueryRefused("1:5: parse error: no closing brace")


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (400, "<html>no such host</html>", "answers 400"),
        (422, error("execution", "found duplicate series"), "answers 422: found duplicate series"),
        (503, error("timeout", "query timed out"), "answers 503: query timed out"),
        (500, "secret stack trace", "answers 500"),
        (401, "who are you", "answers 401: it is not allowed to ask with these credentials"),
        (403, "", "answers 403: it is not allowed"),
        (302, "", "answers 302: it redirects"),
        (204, "", "answers 204"),
        (200, "<html>login</html>", "does not answer as Prometheus does"),
        (200, "[]", "does not answer as Prometheus does"),
        (200, '{"data": {"result": "x"}}', "does not answer as Prometheus does"),
        (200, '{"data": {"result": [{"metric": {}, "value": ["1"]}]}}', "does not answer as Prometheus does"),
    ],
)
async def test_everything_else_is_an_outage(make: Any, status: int, text: str, words: str) -> None:
    async with serving(answering(text, status)) as url:
        answer = await ask(make(), url)
    assert isinstance(answer, MetricsOutage)
    assert words in answer.message
    assert "stack trace" not in answer.message
    assert url in answer.message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("http://no-such-host.invalid", "its name is not known"),
        ("http://127.0.0.1:99999", "the URL of Prometheus cannot be used"),
        ("http://[", "the URL of Prometheus cannot be used"),
        ("http:///path", "the URL of Prometheus cannot be used"),
        ("http://a..b", "Prometheus at http://a..b cannot be"),
    ],
)
async def test_what_cannot_be_reached_is_an_outage(make: Any, url: str, words: str) -> None:
    answer = await ask(make(), url)
    assert isinstance(answer, MetricsOutage)
    assert words in answer.message


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"])
async def test_a_broken_connection_is_an_outage(make: Any, answer: bytes) -> None:
    async with speaking(answer) as url:
        assert isinstance(await ask(make(), url), MetricsOutage)


async def test_an_answer_that_drips_does_not_outlast_the_time_limit(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "_GRACE_SECONDS", 0.2)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
    async with speaking(head, *[b" "] * 20, pause=0.2) as url:
        answer = await asyncio.wait_for(ask(make(), url, timeout=1), 1.5)
        assert isinstance(answer, MetricsOutage)
        assert "did not answer within 1 s" in answer.message


async def test_one_namespace_cannot_take_every_thread(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "_GRACE_SECONDS", 0.1)
    never = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        with suppress(TimeoutError):
            await asyncio.wait_for(never.wait(), 3)
        return web.Response()

    metrics = make()
    async with serving(hang) as tarpit, serving(answering(vector(({}, "1")))) as good:
        stuck = [asyncio.create_task(ask(metrics, tarpit, timeout=2)) for _ in range(40)]
        await asyncio.sleep(0.2)
        other = MetricsRequest("gate/x", "vector(1)", PrometheusAccess(url=good, timeout_seconds=1))
        assert await metrics.query("bakery", other) == Samples({"": 1})
        never.set()
        answers = await asyncio.gather(*stuck)
    assert all(isinstance(a, MetricsOutage) for a in answers)


async def test_an_answer_without_end_is_an_outage(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sophia_operator.adapters.prometheus_session._LARGEST_ANSWER", 100_000)
    async with serving(answering(" " * 200_000)) as url:
        assert isinstance(await ask(make(), url), MetricsOutage)
