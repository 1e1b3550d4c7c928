"""Answers to the operator's own HTTP requests: how much of them is read, and why there is none."""

from __future__ import annotations

from typing import Final

import httpx

_UNSENDABLE: Final = "the request cannot be sent as it is written: check URL, path and headers"
#: A group comes from a port that no socket has; ValueError from text that no request can hold.
FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, ValueError, ExceptionGroup)


async def read(answer: httpx.Response, most: int) -> tuple[bytes, bool]:
    """The body, up to `most` bytes, and whether that is all of it."""
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > most:
            return bytes(body[:most]), False
    return bytes(body), True


def why(problem: Exception) -> str:
    """In our words: the library's can hold headers that users keep secret."""
    match problem:
        case httpx.ConnectError():
            return f"cannot connect ({problem})"
        case httpx.RemoteProtocolError() | httpx.ReadError() | httpx.WriteError():
            return "the connection broke"
        case httpx.LocalProtocolError() | httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return _UNSENDABLE
        case ValueError() | ExceptionGroup():
            return _UNSENDABLE
        case _:
            return type(problem).__name__
