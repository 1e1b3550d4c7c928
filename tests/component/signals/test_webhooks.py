"""Webhooks over real connections: what is sent, how it is signed, and receivers that behave badly."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from hack.rig import postgres_base
from sophia_operator.adapters.signals import OutsideSignals
from sophia_operator.core.recovery.signal_request import Refused, SignalRequest, WebhookPlace
from sophia_operator.core.recovery.signal_words import CLOUD_EVENTS_JSON
from tests.support.hook_server import FAULTS, HookServer

NOW = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
BODY = json.dumps({"text": "a “quoted” message"}, ensure_ascii=False).encode()
KEY = b"a key of receivers"


@pytest.fixture
async def hook() -> AsyncIterator[HookServer]:
    async with HookServer() as running:
        yield running


@pytest.fixture
async def signals() -> AsyncIterator[OutsideSignals]:
    made = OutsideSignals(now=lambda: NOW)
    yield made
    await made.close()


def request(url: str, *, key: bytes | None = None, seconds: float = 5.0, ca: str | None = None) -> SignalRequest:
    place = WebhookPlace(url, CLOUD_EVENTS_JSON, key, ca)
    return SignalRequest("uid/3", "ai.sophia.recovery.failed", BODY, place, seconds)


def limit(fault: str | None) -> float:
    """Seconds to wait: only who never ends has to run out of them, and a busy machine takes its time for the others."""
    return 1.0 if fault in ("hang", "drip") else 10.0


async def test_a_receiver_gets_the_whole_message(signals: OutsideSignals, hook: HookServer) -> None:
    assert await signals.send(request(hook.url)) is None
    (taken,) = hook.taken
    assert (taken.method, taken.path, taken.body) == ("POST", "/hooks/secret-path?a=1", BODY)
    assert taken.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert taken.headers["host"] == f"127.0.0.1:{hook.port}"
    assert taken.headers["x-sophia-signal-id"] == "uid/3"
    assert "x-sophia-signature" not in taken.headers


async def test_the_signature_is_what_openssl_computes(signals: OutsideSignals, hook: HookServer) -> None:
    assert await signals.send(request(hook.url, key=KEY)) is None
    fields = dict(part.split("=") for part in hook.taken[0].headers["x-sophia-signature"].split(","))
    assert fields["t"] == str(int(NOW.timestamp()))
    signed = f"{fields['t']}.".encode() + hook.taken[0].body
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{KEY.hex()}", "-r"]
    done = subprocess.run(command, input=signed, check=True, capture_output=True)
    assert fields["v1"] == done.stdout.split()[0].decode()


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_taken(signals: OutsideSignals, hook: HookServer, status: int) -> None:
    hook.status = status
    assert await signals.send(request(hook.url)) is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("hang", "no answer within 1 s"),
        ("reset", "the connection broke before an answer"),
        ("close", "the connection was closed without an answer"),
        ("redirect", "answers 302: a redirect is not followed; correct the URL"),
        ("error", "answers 500"),
        ("garbage", "it does not answer as HTTP does"),
        ("huge", "answers 500"),
    ],
)
async def test_what_is_not_taken_is_said(signals: OutsideSignals, hook: HookServer, fault: str, said: str) -> None:
    hook.fault = fault
    assert await signals.send(request(hook.url, seconds=limit(fault))) == said
    assert len(hook.taken) == 1, "nothing is sent twice, nor to where a redirect leads"


@pytest.mark.parametrize(("status", "said"), [(401, "see its Secrets"), (404, "answers 404"), (410, "answers 410")])
async def test_refusals_are_said(signals: OutsideSignals, hook: HookServer, status: int, said: str) -> None:
    hook.status = status
    answer = await signals.send(request(hook.url))
    assert answer is not None
    assert said in answer


@pytest.mark.parametrize(
    ("status", "final"),
    [*((status, True) for status in (400, 401, 404, 499)), *((status, False) for status in (302, 408, 425, 429, 500))],
)
async def test_a_4xx_is_final_but_for_those_that_say_later(
    signals: OutsideSignals, hook: HookServer, status: int, final: bool
) -> None:
    hook.status = status
    answer = await signals.send(request(hook.url))
    assert isinstance(answer, Refused) is final
    assert getattr(answer, "status", None) == (status if final else None)


async def test_a_slow_answer_is_waited_for(signals: OutsideSignals, hook: HookServer) -> None:
    hook.fault = "slow"
    assert await signals.send(request(hook.url)) is None


async def test_an_answer_without_an_end_is_taken_by_its_status(signals: OutsideSignals, hook: HookServer) -> None:
    hook.fault = "drip"
    assert await signals.send(request(hook.url, seconds=2.0)) is None


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_connection_outlives_its_request(signals: OutsideSignals, hook: HookServer, fault: str) -> None:
    hook.fault = fault
    await signals.send(request(hook.url, seconds=limit(fault)))
    client = signals._webhooks._client
    assert client is not None
    connections = client._transport._pool.connections  # type: ignore[attr-defined]
    # One that was cut off may still be listed until the next request, but it is closed.
    assert [one for one in connections if not one.is_closed()] == []


@pytest.mark.parametrize("fault", [*FAULTS, None])
async def test_nothing_secret_of_the_address_is_said(
    signals: OutsideSignals, hook: HookServer, fault: str | None
) -> None:
    hook.fault, hook.status = fault, 403
    url, seconds = hook.url.replace("http://", "http://user:pass-word@"), limit(fault)
    said = await signals.send(request(url, key=KEY, seconds=seconds))
    assert not any(part in (said or "") for part in ("secret-path", "pass-word", KEY.decode(), str(hook.port)))
    assert hook.taken[0].headers["authorization"].startswith("Basic ")


async def test_nobody_listens(signals: OutsideSignals, hook: HookServer) -> None:
    async with HookServer() as other:
        url = other.url
    assert await signals.send(request(url)) == "cannot connect: Connection refused"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "does not begin with http"),
        ("ftp://a.example/", "does not begin with http"),
        ("https://", "does not begin with http"),
        ("http://[::1", "its URL is none"),
        ("http://127.0.0.1:99999/", "cannot be used"),
        ("http://0251.0376.0251.0376/", "its URL is none"),
        ("http://does-not-exist.invalid/", "cannot be resolved"),
    ],
)
async def test_addresses_that_are_none(signals: OutsideSignals, url: str, said: str) -> None:
    answer = await signals.send(request(url))
    assert answer is not None
    assert said in answer


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "2852039166",
        "0xa9fea9fe",
    ],
)
async def test_metadata_services_are_no_receivers(signals: OutsideSignals, host: str) -> None:
    answer = await signals.send(request(f"http://{host}/latest/meta-data/", seconds=2.0))
    assert answer is not None
    assert "where no receiver is" in answer


@pytest.mark.parametrize("found", [["169.254.169.254"], ["127.0.0.1", "169.254.169.254"]])
async def test_names_that_lead_to_a_metadata_service_are_not_asked(hook: HookServer, found: list[str]) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return found

    signals = OutsideSignals(resolve=resolve)
    answer = await signals.send(request(f"http://metadata.example:{hook.port}/"))
    assert answer is not None
    assert "where no receiver is" in answer
    assert hook.connections == 0
    await signals.close()


async def test_a_name_is_resolved_once_and_asked_where_it_led(hook: HookServer) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    signals = OutsideSignals(resolve=resolve)
    assert await signals.send(request(f"http://hooks.example:{hook.port}/in")) is None
    assert asked == ["hooks.example"]
    assert hook.taken[0].headers["host"] == f"hooks.example:{hook.port}"
    await signals.close()


async def test_the_next_address_is_tried_when_one_refuses(hook: HookServer) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    signals = OutsideSignals(resolve=resolve)
    assert await signals.send(request(f"http://hooks.example:{hook.port}/in")) is None
    await signals.close()


async def test_a_name_server_that_hangs_costs_its_time_limit() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    signals = OutsideSignals(resolve=resolve)
    assert await signals.send(request("http://hooks.example/in", seconds=0.2)) == "no answer within 0.2 s"
    await signals.close()


async def test_certificates_are_verified_for_the_name_in_the_url() -> None:
    issued = postgres_base.authority()
    ca = issued.ca.read_text()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(issued.certificate("server"), issued.key("server"))

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with HookServer(tls=server_context) as hook:
        signals = OutsideSignals(resolve=resolve)
        url = f"https://localhost:{hook.port}/in"
        assert await signals.send(request(url, ca=ca)) is None
        for other in (request(f"https://hooks.example:{hook.port}/in", ca=ca), request(url)):
            said = await signals.send(other)
            assert said is not None
            assert "certificate is not trusted" in said
        assert len(hook.taken) == 1
        await signals.close()


@pytest.mark.parametrize(
    ("ca", "said"),
    [
        ("", "no certificates in PEM form"),
        ("what is this", "no certificates in PEM form"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read: "),
    ],
)
async def test_certificates_that_are_none_are_said(
    signals: OutsideSignals, hook: HookServer, ca: str, said: str
) -> None:
    answer = await signals.send(request(hook.url.replace("http://", "https://"), ca=ca))
    assert answer is not None
    assert said in answer
    assert hook.connections == 0


async def test_nothing_goes_unverified_where_certificates_are_given(signals: OutsideSignals, hook: HookServer) -> None:
    answer = await signals.send(request(hook.url, ca=postgres_base.authority().ca.read_text()))
    assert answer is not None
    assert "does not begin with https://" in answer
    assert hook.connections == 0
