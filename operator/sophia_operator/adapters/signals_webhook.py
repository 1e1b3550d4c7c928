"""Signals to webhooks: a POST, signed if the receiver has a key, to an address that was looked at first."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import httpx

from sophia_operator.adapters.authorities import UnreadableCaError, verifying
from sophia_operator.adapters.http_answers import FAILURES, read
from sophia_operator.adapters.model_connections import new_client
from sophia_operator.adapters.model_faults import of_exception
from sophia_operator.adapters.redis_session import Resolve
from sophia_operator.adapters.signals_hosts import NOT_ALLOWED, allowed
from sophia_operator.core.recovery.signal_request import Refused, SignalRequest, WebhookPlace

SIGNATURE: Final = "x-sophia-signature"
ID: Final = "x-sophia-signal-id"
#: Of an answer only so much is read, and nothing of it is looked at.
LARGEST_ANSWER: Final = 64 * 1024
_FAILURES: Final = (*FAILURES, OSError)
#: Of the addresses of a name only so many are tried.
_MOST_ADDRESSES: Final = 4
#: Answers 4xx that are no last word: the request came too late or too early, or too many did.
_NOT_NOW: Final = frozenset({408, 425, 429})


def signature(key: bytes, at: datetime, body: bytes) -> str:
    """What `x-sophia-signature` says: the time, and the HMAC-SHA256 of the time, a dot and the body. A receiver that
    refuses what is older than some minutes cannot be told again by who recorded it."""
    seconds = int(at.timestamp())
    signed = hmac.new(key, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={signed}"


class Webhooks:
    """Follows no redirect, keeps no cookie and no connection, reads no proxy settings."""

    def __init__(self, resolve: Resolve, now: Callable[[], datetime]) -> None:
        self._resolve = resolve
        self._now = now
        #: For receivers with a certificate that browsers trust. Others are few, and get a client for each signal.
        self._client: httpx.AsyncClient | None = None

    async def send(self, request: SignalRequest, to: WebhookPlace) -> str | None:
        """None when it answered 2xx; else why not: `Refused` when it will not take the signal later either."""
        sent = _Sent(request, to)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                return await self._send(sent)
        except TimeoutError:
            return f"no answer within {request.timeout_seconds:g} s" if sent.status is None else _meaning(sent.status)

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()

    async def _send(self, sent: _Sent) -> str | None:
        try:
            url = httpx.URL(sent.to.url.strip())
        except (httpx.InvalidURL, ValueError):
            return "its URL is none: correct it"
        if url.scheme not in ("http", "https") or not url.host:
            return "its URL does not begin with http:// or https:// and a host: correct it"
        if sent.to.ca is not None and url.scheme != "https":
            return "its URL does not begin with https://, though caSecretRef is given: correct one of the two"
        try:
            found = await self._resolve(url.host, url.port or 0)
        except (OSError, UnicodeError):
            return "the host of its URL cannot be resolved"
        addresses = allowed(found)[:_MOST_ADDRESSES]
        if not addresses:
            return NOT_ALLOWED
        if sent.to.ca is None:
            return await self._post(await self._public(), sent, url, addresses)
        try:
            context = verifying(sent.to.ca)
        except UnreadableCaError as error:
            return str(error)
        async with new_client(context) as client:
            return await self._post(client, sent, url, addresses)

    async def _post(
        self, client: httpx.AsyncClient, sent: _Sent, url: httpx.URL, addresses: Sequence[str]
    ) -> str | None:
        """To the first address that can be connected to. The name is not resolved once more: it could lead elsewhere by
        then."""
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            # An address that hangs leaves time for the others.
            connect = sent.request.timeout_seconds / len(addresses) if left else None
            try:
                await self._ask(client, sent, url, address, connect)
            except _FAILURES as problem:
                if isinstance(problem, httpx.ConnectError | httpx.ConnectTimeout) and left:
                    continue
                if sent.status is None:
                    return of_exception(problem, answered=False, url="of the receiver").message
            # Once its status is there, how the answer ends matters to nobody.
            return _meaning(sent.status)
        raise AssertionError("a name resolves to an address")

    async def _ask(
        self, client: httpx.AsyncClient, sent: _Sent, url: httpx.URL, address: str, connect: float | None
    ) -> None:
        request, to = sent.request, sent.to
        headers = {"host": url.netloc.decode("ascii"), "content-type": to.content_type, ID: request.id}
        if to.hmac_key is not None:
            headers[SIGNATURE] = signature(to.hmac_key, self._now(), request.body)
        asked = client.build_request(
            "POST",
            url.copy_with(host=address, userinfo=b""),
            headers=headers,
            content=request.body,
            timeout=httpx.Timeout(None, connect=connect),
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        auth = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
        answer = await client.send(asked, stream=True, auth=auth)
        sent.status = answer.status_code
        try:
            await read(answer, LARGEST_ANSWER)
        finally:
            await answer.aclose()

    async def _public(self) -> httpx.AsyncClient:
        if self._client is None:
            # It reads files: not for the event loop.
            context = await asyncio.to_thread(httpx.create_ssl_context, trust_env=False)
            if self._client is None:
                self._client = new_client(context)
        return self._client


@dataclass(slots=True)
class _Sent:
    """A signal under way."""

    request: SignalRequest
    to: WebhookPlace
    #: Of the answer, once it is there.
    status: int | None = None


def _meaning(status: int | None) -> str | None:
    """None of 2xx; else why the signal was not taken."""
    assert status is not None  # there was no exception
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"answers {status}: a redirect is not followed; correct the URL"
    if status in (401, 403):
        return Refused(f"answers {status}: it does not accept the request; see its Secrets", status)
    if 400 <= status < 500 and status not in _NOT_NOW:
        return Refused(f"answers {status}: it refuses the signal, which is not sent again; correct the URL", status)
    return f"answers {status}"
