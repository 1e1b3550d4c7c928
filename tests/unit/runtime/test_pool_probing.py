"""Looks at a pool: what is news of the server does not wait for instances that hang because of it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, cast

import pytest

from sophia_operator.api.connection_pool_status import ReconnectPhase, ReconnectStatus
from sophia_operator.core.pool.findings import Failure, Fault, InstanceRequest, PoolNeeds, Server, ServerRequest
from sophia_operator.runtime.pools import probing
from sophia_operator.runtime.pools.probing import Prober
from tests.support.pool_scene import NAMES, at, console, observed, pool, server, through


class Clock:
    """Stands still."""

    def now(self) -> datetime:
        return at(1)


class Servers:
    """Answers for the server at once; instances that hang answer never."""

    def __init__(self, answer: Server | Failure, hanging: set[str]) -> None:
        self.answer = answer
        self.hanging = hanging
        self.left: list[str] = []

    async def server(self, _: ServerRequest) -> Server | Failure:
        return self.answer

    async def instance(self, request: InstanceRequest) -> Any:
        if request.name in self.hanging:
            try:
                await asyncio.Event().wait()
            finally:
                self.left.append(request.name)
        return console(), through()

    async def insights(self, _: ServerRequest) -> str:
        return "none"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_HURRY_SECONDS", 0.01)


NEEDS = PoolNeeds(server=True, instances=dict.fromkeys(NAMES, True), insights=True)
DOWN = Failure(Fault.UNREACHABLE, "refused")


async def look(answer: Server | Failure, hanging: set[str], before: Server | Failure | None) -> tuple[Prober, Servers]:
    pools = Servers(answer, set())
    prober = Prober(cast("Any", pools), Clock())  # it gives no commands here
    if before is not None:
        pools.answer = before
        await prober.look(pool(), observed(), PoolNeeds(server=True))
        pools.answer = answer
    pools.hanging = hanging
    async with asyncio.timeout(1):
        await prober.look(pool(), observed(), NEEDS)
    return prober, pools


@pytest.mark.parametrize(
    ("answer", "before"), [(DOWN, server()), (DOWN, None), (server(), DOWN), (server(identity="B2"), server())]
)
async def test_news_of_the_server_waits_for_no_instance(
    answer: Server | Failure, before: Server | Failure | None
) -> None:
    prober, pools = await look(answer, {NAMES[1]}, before)
    assert prober.kept.server is not None
    assert prober.kept.server.answer == answer
    assert set(prober.kept.instances) == {NAMES[0]}
    assert len(prober.kept.insights) == 1
    assert pools.left == [NAMES[1]]


async def test_without_news_instances_get_their_time() -> None:
    with pytest.raises(TimeoutError):
        await look(server(), {NAMES[1]}, server())


async def test_all_that_answers_is_kept() -> None:
    prober, _ = await look(DOWN, set(), server())
    assert set(prober.kept.instances) == set(NAMES)
    assert len(prober.kept.connect_ms) == 2


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1.5), (6, 1.5), (7, 5.0), (None, 5.0)])
async def test_a_server_that_is_awaited_is_looked_at_in_a_hurry_at_first(attempt: int | None, seconds: float) -> None:
    asked: list[float] = []

    class Asked(Servers):
        async def server(self, request: ServerRequest) -> Server | Failure:
            asked.append(request.timeout_seconds)
            return self.answer

    waiting = None
    if attempt is not None:
        waiting = ReconnectStatus(phase=ReconnectPhase.WAITING, cause="lost", started_at=at(0), attempt=attempt)
    prober = Prober(cast("Any", Asked(server(), set())), Clock())
    await prober.look(pool(reconnect=waiting), observed(), PoolNeeds(server=True))
    assert asked == [seconds]
    watched = observed(server(), server_at=0, kept={"watch_broke_at": at(0.5)})
    await prober.look(pool(reconnect=waiting), watched, PoolNeeds(server=True))
    assert asked[-1] == (1.5 if attempt is None else seconds)
