"""TLS to Redis nodes: what verifies them, and whether something speaks TLS at all."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable
from typing import Final

from sophia_operator.adapters.authorities import UnreadableCaError, verifying
from sophia_operator.adapters.redis_faults import NoAnswerError
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeTls

#: What Redis answers to a PING, logged in or not, begins with one of these.
_ANSWERS: Final = (b"+", b"-")


def context_of(tls: NodeTls) -> ssl.SSLContext:
    """What verifies a node. It reads files of the system: not for the event loop. Raises NoAnswerError."""
    try:
        return _context(tls.ca)
    except UnreadableCaError as error:
        raise NoAnswerError(CacheFailure(CacheFault.TLS_UNTRUSTED, str(error))) from None


@functools.lru_cache(maxsize=64)
def _context(ca: str | None) -> ssl.SSLContext:
    return verifying(ca) if ca is not None else ssl.create_default_context()


async def speaks_plain(address: str, port: int, seconds: float) -> bool:
    """Whether it answers a PING without TLS. Nothing secret is sent."""

    async def ask() -> bool:
        reader, writer = await asyncio.open_connection(address, port)
        try:
            writer.write(b"PING\r\n")
            return await reader.read(1) in _ANSWERS
        finally:
            writer.transport.abort()

    return await _within(seconds, ask())


async def speaks_tls(address: str, port: int, seconds: float) -> bool:
    """Whether it begins a handshake of TLS; its certificate does not matter. Nothing secret is sent."""

    async def ask() -> bool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        _, writer = await asyncio.open_connection(address, port, ssl=context)
        writer.transport.abort()
        return True

    return await _within(seconds, ask())


async def _within(seconds: float, answer: Awaitable[bool]) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except OSError:  # TimeoutError and errors of TLS included
        return False
