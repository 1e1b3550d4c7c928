"""One probe of a model: a streamed chat completion, measured.

Each probe opens a connection of its own. On a kept one, a Service would send every probe to the same pod, however many
others are dead, and a name that leads elsewhere by now would not be seen. Users' requests come by a gateway that keeps
its connections, so the times begin when the request is sent: what it took to connect counts for the time limit only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import httpx

from sophia_operator.adapters.arrivals import Arrivals
from sophia_operator.adapters.http_answers import read
from sophia_operator.adapters.model_answers import Answer
from sophia_operator.adapters.model_faults import FAILURES, of_exception, of_status
from sophia_operator.adapters.model_hosts import HostError, Hosts
from sophia_operator.adapters.model_words import message_in
from sophia_operator.core.model.findings import Completion, ModelFailure, ModelFault, ModelProbeRequest

#: Of an answer that is no 200 only so much is read.
_ERROR_BODY: Final = 64 * 1024
_SENT: Final = "http11.send_request_headers.started"


class Stage(StrEnum):
    """How far a probe came, in words of what is missing when its time is over."""

    NAME = "its name was not resolved"
    CONNECTION = "no connection"
    ANSWER = "no answer"
    TOKEN = "no token"  # noqa: S105 - of text
    END = "no end of the answer"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an endpoint wants to be asked where endpoints differ."""

    #: Whether it takes `stream_options`, which older servers refuse.
    tells_usage: bool = True
    #: Newer models of OpenAI refuse `max_tokens`.
    limit: str = "max_tokens"

    def body(self, request: ModelProbeRequest) -> dict[str, Any]:
        """Of the request."""
        asked: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": "user", "content": request.prompt}],
            "stream": True,
            self.limit: request.max_tokens,
        }
        return asked | ({"stream_options": {"include_usage": True}} if self.tells_usage else {})

    def other(self, status: int, body: bytes) -> Dialect:
        """The dialect to try after a refusal; the same one when it was refused for something else."""
        words = (message_in(body) or "") + body[:2000].decode(errors="replace")
        if status not in (400, 422):
            return self
        if self.tells_usage and "stream_options" in words:
            return Dialect(False, self.limit)
        if self.limit in words:
            return Dialect(self.tells_usage, "max_completion_tokens" if self.limit == "max_tokens" else "max_tokens")
        return self


@dataclass(slots=True)
class Probe:
    """A probe under way."""

    client: httpx.AsyncClient
    hosts: Hosts
    request: ModelProbeRequest
    dialect: Dialect
    arrivals: Arrivals
    now: Callable[[], datetime]
    stage: Stage = Stage.NAME
    _sent_at: float = 0.0
    #: What the status of an answer means whose body is still read.
    _status: ModelFailure | None = None

    async def run(self) -> Completion | ModelFailure:
        """Ask, within the time limit. Changes `dialect` to the one that was understood."""
        try:
            async with asyncio.timeout(self.request.timeout_seconds):
                return await self._run()
        except TimeoutError:
            message = f"{self.stage} within {self.request.timeout_seconds:g} s"
            return self._status or ModelFailure(ModelFault.TIMEOUT, message)

    async def _run(self) -> Completion | ModelFailure:
        tried, answer = self.dialect, await self._ask(self.dialect)
        seen = {tried}
        while isinstance(answer, _Refusal):
            other = tried.other(answer.status, answer.body)
            if other in seen:
                return answer.failure
            tried, answer = other, await self._ask(other)
            seen.add(other)
        if isinstance(answer, Completion):
            self.dialect = tried
        return answer

    async def _ask(self, dialect: Dialect) -> Completion | ModelFailure | _Refusal:
        self.stage, self._status = Stage.NAME, None
        try:
            url = httpx.URL(self.request.base_url + "/chat/completions")
            addresses = await self.hosts.addresses(url.host)
        except HostError as error:
            return error.failure
        except FAILURES as problem:
            return of_exception(problem, answered=False, url=self.request.base_url)
        for index, address in enumerate(addresses):
            self.stage = Stage.CONNECTION
            left = len(addresses) - index - 1
            # An address that hangs leaves time for the others.
            connect = self.request.timeout_seconds / len(addresses) if left else None
            try:
                return await self._send(url, address, dialect, connect)
            except FAILURES as problem:
                if isinstance(problem, httpx.ConnectError | httpx.ConnectTimeout) and left:
                    continue
                answered = self.stage in (Stage.TOKEN, Stage.END)
                return self._status or of_exception(problem, answered=answered, url=self.request.base_url)
        raise AssertionError("a name resolves to an address, or to an error")

    async def _send(
        self, url: httpx.URL, address: str, dialect: Dialect, connect: float | None
    ) -> Completion | ModelFailure | _Refusal:
        headers = {"host": url.netloc.decode("ascii")}
        if self.request.api_key is not None:
            headers["authorization"] = f"Bearer {self.request.api_key}"
        extensions = {"sni_hostname": url.raw_host.decode("ascii"), "trace": self._trace}
        timeout = httpx.Timeout(None, connect=connect)
        async with self.client.stream(
            "POST", url.copy_with(host=address), headers=headers, json=dialect.body(self.request),
            timeout=timeout, extensions=extensions,
        ) as answer:  # fmt: skip
            if answer.status_code != 200:
                return await self._refused(answer)
            self.stage = Stage.TOKEN
            return await self._read(answer)

    async def _trace(self, event: str, _: object) -> None:
        if event == _SENT:
            self._sent_at, self.stage = self.arrivals.now(), Stage.ANSWER

    async def _refused(self, answer: httpx.Response) -> ModelFailure | _Refusal:
        def meaning(body: bytes) -> ModelFailure:
            found = of_status(answer.status_code, answer.headers, body, self.request.api_key, self.now())
            assert found is not None
            return found

        self._status = meaning(b"")
        body, _ = await read(answer, _ERROR_BODY)
        self._status = meaning(body)
        return _Refusal(self._status, answer.status_code, body)

    async def _read(self, answer: httpx.Response) -> Completion | ModelFailure:
        found = Answer()
        try:
            async for part in answer.aiter_raw():
                found.feed(part, max(self._sent_at, self.arrivals.earliest()))
                if found.first_at is not None:
                    self.stage = Stage.END
                if found.done:
                    break
            else:
                found.end(max(self._sent_at, self.arrivals.earliest()))
        except (httpx.RemoteProtocolError, httpx.NetworkError):
            # Some servers end the connection instead of the stream.
            if found.finish is None:
                raise
            found.end(max(self._sent_at, self.arrivals.earliest()))
        return found.result(self._sent_at, self.request.expect, self.request.api_key)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An answer that is no 200; asked otherwise, the endpoint may answer."""

    failure: ModelFailure
    status: int
    body: bytes
