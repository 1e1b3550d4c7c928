"""Which Prometheus is asked, and with what."""

from __future__ import annotations

import asyncio
import base64
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sophia_operator.adapters import prometheus
from sophia_operator.api.metrics import PrometheusAccess
from sophia_operator.core.findings import MetricsOutage, MetricsRequest, Samples
from tests.unit.adapters.prometheus_rig import TOKEN, Secrets, Time, answering, ask, vector
from tests.unit.adapters.servers import serving


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
