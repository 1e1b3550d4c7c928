"""Connections to models and gateways: one for each request, and none that outlives it."""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore
import httpx


def new_client(context: ssl.SSLContext) -> httpx.AsyncClient:
    """Follows no redirect, keeps no cookie and no connection, reads no proxy settings."""
    return httpx.AsyncClient(
        transport=_Transport(context),
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        # A compressed body could unpack to any size.
        headers={"user-agent": "sophia-operator", "accept-encoding": "identity", "connection": "close"},
    )


class _Transport(httpx.AsyncHTTPTransport):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, max_connections=None, max_keepalive_connections=0, network_backend=_Backend()
        )


class _Backend(httpcore.AnyIOBackend):
    async def connect_tcp(self, *place: Any, **how: Any) -> httpcore.AsyncNetworkStream:
        return _Stream(await super().connect_tcp(*place, **how))


class _Stream(httpcore.AsyncNetworkStream):
    """Closed when its handshake is cancelled, as by the time limit of a probe. The library leaves it open then, for as
    long as the other side does: one socket for each probe of an endpoint that hangs there."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def start_tls(self, *who: Any, **how: Any) -> httpcore.AsyncNetworkStream:
        try:
            return await self._inner.start_tls(*who, **how)
        except BaseException:
            await self._inner.aclose()
            raise

    async def read(self, *how: Any, **more: Any) -> bytes:
        return await self._inner.read(*how, **more)

    async def write(self, *what: Any, **how: Any) -> None:
        await self._inner.write(*what, **how)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
