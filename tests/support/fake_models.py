"""Models and gateways in front of them, in memory. Implements ports.Models.

Time is a number: what takes a while ends when somebody lets that much time pass. Gateways serve by what was applied to
the cluster, some time after it was: by an HTTPRoute, or by a ConfigMap that a kubelet brings to each pod.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sophia_operator.core.model.findings import (
    Completion,
    ModelFailure,
    ModelFault,
    ModelFinding,
    ModelProbeRequest,
    ReplicaFinding,
    ReplicaRequest,
    ReplicaTarget,
)
from tests.support.fake_gateways import FakeGateways


class SimTime:
    """A clock that stands until it is moved, and sleeps that end when it has moved far enough."""

    def __init__(self, start: datetime) -> None:
        self.at = start
        self._number = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """As in ports.Clock."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.at + timedelta(seconds=seconds), next(self._number), future))
        await future

    @property
    def next_end(self) -> datetime | None:
        """When the next sleep ends; None without any."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def move(self, to: datetime) -> None:
        """Let time pass."""
        assert to >= self.at
        self.at = to
        while self._sleepers and self._sleepers[0][0] <= to:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)


class Mood(StrEnum):
    """How an endpoint is."""

    WELL = "well"
    GONE = "gone"  # refuses connections
    HANGS = "hangs"
    ERRS = "errs"  # answers 500
    LIMITED = "limited"  # answers 429
    BROKEN = "broken"  # cuts its streams off


@dataclass
class FakeEndpoint:
    """One model at one endpoint."""

    model: str
    latency_ms: float = 200.0
    mood: Mood = Mood.WELL
    #: The key that it asks for; None: any or none.
    key: str | None = None
    #: What its certificate can be verified with; None: with public ones.
    ca: str | None = None
    text: str = "Ready."
    retry_after_seconds: float | None = None
    #: When each probe of it began.
    asked_at: list[datetime] = field(default_factory=list)
    under_way: int = 0

    def refusal(self, key: str | None, model: str) -> ModelFailure | None:
        """What it answers instead of a completion."""
        if self.key is not None and key != self.key:
            return ModelFailure(ModelFault.CREDENTIALS_REFUSED, "401 Unauthorized")
        if model != self.model:
            return ModelFailure(ModelFault.REQUEST_REFUSED, f"404: the model {model} does not exist")
        return {
            Mood.GONE: ModelFailure(ModelFault.UNREACHABLE, "connection refused"),
            Mood.ERRS: ModelFailure(ModelFault.SERVER_ERROR, "500 Internal Server Error"),
            Mood.LIMITED: ModelFailure(ModelFault.RATE_LIMITED, "429 Too Many Requests", self.retry_after_seconds),
            Mood.BROKEN: ModelFailure(ModelFault.TRUNCATED, "the stream broke before its end"),
        }.get(self.mood)


@dataclass
class FakeModels:
    """All endpoints by where their API begins, and the gateways."""

    time: SimTime
    gateways: FakeGateways
    endpoints: dict[str, FakeEndpoint] = field(default_factory=dict)
    #: Called before each probe, by the model's name: may raise, as a bug would.
    hook: Callable[[str], None] = lambda _: None
    #: How often replicas were asked.
    rounds: int = 0
    closed: bool = False

    async def probe(self, request: ModelProbeRequest) -> ModelFinding:
        """As in ports.Models."""
        self.hook(request.name)
        endpoint = self.endpoints.get(request.base_url)
        if endpoint is None:
            await self.time.sleep(0)
            return ModelFinding(self.time.now(), ModelFailure(ModelFault.HOST_UNKNOWN, "Name or service not known"))
        endpoint.asked_at.append(self.time.now())
        endpoint.under_way += 1
        try:
            answer = await self._ask(endpoint, request)
        finally:
            endpoint.under_way -= 1
        return ModelFinding(self.time.now(), answer)

    async def _ask(self, endpoint: FakeEndpoint, request: ModelProbeRequest) -> Completion | ModelFailure:
        if endpoint.ca is not None and request.ca != endpoint.ca:
            await self.time.sleep(0)
            return ModelFailure(ModelFault.TLS_UNTRUSTED, "unable to get local issuer certificate")
        seconds = endpoint.latency_ms / 1000
        if endpoint.mood is Mood.HANGS or seconds > request.timeout_seconds:
            await self.time.sleep(request.timeout_seconds)
            return ModelFailure(ModelFault.TIMEOUT, f"no answer within {request.timeout_seconds:g} s")
        await self.time.sleep(0 if endpoint.mood is Mood.GONE else seconds)
        refusal = endpoint.refusal(request.api_key, request.model)
        if refusal is not None:
            return refusal
        if request.expect is not None and request.expect.lower() not in endpoint.text.lower():
            return ModelFailure(ModelFault.UNEXPECTED_ANSWER, f"the answer has no {request.expect!r} in it")
        return Completion(endpoint.latency_ms / 4, endpoint.latency_ms, request.max_tokens, 40.0)

    async def replicas(self, request: ReplicaRequest) -> tuple[ReplicaFinding, ...] | str:
        """As in ports.Models."""
        self.rounds += 1
        at = self.time.now()
        targets = [t for target in request.targets for t in self._resolved(target)]
        if not targets:
            await self.time.sleep(0)
            return "the data plane's name resolves to no address"
        return tuple(await asyncio.gather(*(self._replica(at, t, request.timeout_seconds) for t in targets)))

    def _resolved(self, target: ReplicaTarget) -> Iterator[tuple[ReplicaTarget, str]]:
        """The target, and the address of each replica that it stands for."""
        host = target.base_url.split("//")[1].rpartition(":")[0].strip("[]")
        for address in self.gateways.resolve(host) if target.resolve else (host,):
            yield target, address

    async def _replica(self, at: datetime, found: tuple[ReplicaTarget, str], timeout: float) -> ReplicaFinding:
        target, address = found
        name = address if target.resolve else target.name
        answer = self.gateways.answer(target, address, self._serves)
        if answer is None:
            await self.time.sleep(timeout)
            return ReplicaFinding(at, name, None, None, ModelFailure(ModelFault.TIMEOUT, f"no answer in {timeout:g} s"))
        await self.time.sleep(answer.seconds)
        return ReplicaFinding(at, name, answer.revision, answer.model, answer.failure)

    def _serves(self, base_url: str) -> float | None:
        """How many seconds users wait for an answer of that endpoint; None when they get none."""
        endpoint = self.endpoints.get(base_url)
        if endpoint is None or endpoint.mood is not Mood.WELL:
            return None
        return endpoint.latency_ms / 1000

    async def close(self) -> None:
        """As in ports.Models."""
        self.closed = True
