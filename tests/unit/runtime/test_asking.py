"""Requests of a pass: all at once, undisturbed by events, and given up when a person steers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from sophia_operator.api.smoke import SmokeTest
from sophia_operator.core.cache.findings import RequestsResult, RequestsTask
from sophia_operator.core.findings import (
    MetricsAnswer,
    MetricsRequest,
    Needs,
    ProbeRequest,
    ProbeResult,
    Samples,
    SmokeRequest,
    SmokeResult,
)
from sophia_operator.runtime.asking import ask


@dataclass
class World:
    """Answers when it is told to."""

    release: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    cancelled: int = 0

    async def _wait(self, what: str) -> None:
        self.asked.append(what)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def query(self, namespace: str, request: MetricsRequest) -> MetricsAnswer:
        await self._wait(f"{namespace}/{request.key}")
        return Samples({"total": 1.0})

    async def smoke(self, request: SmokeRequest) -> SmokeResult:
        await self._wait(request.test.name)
        return SmokeResult(True, "")

    async def probe(self, request: ProbeRequest) -> ProbeResult:
        await self._wait("probe")
        return ProbeResult({}, request.count)

    async def warm(self, task: RequestsTask) -> RequestsResult:
        raise AssertionError(f"a ManagedService warms nothing: {task}")


NEEDS = Needs(
    metrics=(MetricsRequest("gate/a", "up", None), MetricsRequest("share", "down", None)),
    smoke=(SmokeRequest(SmokeTest(name="ping", path="/"), "http://x", None, {}),),
    probe=ProbeRequest("http://x", None, "/", {}, 7),
)


@pytest.fixture
def world() -> World:
    return World()


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_all_are_asked_at_once_and_answers_find_their_requests(world: World) -> None:
    asking = asyncio.create_task(ask(NEEDS, "shop", world, world, wake=asyncio.Event(), outdated=lambda: False))
    await turns()
    assert sorted(world.asked) == ["ping", "probe", "shop/gate/a", "shop/share"]
    world.release.set()
    found = await asking
    assert found is not None
    assert set(found.metrics) == {"gate/a", "share"}
    assert found.queries == {"gate/a": "up", "share": "down"}
    assert found.smoke["ping"].passed
    assert found.probe == ProbeResult({}, 7)


async def test_events_that_do_not_matter_disturb_nothing_and_are_kept(world: World) -> None:
    wake = asyncio.Event()
    asking = asyncio.create_task(ask(NEEDS, "shop", world, world, wake=wake, outdated=lambda: False))
    for _ in range(3):
        await turns()
        wake.set()
    await turns()
    assert not asking.done()
    world.release.set()
    assert await asking is not None
    assert len(world.asked) == 4
    assert wake.is_set()


async def test_an_abort_is_not_kept_waiting_by_a_slow_answer(world: World) -> None:
    wake = asyncio.Event()
    asking = asyncio.create_task(ask(NEEDS, "shop", world, world, wake=wake, outdated=lambda: True))
    await turns()
    wake.set()
    assert await asking is None
    assert world.cancelled == 4


async def test_a_loop_that_is_stopped_leaves_nothing_behind(world: World) -> None:
    asking = asyncio.create_task(ask(NEEDS, "shop", world, world, wake=asyncio.Event(), outdated=lambda: False))
    await turns()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert world.cancelled == 4
