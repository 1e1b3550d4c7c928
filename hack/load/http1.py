"""A small HTTP/1.1 client connection.

Written out, rather than taken from a library, for two reasons: it costs a fraction of the CPU that the cluster under
test shares with us, and it hides nothing. Libraries silently repeat a request whose connection went away; here that is
seen and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult

_HEAD_LIMIT = 64 * 1024
_BODY_LIMIT = 64 * 1024 * 1024


class ConnectionLostError(ConnectionError):
    """The connection ended before the answer did. ``answered`` tells whether any byte of it had come."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class MalformedAnswerError(ConnectionError):
    """What came back is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: ``headers`` by lower-case name (the last value wins), the ``body`` without transfer coding."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class AnswerParser:
    """Takes bytes as they come and says when one final answer is complete (1xx answers are passed over)."""

    buffer: bytearray = field(default_factory=bytearray)
    _head: tuple[int, dict[str, str]] | None = None
    _chunks: bytearray | None = None

    def feed(self, data: bytes) -> Answer | None:
        """Add ``data``; return the answer once it is whole. Raises MalformedAnswerError."""
        self.buffer += data
        if len(self.buffer) > _BODY_LIMIT:
            raise MalformedAnswerError(f"more than {_BODY_LIMIT} bytes")
        while self._head is None:
            if not self._read_head():
                return None
        status, headers = self._head
        if status in (204, 304):
            return self._finish(0)
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._read_chunks()
        if (length := headers.get("content-length")) is not None:
            if not length.isdigit():
                raise MalformedAnswerError(f"content-length {length!r}")
            return self._finish(int(length)) if len(self.buffer) >= int(length) else None
        return None  # the body ends with the connection

    def end(self) -> Answer | None:
        """Say that the connection ended; return the answer if that is how its body ends."""
        if self._head is None:
            return None
        delimited = {"content-length", "transfer-encoding"} & self._head[1].keys()
        return None if delimited else self._finish(len(self.buffer))

    @property
    def started(self) -> bool:
        """Whether any byte has come."""
        return bool(self.buffer) or self._head is not None

    def _read_head(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > _HEAD_LIMIT:
                raise MalformedAnswerError("the headers do not end")
            return False
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        del self.buffer[: end + 4]
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise MalformedAnswerError(f"status line {first[:80]!r}")
        status = int(rest[:3])
        if status >= 200:
            headers: dict[str, str] = {}
            for line in lines:
                name, colon, value = line.partition(":")
                if not colon:
                    raise MalformedAnswerError(f"header line {line[:80]!r}")
                headers[name.strip().lower()] = value.strip()
            if version == "HTTP/1.0":
                headers.setdefault("connection", "close")
            self._head = (status, headers)
        return True

    def _read_chunks(self) -> Answer | None:
        if self._chunks is None:
            self._chunks = bytearray()
        while (line_end := self.buffer.find(b"\r\n")) >= 0:
            try:
                size = int(self.buffer[:line_end].split(b";")[0], 16)
            except ValueError as error:
                raise MalformedAnswerError("chunk size") from error
            if size == 0:
                # Trailers end like headers do; without any, the blank line follows at once.
                rest = self.buffer.find(b"\r\n\r\n", line_end)
                if rest < 0:
                    return None
                self.buffer = self._chunks + self.buffer[rest + 4 :]
                return self._finish(len(self._chunks))
            chunk_end = line_end + 2 + size
            if len(self.buffer) < chunk_end + 2:
                return None
            self._chunks += self.buffer[line_end + 2 : chunk_end]
            del self.buffer[: chunk_end + 2]
        return None

    def _finish(self, length: int) -> Answer:
        assert self._head is not None
        status, headers = self._head
        body = bytes(self.buffer[:length])
        del self.buffer[:length]
        self._head, self._chunks = None, None
        return Answer(status, headers, body)


class Connection(asyncio.Protocol):
    """One connection, one request at a time. Made by :func:`connect`."""

    def __init__(self) -> None:
        self.used = 0
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser = AnswerParser()
        self._waiting: asyncio.Future[Answer] | None = None
        self._closing = False

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent on it."""
        return not self._closing and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> Answer:
        """Send a whole request and return its answer.

        Raises ConnectionLostError or MalformedAnswerError. After any exception, cancellation included, the
        connection is closed: what may still come belongs to nobody.
        """
        assert self._waiting is None
        if not self.reusable or self._transport is None:
            raise ConnectionLostError("closed before the request", answered=False)
        self._waiting = asyncio.get_running_loop().create_future()
        self.used += 1
        self._transport.write(request)
        try:
            answer = await self._waiting
        except BaseException:
            self.close()
            raise
        finally:
            self._waiting = None
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def close(self) -> None:
        """Close it; safe to repeat."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        if self._waiting is None or self._waiting.done():
            self.close()  # nothing was asked: a server that answers unasked cannot be matched to requests
            return
        try:
            answer = self._parser.feed(data)
        except MalformedAnswerError as error:
            self._waiting.set_exception(error)
            return
        if answer is not None:
            self._waiting.set_result(answer)

    def eof_received(self) -> bool:
        """Part of asyncio.Protocol."""
        self._closing = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        self._closing = True
        if self._waiting is None or self._waiting.done():
            return
        if exc is None and (answer := self._parser.end()) is not None:
            self._waiting.set_result(answer)
        else:
            why = str(exc) if exc else "closed by the other side"
            self._waiting.set_exception(ConnectionLostError(why, answered=self._parser.started))


async def connect(host: str, port: int) -> Connection:
    """Open a connection; raises OSError."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, host, port)
    return connection


def request_bytes(
    parts: SplitResult, host: str | None, headers: Mapping[str, str], body: bytes | None = None
) -> dict[bool, bytes]:
    """Return the request as sent, by whether its connection closes after it: GET, or POST of a JSON body."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    method = "GET" if body is None else "POST"
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host or parts.netloc}", "User-Agent: sophia-load", "Accept: */*"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line break in the URL, the host or a header")
    kept, closing = [*lines, "", ""], [*lines, "Connection: close", "", ""]
    heads = {False: "\r\n".join(kept), True: "\r\n".join(closing)}
    return {closes: head.encode("latin-1") + (body or b"") for closes, head in heads.items()}
