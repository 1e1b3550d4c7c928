"""Metrics and health over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from hack.cluster.daemons import free_ports
from sophia_operator.runtime.server import Health, Server
from sophia_operator.runtime.telemetry import Telemetry


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def ports(health: Health) -> AsyncIterator[tuple[int, int]]:
    metrics, checks = free_ports(2)
    server = Server(Telemetry(process=False), health, host="127.0.0.1")
    await server.start(metrics, checks)
    yield metrics, checks
    await server.stop()


async def get(port: int, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}{path}")


async def test_metrics_and_health_have_ports_of_their_own(ports: tuple[int, int]) -> None:
    metrics, checks = ports
    found = await get(metrics, "/metrics")
    assert "sophia_leader" in found.text
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert (await get(metrics, "/healthz")).status_code == 404
    assert (await get(checks, "/metrics")).status_code == 404
    assert (await get(checks, "/healthz")).status_code == 200


async def test_what_is_wrong_is_said(ports: tuple[int, int], health: Health) -> None:
    health.alive.append(lambda: "watches make no progress")
    health.ready += [lambda: None, lambda: "listing"]
    alive, ready = await get(ports[1], "/healthz"), await get(ports[1], "/readyz")
    assert (alive.status_code, alive.text) == (503, "watches make no progress")
    assert (ready.status_code, ready.text) == (503, "listing")


async def test_one_port_may_serve_both_and_none_is_none() -> None:
    (port,) = free_ports(1)
    server = Server(Telemetry(process=False), Health(), host="127.0.0.1")
    await server.start(port, port)
    assert (await get(port, "/metrics")).status_code == 200
    assert (await get(port, "/readyz")).status_code == 200
    await server.stop()
    await server.start(0, 0)
    with pytest.raises(httpx.ConnectError):
        await get(port, "/metrics")
    await server.stop()
