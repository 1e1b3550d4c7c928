"""The adapter against servers that answer as Prometheus does, and as it never would."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sophia_operator.adapters import prometheus
from sophia_operator.adapters.prometheus import PrometheusMetrics
from sophia_operator.api.metrics import PrometheusAccess
from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, MetricsRequest, QueryRefused, Samples
from sophia_operator.ports import ClusterError, Refusal
from tests.unit.adapters.servers import serving, speaking

TOKEN = "s3cret-t0ken"


class Secrets:
    """Secrets of a cluster, and how often they were read."""

    def __init__(self, **content: Mapping[str, bytes]) -> None:
        self.content = dict(content)
        self.reads = 0

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        self.reads += 1
        if name == "forbidden":
            raise ClusterError(Refusal.FORBIDDEN, "cannot get resource secrets")
        return self.content[f"{namespace}/{name}"]


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def make() -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        def build(
            default: PrometheusAccess | None = None, secrets: Secrets | None = None, **how: Any
        ) -> PrometheusMetrics:
            metrics = PrometheusMetrics(default=default, read_secret=(secrets or Secrets()).read, **how)
            stack.push_async_callback(metrics.close)
            return metrics

        yield build


def vector(*samples: tuple[dict[str, str], str]) -> str:
    result = [{"metric": labels, "value": [1700000000, value]} for labels, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


def answering(
    text: str, status: int = 200, seen: list[web.Request] | None = None, form: dict[str, Any] | None = None
) -> Any:
    async def handler(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(request)
        if form is not None:
            form.update(await request.post())
        headers = {"set-cookie": "a=b", "location": "/elsewhere"}
        return web.Response(text=text, status=status, content_type="application/json", headers=headers)

    return handler


async def ask(
    metrics: PrometheusMetrics, url: str | None, *, secret: str | None = None, timeout: int = 5
) -> MetricsAnswer:
    access = PrometheusAccess(url=url, secret_name=secret, timeout_seconds=timeout) if url else None
    return await metrics.query("shop", MetricsRequest("gate/x", "vector(1)", access))


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


async def test_without_a_prometheus_the_remedy_is_named(make: Any) -> None:
    answer = await ask(make(), None)
    assert isinstance(answer, MetricsOutage)
    assert answer.message.startswith("no Prometheus is configured: set ")


async def test_the_default_is_asked_with_the_secret_of_its_own_namespace(make: Any) -> None:
    seen: list[web.Request] = []
    secrets = Secrets(**{"sophia-system/prom": {"token": f"{TOKEN}\n".encode()}})
    async with serving(answering(vector(), seen=seen)) as url:
        default = PrometheusAccess(url=url, secret_name="prom")
        assert await ask(make(default, secrets, default_namespace="sophia-system"), None) == Samples({})
    assert seen[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert "Cookie" not in seen[0].headers


async def test_basic_auth_comes_from_the_secret_of_the_service(make: Any) -> None:
    seen: list[web.Request] = []
    secrets = Secrets(**{"shop/prom": {"username": b"jo", "password": "pä:ss".encode()}})
    async with serving(answering(vector(), seen=seen)) as url:
        assert await ask(make(secrets=secrets), url, secret="prom") == Samples({})
    scheme, _, sent = seen[0].headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(sent).decode()) == ("Basic", "jo:pä:ss")


async def test_a_secret_is_read_again_after_a_while_and_after_a_rejection(make: Any) -> None:
    status, time = 200, Time()
    secrets = Secrets(**{"shop/prom": {"token": b"old"}})
    sent = []

    async def handler(request: web.Request) -> web.Response:
        sent.append(request.headers["Authorization"])
        return web.Response(text=vector(), status=status)

    async with serving(handler) as url:
        metrics = make(secrets=secrets, clock=time)
        await asyncio.gather(*(ask(metrics, url, secret="prom") for _ in range(5)))
        assert secrets.reads == 1
        time.now += 31
        await ask(metrics, url, secret="prom")
        assert secrets.reads == 2
        secrets.content["shop/prom"] = {"token": b"new"}
        await ask(metrics, url, secret="prom")
        assert (secrets.reads, sent[-1]) == (2, "Bearer old")
        status = 401
        await ask(metrics, url, secret="prom")
        await ask(metrics, url, secret="prom")
        assert (secrets.reads, sent[-1]) == (3, "Bearer new")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "has none of token"),
        ({"username": b"jo"}, "username and password go together"),
        ({"tls.crt": b"x"}, "tls.crt and tls.key go together"),
        ({"token": b"x", "username": b"jo", "password": b"y"}, "both a token and a user name"),
        ({"token": f"{TOKEN}\r\nx: y".encode()}, "characters that no header can hold"),
        ({"ca.crt": f"{TOKEN} is no certificate".encode()}, "cannot be"),
        ({"ca.crt": b"x", "tls.crt": TOKEN.encode(), "tls.key": TOKEN.encode()}, "cannot be"),
    ],
)
async def test_a_secret_that_cannot_be_used_is_an_outage_that_does_not_tell_it(
    make: Any, data: dict[str, bytes], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await ask(make(secrets=Secrets(**{"shop/prom": data})), "https://127.0.0.1:1", secret="prom")
    assert isinstance(answer, MetricsOutage)
    assert words in answer.message
    assert TOKEN not in answer.message
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(("name", "words"), [("gone", "it is missing"), ("forbidden", "it cannot be read (Forbidden)")])
async def test_a_secret_that_cannot_be_read_is_an_outage(make: Any, name: str, words: str) -> None:
    answer = await ask(make(), "http://127.0.0.1:1", secret=name)
    assert isinstance(answer, MetricsOutage)
    assert answer.message == f"Secret shop/{name} for Prometheus at http://127.0.0.1:1: {words}"


async def test_a_password_in_the_url_is_sent_but_never_shown(make: Any) -> None:
    answer = await ask(make(), f"http://jo:{TOKEN}@127.0.0.1:1/x?key={TOKEN}")
    assert isinstance(answer, MetricsOutage)
    assert TOKEN not in answer.message
    assert "http://127.0.0.1:1/x" in answer.message


async def test_keys_lie_in_private_files_that_are_removed(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    secrets = Secrets(**{"shop/prom": {"ca.crt": b"a", "tls.crt": b"b", "tls.key": b"c"}})
    metrics = make(secrets=secrets)
    await ask(metrics, "https://127.0.0.1:1", secret="prom")
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {f.name: f.stat().st_mode & 0o777 for f in folder.iterdir()} == {
        "ca.crt": 0o600, "tls.crt": 0o600, "tls.key": 0o600,
    }  # fmt: skip
    await metrics.close()
    assert list(tmp_path.iterdir()) == []


async def test_files_of_sessions_that_are_not_used_any_more_are_removed(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(prometheus, "_SESSIONS", 2)
    time = Time()
    secrets = Secrets()
    metrics = make(secrets=secrets, clock=time)
    for turn in range(5):
        secrets.content["shop/prom"] = {"ca.crt": str(turn).encode()}
        await ask(metrics, "https://127.0.0.1:1", secret="prom")
        time.now += 31
    assert len(list(tmp_path.iterdir())) == 2


async def test_files_stay_while_a_query_uses_them(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(prometheus, "_SESSIONS", 1)
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        asked.set()
        await go_on.wait()
        return web.Response(text=vector())

    secrets = Secrets(**{"shop/old": {"ca.crt": b"old"}, "shop/new": {"ca.crt": b"new"}})
    metrics = make(secrets=secrets)
    async with serving(handler) as url:
        running = asyncio.create_task(ask(metrics, url, secret="old"))
        await asked.wait()
        # Held, so that they do not go merely because nobody refers to them.
        held = list(metrics._sessions.values())
        await ask(metrics, "http://127.0.0.1:1", secret="new")
        assert {f.read_bytes() for f in tmp_path.glob("*/ca.crt")} == {b"old", b"new"}
        go_on.set()
        assert await running == Samples({})
    assert {f.read_bytes() for f in tmp_path.glob("*/ca.crt")} == {b"new"}
    assert held


async def test_after_close_there_is_no_answer(make: Any) -> None:
    metrics = make()
    await metrics.close()
    assert isinstance(await ask(metrics, "http://127.0.0.1:1"), MetricsOutage)


async def test_namespaces_and_secrets_that_are_not_asked_for_any_more_are_forgotten(make: Any) -> None:
    secrets = Secrets(**{f"shop-{turn}/prom": {"token": b"x"} for turn in range(3)})
    metrics = make(secrets=secrets)
    async with serving(answering(vector(({}, "1")))) as url:
        for turn in range(5):  # two have no Secret
            access = PrometheusAccess(url=url, secret_name="prom")
            await metrics.query(f"shop-{turn}", MetricsRequest("gate/x", "vector(1)", access))
    await asyncio.sleep(0)
    assert (len(metrics._lanes), len(metrics._reading)) == (0, 0)


async def test_a_secret_is_read_by_one_at_a_time_whoever_gives_up_meanwhile(make: Any) -> None:
    reading, most, go_on = 0, 0, asyncio.Event()

    class Slow(Secrets):
        async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
            nonlocal reading, most
            reading, most = reading + 1, max(most, reading + 1)
            try:
                await go_on.wait()
                return await super().read(namespace, name)
            finally:
                reading -= 1

    secrets = Slow(**{"shop/prom": {"token": b"x"}})
    metrics = make(secrets=secrets)
    async with serving(answering(vector(({}, "1")))) as url:
        asking = [asyncio.create_task(ask(metrics, url, secret="prom")) for _ in range(4)]
        while not reading:
            await asyncio.sleep(0)
        for waiting in asking[1:3]:
            waiting.cancel()
        await asyncio.gather(*asking[1:3], return_exceptions=True)
        asking.append(asyncio.create_task(ask(metrics, url, secret="prom")))
        await asyncio.sleep(0)
        go_on.set()
        answers = await asyncio.gather(asking[0], *asking[3:])
    assert answers == [Samples({"": 1})] * 3
    assert (most, secrets.reads) == (1, 1)


async def test_a_place_that_was_waited_for_in_vain_is_given_back(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "_THREADS_A_NAMESPACE", 1)
    here, go_on, at_once, most = asyncio.Event(), asyncio.Event(), 0, 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once, most = at_once + 1, max(most, at_once + 1)
        here.set()
        await go_on.wait()
        at_once -= 1
        return web.Response(text=vector(({}, "1")))

    metrics = make()
    async with serving(handler) as url:
        first = asyncio.create_task(ask(metrics, url))
        await here.wait()
        second, third = (asyncio.create_task(ask(metrics, url)) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        go_on.set()
        assert list(await asyncio.gather(first, third)) == [Samples({"": 1})] * 2
    await asyncio.sleep(0)
    assert most == 1
    assert len(metrics._lanes) == 0
