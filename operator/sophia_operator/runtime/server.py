"""Serves metrics and health over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from sophia_operator.runtime.telemetry import Telemetry

#: Says what is wrong, or None.
Check = Callable[[], str | None]


@dataclass(slots=True)
class Health:
    """Why the process should be started anew, and why it is not ready yet."""

    alive: list[Check] = field(default_factory=list)
    ready: list[Check] = field(default_factory=list)


class Server:
    """`/metrics` on one port; `/healthz` and `/readyz` on another, or on the same."""

    def __init__(self, telemetry: Telemetry, health: Health, *, host: str = "") -> None:
        self._telemetry = telemetry
        self._health = health
        self._host = host or None
        self._runners: list[web.AppRunner] = []

    async def start(self, metrics_port: int, health_port: int) -> None:
        """Listen. Port 0 turns that part off. Raises OSError when a port is taken."""
        metrics = web.get("/metrics", self._metrics)
        health = [
            web.get("/healthz", self._answer(self._health.alive)),
            web.get("/readyz", self._answer(self._health.ready)),
        ]
        if metrics_port == health_port:
            await self._listen(metrics_port, [metrics, *health])
            return
        await self._listen(metrics_port, [metrics])
        await self._listen(health_port, health)

    async def stop(self) -> None:
        """Stop listening."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def _listen(self, port: int, routes: Sequence[web.RouteDef]) -> None:
        if port == 0:
            return
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, self._host, port).start()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._telemetry.exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    @staticmethod
    def _answer(checks: Sequence[Check]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(_: web.Request) -> web.StreamResponse:
            wrong = [message for check in checks if (message := check()) is not None]
            return web.Response(text="; ".join(wrong) or "ok", status=503 if wrong else 200)

        return answer
