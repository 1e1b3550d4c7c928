"""Many pools: none waits for another one's write or look, but for those that take more of the same server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from sophia_operator.ports import Object
from sophia_operator.runtime.leader import FencedCluster
from sophia_operator.runtime.pools.loop import PoolLoop
from sophia_operator.runtime.slots import Slots
from tests.support.fake_pools_harness import NAMESPACE, PoolHarness, connection_pool

_STEPS = 400


class Held(FencedCluster):
    """A cluster that does not answer writes of the status of some pools until it is let go."""

    def __init__(self, harness: PoolHarness, held: set[str]) -> None:
        super().__init__(harness.cluster, lambda: True)
        self.held = held
        self.go = asyncio.Event()
        self.waiting: set[str] = set()

    async def apply_status(self, obj: Object) -> Object:
        if obj["metadata"]["name"] in self.held:
            self.waiting.add(obj["metadata"]["name"])
            await self.go.wait()
        return await super().apply_status(obj)


async def two_pools() -> PoolHarness:
    """Both in front of the same server, and settled."""
    small = {"min": 2, "max": 10}
    harness = PoolHarness(pools=(connection_pool("a", size=small), connection_pool("b", size=small)))
    await harness.run_until(lambda: harness.settled("a") and harness.settled("b"))
    return harness


def hold(harness: PoolHarness, *names: str) -> Held:
    held = Held(harness, set(names))
    harness.world = replace(harness.world, cluster=held)
    harness.loops = {name: PoolLoop((NAMESPACE, name), harness.world) for name in ("a", "b")}
    return held


async def ends(work: Awaitable[object], until: Callable[[], bool] = lambda: False) -> bool:
    """Whether the work comes to its end, or to where the condition holds, by itself."""
    task = asyncio.ensure_future(work)
    for _ in range(_STEPS):
        await asyncio.sleep(0)
        if task.done() or until():
            break
    done = task.done() or until()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return done


async def test_a_server_that_is_lost_is_told_of_by_each_of_its_pools_though_one_cannot_write() -> None:
    harness = await two_pools()
    held = hold(harness, "a")
    harness.fake.hosts["db"].up = False
    stuck = asyncio.ensure_future(harness.loops["a"].once())
    for _ in range(_STEPS):
        await asyncio.sleep(0)
    assert held.waiting == {"a"}
    assert await ends(harness.loops["b"].once())
    assert harness.status("b").reconnect is not None
    held.go.set()
    await stuck
    assert harness.status("a").reconnect is not None


async def test_pools_that_take_more_of_a_server_do_it_one_after_the_other() -> None:
    harness = await two_pools()
    held = hold(harness, "a", "b")
    for name in ("a", "b"):
        harness.change(name, size={"min": 2, "max": 40})
    loops = [asyncio.ensure_future(harness.loops[name].once()) for name in ("a", "b")]
    for _ in range(_STEPS):
        await asyncio.sleep(0)
    assert len(held.waiting) == 1
    held.go.set()
    await asyncio.gather(*loops)
    assert held.waiting == {"a", "b"}
    granted = [b.granted for b in (harness.status("a").budget, harness.status("b").budget) if b is not None]
    assert sum(granted) <= 97


async def test_looks_begin_a_few_at_a_time_and_what_hangs_holds_up_others_for_a_moment_only() -> None:
    harness = await two_pools()
    harness.world = replace(harness.world, slots=Slots(1, 1, held_seconds=0.2))
    harness.loops = {name: PoolLoop((NAMESPACE, name), harness.world) for name in ("a", "b")}
    go, looking = asyncio.Event(), list[str]()
    look = harness.fake.server

    async def hang(request: object) -> object:
        looking.append("look")
        await go.wait()
        return await look(request)  # type: ignore[arg-type]

    harness.fake.server = hang  # type: ignore[method-assign,assignment]
    loops = [asyncio.ensure_future(harness.loops[name].once()) for name in ("a", "b")]
    for _ in range(_STEPS):
        await asyncio.sleep(0)
    assert looking == ["look"]
    async with asyncio.timeout(10):
        while len(looking) < 2:
            await asyncio.sleep(0.02)
    go.set()
    await asyncio.gather(*loops)


async def test_a_pool_that_is_being_reconnected_does_not_queue_behind_others() -> None:
    harness = await two_pools()
    slots = Slots(1, 1, held_seconds=60)
    harness.world = replace(harness.world, slots=slots)
    harness.loops = {name: PoolLoop((NAMESPACE, name), harness.world) for name in ("a", "b")}
    harness.fake.hosts["db"].up = False
    await harness.loops["a"].once()
    assert harness.status("a").reconnect is not None
    async with slots.taken(urgent=False):
        harness.now += timedelta(seconds=10)
        harness.fake.asked.clear()
        assert not await ends(harness.loops["b"].once())
        assert harness.fake.asked == []
        assert await ends(harness.loops["a"].once())
        assert "server" in harness.fake.asked


async def test_who_gives_up_waiting_takes_no_slot_and_a_slot_is_given_back_once() -> None:
    slots = Slots(1, 1, held_seconds=0.01)

    async def take() -> None:
        async with slots.taken(urgent=False):
            await asyncio.sleep(0.05)

    async with slots.taken(urgent=False):
        waiting = asyncio.ensure_future(take())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await take()
    assert slots._others._value == 1
