"""Marked requests to replicas: what of an answer counts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from sophia_operator.adapters.models import HttpModels
from sophia_operator.core.model.findings import ModelFault, ReplicaFinding, ReplicaRequest, ReplicaTarget
from tests.unit.adapters.servers import serving

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OPTIONS = {"config.targets[0]": "primary", "config.targets[1]": "second"}
PLACE = "x-portkey-last-used-option-index"
SAID = {"x-sophia-revision": "4", "x-sophia-model": "primary"}


@pytest.fixture
async def models() -> AsyncIterator[HttpModels]:
    made = HttpModels(now=lambda: NOW)
    yield made
    await made.close()


def target(url: str, **others: Any) -> ReplicaTarget:
    given: dict[str, Any] = {"name": "gw-a", "base_url": url, "host": None, "path": "/v1", "model": "chat"}
    return ReplicaTarget(**{**given, "revision": 4, **others})


async def asked(models: HttpModels, *targets: ReplicaTarget, seconds: float = 5.0) -> tuple[ReplicaFinding, ...]:
    answer = await models.replicas(ReplicaRequest(targets, seconds))
    assert isinstance(answer, tuple), answer
    return answer


async def said(models: HttpModels, status: int = 200, headers: Any = None, **others: Any) -> ReplicaFinding:
    """What is found of a replica that gives this answer."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "no luck"}}, status=status, headers=headers or {})

    async with serving(answer) as url:
        (finding,) = await asked(models, target(url, **others))
    return finding


async def test_the_request_is_marked_small_and_no_stream(models: HttpModels) -> None:
    seen = list[tuple[str, Any, Any]]()

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, {k.lower(): v for k, v in request.headers.items()}, await request.json()))
        return web.json_response({}, headers=SAID)

    async with serving(answer) as url:
        marked = {"x-sophia-mark": "shop/chat"}
        await asked(models, target(url, host="models.example.com", path="/llm", headers=marked, api_key="canary"))

    ((path, headers, body),) = seen
    assert path == "/llm/chat/completions"
    assert (headers["host"], headers["x-sophia-mark"]) == ("models.example.com", "shop/chat")
    assert (headers["authorization"], headers["connection"]) == ("Bearer canary", "close")
    assert (body["model"], body["max_tokens"], "stream" in body) == ("chat", 1, False)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_who_reaches_nobody_serves_nobody(models: HttpModels, status: int) -> None:
    found = await said(models, status, SAID)

    assert (found.revision, found.model) == (None, None)
    assert found.failure is not None
    assert found.failure.message == f"answers {status}: no luck"


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500, 529])
async def test_what_an_answer_says_counts_whatever_a_models_status(models: HttpModels, status: int) -> None:
    assert await said(models, status, SAID) == ReplicaFinding(NOW, "gw-a", 4, "primary")


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (200, ModelFault.INVALID_ANSWER),
        (401, ModelFault.CREDENTIALS_REFUSED),
        (404, ModelFault.REQUEST_REFUSED),
        (429, ModelFault.RATE_LIMITED),
        (503, ModelFault.SERVER_ERROR),
    ],
)
async def test_an_answer_that_says_nothing_is_a_failure(models: HttpModels, status: int, fault: ModelFault) -> None:
    found = await said(models, status)

    assert (found.revision, found.model) == (None, None)
    assert found.failure is not None
    assert found.failure.fault is fault


@pytest.mark.parametrize("written", ["", "-1", "4.0", "four", "9" * 16, "４"])
async def test_a_revision_is_a_number(models: HttpModels, written: str) -> None:
    headers = {"x-sophia-revision": written.encode().decode("latin-1")}
    assert (await said(models, 200, headers)).revision is None


@pytest.mark.parametrize("written", ["", "Primary", "a b", "x" * 64, "-a"])
async def test_a_model_is_a_name_that_a_status_can_hold(models: HttpModels, written: str) -> None:
    found = await said(models, 200, SAID | {"x-sophia-model": written})
    assert (found.revision, found.model, found.failure) == (4, None, None)


async def test_of_portkey_behind_its_route_the_place_names_the_model(models: HttpModels) -> None:
    headers = {"x-sophia-revision": "4", PLACE: "config.targets[1]"}
    assert (await said(models, 200, headers, options=OPTIONS)).model == "second"

    old = await said(models, 200, headers | {"x-sophia-revision": "3"}, options=OPTIONS)
    assert (old.revision, old.model, old.failure) == (3, None, None)

    # A route answers that leads elsewhere by now.
    other = await said(models, 200, {"x-sophia-revision": "4", "x-sophia-model": "primary"}, options=OPTIONS)
    assert (other.revision, other.model) == (4, None)


