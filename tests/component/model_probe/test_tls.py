"""Endpoints by TLS, with an authority that was made for these tests."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from hack.cluster import pki
from sophia_operator.adapters import models as adapter
from sophia_operator.adapters.models import HttpModels
from sophia_operator.core.model.findings import ModelFault
from tests.component.model_probe.asking import answered, failed
from tests.support.openai_server import OpenAiServer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.Authority:
    return pki.create(
        tmp_path_factory.mktemp("pki"),
        [
            pki.Identity("here", "here", alternative_names=("DNS:localhost", "IP:127.0.0.1")),
            pki.Identity("elsewhere", "elsewhere", alternative_names=("DNS:elsewhere.example",)),
        ],
    )


def shows(authority: pki.Authority, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.certificate(name), authority.key(name))
    return context


async def test_an_endpoint_is_verified_by_its_own_authority(models: HttpModels, authority: pki.Authority) -> None:
    async with OpenAiServer("primary", tls=shows(authority, "here")) as server:
        ca = authority.ca.read_text()
        assert (await answered(models, server.url, ca=ca)).tokens == 6
        by_name = server.url.replace("127.0.0.1", "localhost")
        assert (await answered(models, by_name, ca=ca)).tokens == 6
        assert server.counters.last_headers["host"] == f"localhost:{server.port}"


async def test_an_authority_that_nobody_knows_is_not_trusted(models: HttpModels, authority: pki.Authority) -> None:
    async with OpenAiServer("primary", tls=shows(authority, "here")) as server:
        found = await failed(models, server.url)
        assert found.fault is ModelFault.TLS_UNTRUSTED
        assert found.message.startswith("its certificate is not trusted: unable to get local issuer certificate")
        assert server.counters.requests == 0


async def test_neither_is_another_authority(models: HttpModels, authority: pki.Authority, tmp_path: Path) -> None:
    other = pki.create(tmp_path / "other", [])
    async with OpenAiServer("primary", tls=shows(authority, "here")) as server:
        found = await failed(models, server.url, ca=other.ca.read_text())
    assert found.fault is ModelFault.TLS_UNTRUSTED


async def test_a_certificate_of_another_host_is_not_trusted(models: HttpModels, authority: pki.Authority) -> None:
    async with OpenAiServer("primary", tls=shows(authority, "elsewhere")) as server:
        found = await failed(models, server.url.replace("127.0.0.1", "localhost"), ca=authority.ca.read_text())
    assert found.fault is ModelFault.TLS_UNTRUSTED
    assert "localhost" in found.message


@pytest.mark.parametrize(
    "ca", ["", "no certificates", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"]
)
async def test_certificates_that_cannot_be_read_are_told(models: HttpModels, ca: str) -> None:
    found = await failed(models, "https://127.0.0.1:1/v1", ca=ca)
    assert found.fault is ModelFault.TLS_UNTRUSTED
    assert found.message.startswith("the certificates of the CA cannot be read")


async def test_what_speaks_no_tls_is_told(models: HttpModels) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    found = await failed(models, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    server.close()
    assert found.fault is ModelFault.UNREACHABLE
    assert found.message.startswith("cannot be reached by TLS (")


async def test_a_handshake_that_hangs_is_given_up_in_time_and_leaves_no_connection(models: HttpModels) -> None:
    left = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()
        writer.close()

    silent = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    found = await failed(models, f"https://127.0.0.1:{port}/v1", timeout_seconds=0.5)
    assert (found.fault, found.message) == (ModelFault.TIMEOUT, "no connection within 0.5 s")
    await asyncio.wait_for(left.wait(), 5)
    silent.close()


async def test_contexts_are_made_once_for_each_authority_and_the_oldest_leave(
    models: HttpModels, authority: pki.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = list[str | None](), adapter._context

    def counting(tls: bool, ca: str | None) -> ssl.SSLContext:
        made.append(ca)
        return real(tls, ca)

    monkeypatch.setattr(adapter, "_context", counting)
    monkeypatch.setattr(adapter, "_CLIENTS", 2)
    first, second, third = (authority.ca.read_text() + "\n" * n for n in range(3))
    async with OpenAiServer("primary", tls=shows(authority, "here")) as server:
        for ca in (first, second, first, second):
            await answered(models, server.url, ca=ca)
        assert made == [first, second]
        await answered(models, server.url, ca=third)
        await answered(models, server.url, ca=first)
    assert made == [first, second, third, first]
    assert len(models._clients) == 2
