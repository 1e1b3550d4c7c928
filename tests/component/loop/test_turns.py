"""A bounded number of passes at a time, and rollouts that do not queue behind the rest."""

from __future__ import annotations

import asyncio

from tests.support.fake_cluster_harness import Harness


async def _settled() -> Harness:
    harness = Harness()
    await harness.run_until(harness.settled)
    return harness


async def _passes(harness: Harness) -> bool:
    """Whether a pass comes to its end by itself."""
    task = asyncio.ensure_future(harness.once())
    for _ in range(200):
        await asyncio.sleep(0)
        if task.done():
            return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


async def test_a_pass_waits_for_its_turn_and_gives_it_back() -> None:
    harness = await _settled()
    turns = harness.loop._world.turns.of(rolling=False)
    while not turns.locked():
        await turns.acquire()
    assert not await _passes(harness)
    turns.release()
    assert await _passes(harness)
    assert await _passes(harness)  # the one turn that there is was given back


async def test_a_rollout_does_not_queue_behind_others() -> None:
    harness = await _settled()
    harness.change()
    await harness.run_until(lambda: harness.state("app-2") == "Shifting")
    others = harness.loop._world.turns.of(rolling=False)
    while not others.locked():
        await others.acquire()
    assert await _passes(harness)


async def test_a_pass_that_waits_for_prometheus_holds_no_turn() -> None:
    harness = await _settled()
    harness.change()
    await harness.run_until(lambda: harness.state("app-2") == "Shifting")
    world, asked, free = harness.loop._world, asyncio.Event(), []
    query = world.metrics.query

    async def slow(*arguments: object) -> object:
        asked.set()
        free.append(all(world.turns.of(rolling=rolling)._value > 0 for rolling in (True, False)))
        return await query(*arguments)  # type: ignore[arg-type]

    # One turn in all: were it held while Prometheus is asked, none would be free.
    for rolling in (True, False):
        world.turns.of(rolling=rolling)._value = 1
    world.metrics.query = slow  # type: ignore[method-assign,assignment]
    for _ in range(20):
        await harness.run(1.0)
        if asked.is_set():
            break
    assert free
    assert all(free)