async def test_a_portkey_serves_by_what_the_request_tells_it_when_it_names_a_place(models: HttpModels) -> None:
    past: dict[str, Any] = {"options": OPTIONS, "says_revision": False}
    found = await said(models, 500, {PLACE: "config.targets[0]"}, **past)
    assert (found.revision, found.model, found.failure) == (4, "primary", None)

    for headers in ({}, {PLACE: "config.targets[7]"}, SAID):
        found = await said(models, 200, headers, **past)
        assert found.failure is not None
        assert (found.revision, found.failure.fault) == (None, ModelFault.INVALID_ANSWER)


async def test_every_address_behind_a_name_is_a_replica(models: HttpModels, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(request: web.Request) -> web.Response:
        name = request.transport.get_extra_info("sockname")[0] if request.transport is not None else ""
        return web.json_response({}, headers=SAID | {"x-sophia-revision": name.rpartition(".")[2]})

    application = web.Application()
    application.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    port = runner.addresses[0][1]
    addresses = [f"127.0.0.{number}" for number in range(2, 9)]
    real = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "envoy.infra.svc":
            return real(host, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in [*addresses, addresses[0]]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    found = await asked(models, target(f"http://envoy.infra.svc:{port}", name="envoy.infra.svc", resolve=True))
    await runner.cleanup()

    assert {f.name: f.revision for f in found} == {a: int(a.rpartition(".")[2]) for a in addresses}


async def test_a_name_without_an_address_says_what_to_correct(models: HttpModels) -> None:
    lost = target("http://no-such-host.invalid:80", resolve=True)
    answer = await models.replicas(ReplicaRequest((lost, target("http://127.0.0.1:1")), 5.0))

    assert isinstance(answer, str)
    assert "dataPlane.host" in answer
    assert "no-such-host.invalid" in answer


async def test_a_replica_that_is_gone_or_hangs_holds_up_no_other(models: HttpModels) -> None:
    free = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        with suppress(TimeoutError):
            await asyncio.wait_for(free.wait(), 10)
        return web.json_response({})

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, headers=SAID)

    async with serving(hang) as hanging, serving(answer) as well:
        found = await asked(
            models,
            target(hanging, name="hangs"),
            target("http://127.0.0.1:1", name="gone"),
            target(well, name="well"),
            seconds=0.3,
        )
        free.set()

    faults = {f.name: f.failure.fault if f.failure is not None else None for f in found}
    assert faults == {"hangs": ModelFault.TIMEOUT, "gone": ModelFault.UNREACHABLE, "well": None}


async def test_an_ipv6_address_can_be_asked(models: HttpModels) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, headers=SAID)

    application = web.Application()
    application.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "::1", 0).start()
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = runner.addresses[0][1]
    found = await asked(
        models,
        target(f"http://[::1]:{port}", name="fixed"),
        target(f"http://[::1]:{port}", name="resolved", resolve=True),
    )
    await runner.cleanup()

    assert {f.name: f.revision for f in found} == {"fixed": 4, "::1": 4}


async def test_a_gateway_that_speaks_tls_is_verified(models: HttpModels) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, headers=SAID)

    async with serving(answer) as url:  # which does not
        (found,) = await asked(models, target(url.replace("http://", "https://")))

    assert found.failure is not None
    assert found.failure.fault is ModelFault.UNREACHABLE
    assert "TLS" in found.failure.message


@pytest.mark.parametrize("number", [1, 256])
async def test_every_address_of_a_data_plane_is_asked(
    models: HttpModels, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.9.{n // 250}.{n % 250}", 0)) for n in range(number)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    found = await asked(models, target("http://envoy.example.com:1", resolve=True))
    assert len({f.name for f in found}) == number


async def test_what_some_of_too_many_show_is_not_taken_for_all(
    models: HttpModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.9.{n // 250}.{n % 250}", 0)) for n in range(300)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    answer = await models.replicas(ReplicaRequest((target("http://envoy.example.com:1", resolve=True),), 5.0))
    assert answer == "dataPlane.host: envoy.example.com has 300 addresses, and at most 256 can be asked"
