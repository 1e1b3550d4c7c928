"""Stands in for a gateway and its Prometheus: answers as both would under steady, healthy traffic.

Every rollout that asks it is good: its requests are split as the route says, none fails. Who counts what a rollout
costs the API server needs no more.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from sophia_operator.api.release import Color
from sophia_operator.core.names import COLOR_HEADER, PROBE_CANDIDATE, PROBE_HEADER

_SAMPLE: Final = re.compile(r'"sophia", "(\w+)"')
_REQUESTS: Final = 10_000


class TrafficStandIn:
    """Answers for one service. `weights` tells what its route says: {backend Service: weight}."""

    def __init__(self, service: str, weights: Callable[[], Mapping[str, int]]) -> None:
        self._service = service
        self._weights = weights

    @asynccontextmanager
    async def running(self, port: int) -> AsyncIterator[None]:
        """Serve on that port of loopback while the block runs."""
        app = web.Application()
        app.router.add_route("*", "/api/v1/query", self._query)
        app.router.add_route("*", "/{path:.*}", self._request)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield
        finally:
            await runner.cleanup()

    async def _query(self, request: web.Request) -> web.Response:
        form = await request.post()
        query = str(form.get("query") or request.query.get("query", ""))
        names = dict.fromkeys(_SAMPLE.findall(query))
        result = [{"metric": {"sophia": name}, "value": [0, str(self._value(name))]} for name in names]
        data: dict[str, Any] = {"resultType": "vector", "result": result}
        return web.json_response({"status": "success", "data": data})

    def _value(self, name: str) -> float:
        if name in [color.value for color in Color]:
            return _REQUESTS * self._percent(Color(name)) / 100
        return {"errors": 0, "baseline_errors": 0}.get(name, _REQUESTS)

    def _percent(self, color: Color) -> float:
        weights = self._weights()
        total = sum(weights.values()) or 1
        return 100 * weights.get(f"{self._service}-{color.value}", 0) / total

    async def _request(self, request: web.Request) -> web.Response:
        """One through the gateway. A candidate is what has no traffic yet; else the larger part answers."""
        marked = request.headers.get(PROBE_HEADER)
        choose = min if marked == PROBE_CANDIDATE else max
        color = choose(Color, key=self._percent)
        headers = {COLOR_HEADER: color.value} if marked else {}
        return web.json_response({"ok": True}, headers=headers)
