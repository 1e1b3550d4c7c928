"""Signals to Redis Streams: an XADD on a connection of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from sophia_operator.adapters.redis_faults import failure_of
from sophia_operator.adapters.redis_session import FAILURES, Deadline, Resolve, Session, Target, connected
from sophia_operator.adapters.signals_hosts import NOT_ALLOWED, allowed
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.findings import NodeTls
from sophia_operator.core.recovery.signal_request import SignalRequest, StreamPlace

_PORT: Final = 6379
_FORM: Final = "its URL is none of the form rediss://user:password@host:6379/0: correct it"
#: Their words name the host or the address, which is in a Secret.
_IN_OUR_WORDS: Final = {
    CacheFault.HOST_UNKNOWN: "the host of its URL cannot be resolved",
    CacheFault.REFUSED: "the connection is refused",
}


@dataclass(frozen=True, slots=True)
class _Where:
    target: Target
    database: int
    password: str | None = field(repr=False)


class _NotAllowedError(OSError):
    """A receiver may not be there."""


class Streams:
    """Keeps no connection: signals are few."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def send(self, request: SignalRequest, to: StreamPlace) -> str | None:
        """None when the entry is in the stream; else why not."""
        where = _parsed(to.url.strip(), to.ca)
        if where is None:
            return _FORM
        if to.ca is not None and where.target.tls is None:
            return "its URL does not begin with rediss://, though caSecretRef is given: correct one of the two"
        refused = False

        async def resolve(host: str, port: int) -> Sequence[str]:
            nonlocal refused
            found = allowed(await self._resolve(host, port))
            refused = not found
            if refused:
                raise _NotAllowedError(NOT_ALLOWED)
            return found

        deadline = Deadline(request.timeout_seconds)
        try:
            async with deadline.kept(), connected(where.target, deadline, resolve) as session:
                await _add(session, where.database, request, to)
        except FAILURES as error:
            if refused:
                return NOT_ALLOWED
            failure = failure_of(error, secret=where.password)
            return _IN_OUR_WORDS.get(failure.fault, failure.message)
        return None


def _parsed(url: str, ca: str | None) -> _Where | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORT
        database = int(parts.path.strip("/") or "0")
    except ValueError:
        return None
    if parts.scheme not in ("redis", "rediss") or not host or database < 0:
        return None
    user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
    tls = NodeTls(host, ca) if parts.scheme == "rediss" else None
    return _Where(Target(host, port, user, password, tls), database, password)


async def _add(session: Session, database: int, request: SignalRequest, to: StreamPlace) -> None:
    if database:
        await session.ask("SELECT", database)
    fields = ("id", request.id, "type", request.type, "event", request.body)
    await session.ask("XADD", to.stream, "MAXLEN", "~", to.max_length, "*", *fields)
