"""A receiver of webhooks that behaves as badly as receivers do."""

from __future__ import annotations

import asyncio
import ssl
import struct
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

#: What it does with a request. `slow` answers after `slow_seconds`; `drip` sends an endless body after a good status.
FAULTS = ("hang", "reset", "close", "slow", "redirect", "error", "drip", "garbage", "huge")


@dataclass(frozen=True)
class Taken:
    """A request that came whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HookServer:
    """`async with HookServer() as hook: ...`; it is at `hook.url`."""

    fault: str | None = None
    status: int = 204
    slow_seconds: float = 0.2
    tls: ssl.SSLContext | None = None
    taken: list[Taken] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None] | None] = field(default_factory=set)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where signals are sent to."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hooks/secret-path?a=1"

    async def __aenter__(self) -> HookServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(t for t in self._tasks if t is not None), return_exceptions=True)

    async def until_taken(self, count: int) -> None:
        """Wait until that many requests came."""
        while len(self.taken) < count:
            self._came.clear()
            await self._came.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.taken.append(Taken(method, path, headers, body))
            self._came.set()
            await self._answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._tasks.discard(asyncio.current_task())

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        if self.fault == "hang":
            await asyncio.Event().wait()
        if self.fault == "reset":
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif self.fault == "close":
            return
        elif self.fault == "garbage":
            writer.write(b"this is no HTTP\r\n\r\n")
        elif self.fault == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
            await self._drip(writer, b"x", 0.01)
        elif self.fault == "huge":
            writer.write(b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n")
            await self._drip(writer, b"10000\r\n" + b"x" * 65536 + b"\r\n", 0)
        else:
            if self.fault == "slow":
                await asyncio.sleep(self.slow_seconds)
            status = {"redirect": 302, "error": 500}.get(self.fault or "", self.status)
            where = f"location: http://127.0.0.1:{self.port}/elsewhere\r\n" if self.fault == "redirect" else ""
            writer.write(f"HTTP/1.1 {status} Told\r\n{where}content-length: 0\r\n\r\n".encode())
            await writer.drain()

    @staticmethod
    async def _drip(writer: asyncio.StreamWriter, part: bytes, seconds: float) -> None:
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(seconds)
