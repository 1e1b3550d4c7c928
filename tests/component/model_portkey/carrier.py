"""What stands in for the processes of a Gateway: it carries out an HTTPRoute as the Gateway API says, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

#: Of a connection, not of a message.
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "host"}


class Carrier:
    """Sends requests by the first backend of the rule that matches best, to an address of this machine."""

    def __init__(self, backend: str) -> None:
        #: Where all backends are, as in `http://127.0.0.1:8787`.
        self.backend = backend
        self.route: Mapping[str, Any] | None = None
        self.port = 0
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Carrier]:
        """Listen on the whole loopback network: each of its addresses is a replica."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "0.0.0.0", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            try:
                yield self
            finally:
                await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        rule = self._rule(request)
        if rule is None:
            return web.Response(status=404)
        assert self._session is not None
        filters = [*rule.get("filters", ()), *rule["backendRefs"][0].get("filters", ())]
        headers = {k.lower(): v for k, v in request.headers.items() if k.lower() not in _HOP}
        path = request.path
        for each in filters:
            modifier = each.get("requestHeaderModifier") or {}
            headers |= {h["name"].lower(): h["value"] for h in modifier.get("set", ())}
            headers = {k: v for k, v in headers.items() if k not in modifier.get("remove", ())}
            rewrite = (each.get("urlRewrite") or {}).get("path")
            if rewrite is not None:
                prefix = rule["matches"][0]["path"]["value"].rstrip("/")
                path = rewrite["replacePrefixMatch"].rstrip("/") + path.removeprefix(prefix)
        async with self._session.request(
            request.method, self.backend + path, headers=headers, data=await request.read()
        ) as found:
            kept = {k: v for k, v in found.headers.items() if k.lower() not in _HOP}
            said = [f["responseHeaderModifier"]["set"] for f in filters if "responseHeaderModifier" in f]
            kept |= {h["name"]: h["value"] for part in said for h in part}
            return web.Response(status=found.status, headers=kept, body=await found.read())

    def _rule(self, request: web.Request) -> Mapping[str, Any] | None:
        if self.route is None or request.host.partition(":")[0] not in self.route["spec"]["hostnames"]:
            return None
        found = [
            (len(match.get("headers", ())), rule)
            for rule in self.route["spec"]["rules"]
            for match in rule["matches"]
            if request.path.startswith(match["path"]["value"])
            and all(request.headers.get(h["name"]) == h["value"] for h in match.get("headers", ()))
        ]
        return max(found, key=lambda each: each[0])[1] if found else None
