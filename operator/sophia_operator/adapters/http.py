"""The operator's own requests to services: smoke tests, marked requests through the Gateway, and warm-ups."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx

from sophia_operator.adapters import http_warm
from sophia_operator.adapters.http_answers import FAILURES, read, why
from sophia_operator.api.release import Color
from sophia_operator.core.cache.findings import RequestsResult, RequestsTask
from sophia_operator.core.evidence.smoke import judge_response
from sophia_operator.core.findings import ProbeRequest, ProbeResult, SmokeRequest, SmokeResult
from sophia_operator.core.names import COLOR_HEADER

_LARGEST_BODY: Final = 1024 * 1024
_PROBES_AT_ONCE: Final = 10
_PROBE_SECONDS: Final = 2.0
#: For all probes of one look together: what the next gate look waits for at most when a gateway hangs.
_ALL_PROBES_SECONDS: Final = 3.0
_MOST_UNANSWERED_IN_A_ROW: Final = 10
_MOST_PROBES: Final = 1_000
#: Of a probe's answer only so much is read, so that its connection can be used again.
_PROBE_BODY: Final = 64 * 1024
_REASONS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class _Probed:
    """What came of one probe: a colour, or why there is none."""

    color: Color | None
    why: str = ""
    answered: bool = True


@dataclass(slots=True)
class _Tally:
    """Probes of one look: how many are wanted, and what came of those that are done."""

    wanted: int
    done: list[_Probed] = field(default_factory=list)
    unanswered_in_a_row: int = 0
    why_ended: str = ""

    @property
    def left(self) -> int:
        return self.wanted - len(self.done)

    def add(self, probed: _Probed) -> None:
        self.done.append(probed)
        # An answer without a mark costs no time, so it is no reason to give up.
        self.unanswered_in_a_row = 0 if probed.answered else self.unanswered_in_a_row + 1
        if self.unanswered_in_a_row >= _MOST_UNANSWERED_IN_A_ROW:
            self.why_ended = f"given up, as {self.unanswered_in_a_row} in a row had no answer"

    def result(self) -> ProbeResult:
        """Whatever has no answer yet counts as failed."""
        colors = Counter(p.color for p in self.done if p.color is not None)
        reasons = Counter(p.why for p in self.done if p.color is None)
        if self.left:
            reasons[self.why_ended] = self.left
        words = [f"{number} of {self.wanted}: {why}" for why, number in reasons.most_common(_REASONS_SHOWN)]
        return ProbeResult(by_color=dict(colors), other=reasons.total(), message="; ".join(words))


class HttpRequests:
    """Implements `ports.Requests`. Follows no redirect, keeps no cookie (a gateway's would pin marked requests to one
    colour), reads no proxy settings. Close it to end its connections.

    `sleep` measures the time that all probes of a look have together.
    """

    def __init__(
        self, *, verify: ssl.SSLContext | bool = True, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._sleep = sleep
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            verify=verify,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=10),
            # A compressed body could unpack to any size.
            headers={"user-agent": "sophia-operator", "accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def smoke(self, request: SmokeRequest) -> SmokeResult:
        """One try of a smoke test. Never raises for what the network or the service does."""
        test = request.test
        headers = {h.name.lower(): h.value for h in test.headers} | {k.lower(): v for k, v in request.headers.items()}
        content = test.body.encode() if test.body is not None else None
        url = request.base_url.rstrip("/") + test.path
        started = time.perf_counter()
        try:
            async with (
                asyncio.timeout(test.timeout_seconds),
                self._stream(test.method.value, url, request.host, headers, content) as answer,
            ):
                body, whole = await read(answer, _LARGEST_BODY)
        except TimeoutError:
            return SmokeResult(False, f"no whole answer within {test.timeout_seconds} s")
        except FAILURES as problem:
            return SmokeResult(False, f"no answer: {why(problem)}")
        elapsed_ms = (time.perf_counter() - started) * 1000
        mark = answer.headers.get(COLOR_HEADER)
        if request.color is not None and mark != request.color.value:
            # A path without a rule for marked requests is answered by the stable release: that proves nothing.
            by = f"the colour {mark}" if mark else "no marked rule of the route"
            return SmokeResult(
                False, f"answered by {by}, not by {request.color.value}: is the path in traffic.gateway.rules?"
            )
        if not whole and (test.expect.body_contains is not None or test.expect.json_path is not None):
            return SmokeResult(False, "the body is larger than 1 MiB, so it is not looked at")
        return judge_response(test, answer.status_code, body, elapsed_ms)

    async def probe(self, request: ProbeRequest) -> ProbeResult:
        """Marked requests through the Gateway, ten at a time. Never raises for what the network does.

        Ends after 3 s, or when ten in a row had no answer: a gateway that hangs must not hold up the gates. Connections
        are used again: gateways choose the backend for each request, not for each connection.
        """
        tally = _Tally(min(request.count, _MOST_PROBES))
        limit: asyncio.Future[Any] = asyncio.ensure_future(self._sleep(_ALL_PROBES_SECONDS))
        running: set[asyncio.Future[Any]] = set()
        try:
            while tally.left and not tally.why_ended:
                more = min(_PROBES_AT_ONCE, tally.left) - len(running)
                running |= {asyncio.ensure_future(self._probe_once(request)) for _ in range(more)}
                await asyncio.wait({limit, *running}, return_when=asyncio.FIRST_COMPLETED)
                done = {probe for probe in running if probe.done()}
                running -= done
                for probe in done:
                    tally.add(probe.result())
                if limit.done() and not tally.why_ended:
                    tally.why_ended = f"no answer within the {_ALL_PROBES_SECONDS:.0f} s that all have together"
        finally:
            for unfinished in (limit, *running):
                unfinished.cancel()
            await asyncio.gather(limit, *running, return_exceptions=True)
        return tally.result()

    async def warm(self, task: RequestsTask) -> RequestsResult:
        """A part of a warm-up by requests. Never raises for what the network or the service does."""
        return await http_warm.warm(self._client, task)

    async def _probe_once(self, request: ProbeRequest) -> _Probed:
        headers = {k.lower(): v for k, v in request.headers.items()}
        url = request.base_url.rstrip("/") + request.path
        try:
            async with (
                asyncio.timeout(_PROBE_SECONDS),
                self._stream("GET", url, request.host, headers, None) as answer,
            ):
                await read(answer, _PROBE_BODY)
        except TimeoutError:
            return _Probed(None, f"no answer within {_PROBE_SECONDS:.0f} s", answered=False)
        except FAILURES as problem:
            return _Probed(None, f"no answer: {why(problem)}", answered=False)
        mark = answer.headers.get(COLOR_HEADER)
        try:
            return _Probed(Color(mark))
        except ValueError:
            return _Probed(None, f"answered {answer.status_code} without a mark")

    def _stream(
        self, method: str, url: str, host: str | None, headers: dict[str, str], content: bytes | None
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        extensions = {}
        if host is not None:
            headers = headers | {"host": host}
            # By TLS, the Gateway is asked for the host's certificate, whatever address it is reached at.
            extensions["sni_hostname"] = host
        return self._client.stream(method, url, headers=headers, content=content, timeout=None, extensions=extensions)
