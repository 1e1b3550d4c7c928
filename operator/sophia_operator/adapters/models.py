"""Models over HTTP: probes of them, and marked requests to the replicas of gateways in front of them."""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import httpx

from sophia_operator.adapters.arrivals import Arrivals
from sophia_operator.adapters.authorities import UnreadableCaError, verifying
from sophia_operator.adapters.model_connections import new_client
from sophia_operator.adapters.model_hosts import Hosts
from sophia_operator.adapters.model_probe import Dialect, Probe
from sophia_operator.adapters.model_replicas import ask
from sophia_operator.core.model.findings import (
    Completion,
    ModelFailure,
    ModelFault,
    ModelFinding,
    ModelProbeRequest,
    ReplicaFinding,
    ReplicaRequest,
)

#: Certificates of so many authorities are kept at once.
_CLIENTS: Final = 64
_DIALECTS: Final = 4096


class HttpModels:
    """Implements `ports.Models`. Follows no redirect, keeps no cookie and no connection, reads no proxy settings.

    `now` tells the time of a finding, and how long a date of a server lies ahead.
    """

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._arrivals = Arrivals()
        self._hosts = Hosts()
        #: By whether it speaks TLS, and the certificates in PEM; None are the public ones. Only the newest are kept.
        self._clients: OrderedDict[tuple[bool, str | None], httpx.AsyncClient] = OrderedDict()
        self._dialects: OrderedDict[tuple[str, str], Dialect] = OrderedDict()

    async def probe(self, request: ModelProbeRequest) -> ModelFinding:
        """Ask a model for one short completion, as a stream. Never raises for what the network or the model does."""
        answer = await self._probe(request)
        return ModelFinding(self._now(), answer)

    async def replicas(self, request: ReplicaRequest) -> tuple[ReplicaFinding, ...] | str:
        """Send a marked request to every replica at once; a string says why it is not known which there are. Never
        raises for what the network or a replica does."""
        client = await self._client(any(t.base_url.startswith("https://") for t in request.targets), None)
        return await ask(client, request, self._now, resolve=self._hosts.every_address)

    async def close(self) -> None:
        """Close every connection."""
        self._hosts.close()
        while self._clients:
            _, client = self._clients.popitem()
            await client.aclose()

    async def _probe(self, request: ModelProbeRequest) -> Completion | ModelFailure:
        if request.api_key is not None and not _is_sendable(request.api_key):
            message = "the key has characters that cannot be sent, such as a line break: correct the Secret"
            return ModelFailure(ModelFault.CREDENTIALS_REFUSED, message)
        try:
            client = await self._client(request.base_url.lower().startswith("https://"), request.ca)
        except UnreadableCaError as error:
            return ModelFailure(ModelFault.TLS_UNTRUSTED, str(error))
        place = (request.base_url, request.model)
        with self._arrivals.measuring():
            probe = Probe(client, self._hosts, request, self._dialects.get(place, Dialect()), self._arrivals, self._now)
            answer = await probe.run()
        if probe.dialect != Dialect():
            self._dialects[place] = probe.dialect
            self._dialects.move_to_end(place)
            if len(self._dialects) > _DIALECTS:
                self._dialects.popitem(last=False)
        else:
            self._dialects.pop(place, None)
        return answer

    async def _client(self, tls: bool, ca: str | None) -> httpx.AsyncClient:
        key = (tls, ca if tls else None)
        client = self._clients.get(key)
        if client is None:
            # It reads files: not for the event loop.
            client = new_client(await asyncio.to_thread(_context, *key))
            self._clients[key] = client
            if len(self._clients) > _CLIENTS:
                # Requests that are under way go on with it; no connection of it is left over after them.
                self._clients.popitem(last=False)
        self._clients.move_to_end(key)
        return client


def _context(tls: bool, ca: str | None) -> ssl.SSLContext:
    """What verifies an endpoint; as for all other requests, None are the certificates that browsers trust."""
    if not tls:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and costs nothing
    return verifying(ca) if ca is not None else httpx.create_ssl_context(trust_env=False)


def _is_sendable(key: str) -> bool:
    return bool(key) and all("!" <= char <= "~" for char in key)
