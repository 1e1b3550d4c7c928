"""A server that speaks the OpenAI API, and fails in every way that one of those can. Standard library alone, one file:
images copy it.

    python openai_server.py --port 8000 --name primary [--set 'models=["gpt-4o"]' ...]

`POST /control` with settings as JSON changes them at once, `{"reset": true}` sets counters to 0, and `GET /control`
tells both. Each answer tells which server gave it: its content begins with the name, `system_fingerprint` is the name,
and `model` ends with it, as dated variants of a model do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from http.client import responses
from typing import Any

#: What each does is told where it is done; `drip` sends the answer one byte at a time, `no_json` events without JSON.
FAULTS = (
    "hang", "close", "redirect", "error_body", "html", "huge", "drip", "no_stream", "no_json",
    "hang_in_stream", "endless", "truncated", "unfinished", "error_event",
)  # fmt: skip
_SECRET_HEADERS = {"authorization", "api-key", "x-api-key", "cookie"}
_HUGE = 64 * 1024 * 1024


@dataclasses.dataclass
class Settings:
    """How the server behaves. All of it can be changed while it runs."""

    models: list[str] = dataclasses.field(default_factory=list)  # 404 for others; empty: all are known
    api_key: str | None = None
    fault: str | None = None  # one of FAULTS
    error_rate: float = 0.0  # of so many requests (0 to 1, spread evenly) the answer is `status`
    status: int = 500
    message: str = "the server had an error while processing your request"
    retry_after: str | None = None  # header of an answer that is no 200
    latency_seconds: float = 0.0  # before anything of the answer is sent
    first_token_seconds: float = 0.0  # from the headers to the first token
    tokens_per_second: float = 0.0  # 0: all at once
    tokens: int = 6  # of an answer, unless max_tokens is lower
    #: Whether streams end with the usage when a client asks so; `"refuse"` answers 400 to who asks.
    stream_usage: bool | str = True
    drip_seconds: float = 0.05
    location: str = "http://127.0.0.1:1/v1/chat/completions"


@dataclasses.dataclass
class Counters:
    """What was asked. Requests are those for completions."""

    requests: int = 0
    connections: int = 0
    running: int = 0
    left: int = 0  # given up by the client
    streams: int = 0
    statuses: Counter[int] = dataclasses.field(default_factory=Counter)
    marks: Counter[str] = dataclasses.field(default_factory=Counter)
    last_headers: dict[str, str] = dataclasses.field(default_factory=dict)
    last_body: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter

    @property
    def keeps(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"

    def head(self, status: int, headers: dict[str, str]) -> bytes:
        every = {"connection": "keep-alive" if self.keeps else "close"} | headers
        lines = [f"HTTP/1.1 {status} {responses.get(status, 'Told')}", *(f"{k}: {v}" for k, v in every.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None, lacking: int = 0) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        own = {"content-type": "application/json", "content-length": str(len(content))}
        self.writer.write(self.head(status, own | (headers or {})) + content[: len(content) - lacking])


class _BreakError(Exception):
    """The connection is to be closed as it is."""


class _Reader(asyncio.StreamReader):
    """Tells at once when the client has left, whatever the server is doing: real ones stop generating then."""

    on_end: Callable[[], object] = staticmethod(lambda: None)

    def feed_eof(self) -> None:
        super().feed_eof()
        self.on_end()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.on_end()


class OpenAiServer:
    """`async with OpenAiServer("primary", models=["gpt-4o"]) as server: ...`; the API begins at `server.url`."""

    def __init__(self, name: str = "primary", *, tls: ssl.SSLContext | None = None, **settings: Any) -> None:
        self.name = name
        self.settings = Settings()
        self.control(**settings)
        self.counters = Counters()
        self.port, self.url = 0, ""
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[Any]] = set()
        self._owed = 0.0

    def control(self, **changes: Any) -> None:
        """Change settings at once. Raises ValueError for what is no setting."""
        unknown = set(changes) - {f.name for f in dataclasses.fields(Settings)}
        if unknown or changes.get("fault") not in (None, *FAULTS):
            raise ValueError(f"no such setting or fault: {sorted(unknown) or changes['fault']}")
        vars(self.settings).update(changes)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        new = lambda: asyncio.StreamReaderProtocol(_Reader(loop=loop), self._serve, loop=loop)  # noqa: E731
        self._server = await loop.create_server(new, host, port, ssl=self._tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    async def close(self) -> None:
        """Stop listening and break every connection."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def __aenter__(self) -> OpenAiServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        vars(reader)["on_end"] = task.cancel
        self._connections.add(task)
        self.counters.connections += 1
        whole = False
        try:
            while (request := await _read(reader, writer)) is not None:
                await self._answer(request)
                if not request.keeps:
                    break
            whole = True
        except (_BreakError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            await asyncio.sleep(0)  # what was written goes out first
        except asyncio.CancelledError:
            pass  # the client left, or the server is closed: nobody waits for this task
        finally:
            self._connections.discard(task)
            writer.close() if whole else writer.transport.abort()

    async def _answer(self, request: _Request) -> None:
        match request.method, request.path.partition("?")[0]:
            case "POST", path if path.endswith("/chat/completions"):
                await self._completions(request)
            case "GET", path if path.endswith("/models"):
                data = [{"id": m, "object": "model", "owned_by": self.name} for m in self.settings.models]
                request.send(200, {"object": "list", "data": data})
            case "GET", "/control":
                request.send(200, self.told())
            case "POST", "/control":
                request.send(*self._changed(request.body))
            case _:
                request.send(404, _error("no such path", "invalid_request_error"))
        await request.writer.drain()

    def told(self) -> dict[str, Any]:
        """Name, counters and settings, without the key of the API."""
        settings = vars(self.settings) | {"api_key": self.settings.api_key is not None}
        return {"name": self.name, "settings": settings} | vars(self.counters)

    def _changed(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            changes = json.loads(body)
            if changes.pop("reset", False):
                self.counters = Counters(connections=self.counters.connections, running=self.counters.running)
            self.control(**changes)
        except (ValueError, AttributeError, TypeError) as problem:
            return 400, _error(str(problem), "invalid_request_error")
        return 200, self.told()

    async def _completions(self, request: _Request) -> None:
        counters = self.counters
        counters.requests += 1
        counters.running += 1
        counters.last_headers = {k: v for k, v in request.headers.items() if k not in _SECRET_HEADERS}
        if mark := request.headers.get("x-sophia-mark"):
            counters.marks[mark] += 1
        try:
            await self._complete(request)
        except asyncio.CancelledError:
            counters.left += 1
            raise
        finally:
            counters.running -= 1

    async def _complete(self, request: _Request) -> None:
        settings = dataclasses.replace(self.settings)
        await asyncio.sleep(settings.latency_seconds)
        if settings.fault == "hang":
            await asyncio.Event().wait()
        if settings.fault == "close":
            raise _BreakError
        refusal = self._refusal(request, settings)
        self.counters.statuses[refusal[0] if refusal else 200] += 1
        if refusal:
            told = {"retry-after": settings.retry_after, "location": settings.location if refusal[0] == 307 else None}
            request.send(*refusal, {k: v for k, v in told.items() if v})
            return
        answer = _Answer(self.name, json.loads(request.body), settings, request)
        self.counters.streams += answer.streamed
        await answer.send()

    def _refusal(self, request: _Request, settings: Settings) -> tuple[int, dict[str, Any]] | None:
        if settings.api_key and request.headers.get("authorization") != f"Bearer {settings.api_key}":
            return 401, _error("Incorrect API key provided", "invalid_request_error", "invalid_api_key")
        self._owed += settings.error_rate
        if self._owed >= 1 - 1e-9:
            self._owed -= 1
            return settings.status, _error(settings.message, "server_error")
        if settings.fault == "redirect":
            return 307, {}
        try:
            body = json.loads(request.body)
            model, _ = body["model"], body["messages"][0]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            return 400, _error("you must provide model and messages", "invalid_request_error")
        self.counters.last_body = body
        if settings.models and model not in settings.models:
            return 404, _error(f"The model `{model}` does not exist", "invalid_request_error", "model_not_found")
        if settings.stream_usage == "refuse" and "stream_options" in body:
            return 400, _error("Unrecognized request argument supplied: stream_options", "invalid_request_error")
        return None


class _Answer:
    """One completion, whole or as a stream."""

    def __init__(self, name: str, body: dict[str, Any], settings: Settings, request: _Request) -> None:
        self._settings, self._request, self._unsent = settings, request, bytearray()
        count = min(body.get("max_tokens") or settings.tokens, settings.tokens)
        self._pieces = [name, " is", " ready", " to", " answer", ".", *([" more"] * count)][:count]
        self._finish = "length" if count < settings.tokens else "stop"
        prompt = sum(len(str(m.get("content", "")).split()) for m in body["messages"])
        self._usage = {"prompt_tokens": prompt, "completion_tokens": count, "total_tokens": prompt + count}
        self._tells_usage = settings.stream_usage is True and bool(body.get("stream_options", {}).get("include_usage"))
        self._head = {"id": "chatcmpl-1", "created": int(time.time()), "system_fingerprint": name}
        self._head["model"] = f"{body['model']}-{name}"
        self.streamed = bool(body.get("stream")) and settings.fault != "no_stream"

    async def send(self) -> None:
        fault, send = self._settings.fault, self._request.send
        if fault == "html":
            send(200, b"<html><body>Welcome to the gateway</body></html>", {"content-type": "text/html"})
        elif fault == "error_body":
            send(200, _error(self._settings.message, "server_error"))
        elif fault == "huge":
            send(200, b" " * _HUGE)
        elif self.streamed:
            await self._stream()
        else:
            await self._whole()

    async def _whole(self) -> None:
        settings, count = self._settings, len(self._pieces)
        hangs = settings.fault in ("hang_in_stream", "endless")
        await asyncio.sleep(1e6 if hangs else settings.first_token_seconds)
        await asyncio.sleep((count - 1) / settings.tokens_per_second if settings.tokens_per_second else 0)
        message = {"role": "assistant", "content": "".join(self._pieces)}
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        body = self._head | {"object": "chat.completion", "choices": [choice], "usage": self._usage}
        self._request.send(200, body, lacking=20 if settings.fault == "truncated" else 0)
        if settings.fault == "truncated":
            raise _BreakError

    async def _stream(self) -> None:
        headers = {"content-type": "text/event-stream", "cache-control": "no-cache", "transfer-encoding": "chunked"}
        self._unsent += self._request.head(200, headers)
        async for event in self._events():
            data = f"data: {'no JSON at all' if self._settings.fault == 'no_json' else event}\n\n".encode()
            self._unsent += b"%x\r\n%s\r\n" % (len(data), data)
        self._unsent += b"0\r\n\r\n"
        await self._pause(0)

    async def _pause(self, seconds: float) -> None:
        """What is there goes out at once; what follows comes later."""
        data, self._unsent = bytes(self._unsent), bytearray()
        drip = self._settings.fault == "drip"
        for part in (data[i : i + 1] for i in range(len(data))) if drip else (data,):
            self._request.writer.write(part)
            await asyncio.sleep(self._settings.drip_seconds if drip else 0)
        await self._request.writer.drain()
        await asyncio.sleep(seconds)

    async def _events(self) -> AsyncIterator[str]:
        settings = self._settings
        yield self._chunk({"role": "assistant", "content": ""})
        if settings.first_token_seconds:
            await self._pause(settings.first_token_seconds)
        for number, piece in enumerate(self._pieces):
            if number == min(2, len(self._pieces) - 1):
                async for event in self._broken(settings.fault):
                    yield event
                if settings.fault == "error_event":
                    return
            if number and settings.tokens_per_second:
                await self._pause(1 / settings.tokens_per_second)
            yield self._chunk({"content": piece})
        if settings.fault == "unfinished":
            return
        yield self._chunk({}, self._finish)
        if self._tells_usage:
            yield json.dumps(self._head | {"object": "chat.completion.chunk", "choices": [], "usage": self._usage})
        yield "[DONE]"

    async def _broken(self, fault: str | None) -> AsyncIterator[str]:
        if fault == "error_event":
            yield json.dumps(_error(self._settings.message, "server_error"))
        elif fault == "hang_in_stream":
            await self._pause(1e6)
        elif fault == "truncated":
            await self._pause(0)
            raise _BreakError
        while fault == "endless":
            yield self._chunk({"content": " on"})
            await self._pause(0.02)

    def _chunk(self, delta: dict[str, str], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return json.dumps(self._head | {"object": "chat.completion.chunk", "choices": [choice]})


def _error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Request | None:
    """The next request; None when the client ended the connection between two of them."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
        return None
    method, path, _ = head[0].split(" ")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return _Request(method, path, headers, body, writer)


async def _run(arguments: argparse.Namespace) -> None:
    server = OpenAiServer(arguments.name, **{k: json.loads(v) for k, _, v in (s.partition("=") for s in arguments.set)})
    await server.start(arguments.host, arguments.port)
    print(f"{arguments.name} answers at {arguments.host}:{server.port}", flush=True)  # noqa: T201
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A model that is none, behind the OpenAI API.")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--name", default="primary")
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=JSON")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
