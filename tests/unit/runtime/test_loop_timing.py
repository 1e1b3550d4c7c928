"""When a loop looks again: never too often, never too late, and not at all once it is told to stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from sophia_operator.runtime.loop import ServiceLoop
from sophia_operator.runtime.waits import MIN_INTERVAL_SECONDS
from tests.support.fake_cluster import Fault
from tests.support.fake_cluster_harness import NAME, NAMESPACE, Harness


@dataclass
class Waits:
    """Takes the place of waiting: notes for how long, and lets the harness's time pass."""

    harness: Harness
    passes: int
    seconds: list[float] = field(default_factory=list)

    async def __call__(self, event: asyncio.Event, seconds: float | None) -> None:
        assert seconds is not None
        assert not event.is_set() or seconds > MIN_INTERVAL_SECONDS
        self.seconds.append(seconds)
        await asyncio.sleep(0)

    def stopped(self) -> bool:
        self.passes -= 1
        return self.passes < 0


def loop_of(harness: Harness, passes: int) -> tuple[ServiceLoop, Waits]:
    """The harness's loop, which waits by `Waits` and stops after so many questions whether to."""
    waits = Waits(harness, passes)
    object.__setattr__(harness.loop._world, "wait", waits)
    return harness.loop, waits


@pytest.fixture
async def settled() -> Harness:
    harness = Harness()
    await harness.run_until(harness.settled)
    await harness.run(90)
    return harness


async def test_a_settled_loop_waits_long_but_not_for_ever(settled: Harness) -> None:
    loop, waits = loop_of(settled, 2)
    await loop.run(waits.stopped)
    least, rest = waits.seconds
    assert least == MIN_INTERVAL_SECONDS
    assert 600 <= rest <= 720


async def test_a_pass_that_wrote_is_followed_by_another_soon(settled: Harness) -> None:
    settled.change()
    loop, waits = loop_of(settled, 2)
    await loop.run(waits.stopped)
    assert waits.seconds == [MIN_INTERVAL_SECONDS]


async def test_retries_come_later_and_later(settled: Harness) -> None:
    settled.change()
    settled.cluster.hook = lambda _: Fault.UNAVAILABLE
    waits = [await settled.loop.once() for _ in range(10)]
    numbers = [w for w in waits if w is not None]
    assert numbers[0] == pytest.approx(0.15)
    assert numbers == sorted(numbers)
    assert numbers[-1] == pytest.approx(22.5)
    settled.cluster.hook = lambda _: None
    await settled.loop.once()
    settled.cluster.hook = lambda _: Fault.UNAVAILABLE
    settled.change("app:3")
    again = await settled.loop.once()
    assert again is not None
    assert again < 1.0


async def test_an_object_that_never_stays_as_written_is_no_hot_loop(settled: Harness) -> None:
    """As when a webhook, or another controller, changes it back each time."""
    waits: list[float] = []
    for _ in range(14):
        settled.cluster.edit("Service", "app-blue", lambda o: o["spec"].update(selector={"app": "theirs"}))
        wait = await settled.loop.once()
        assert wait is not None
        waits.append(wait)
    assert waits[0] < 0.1
    assert waits[-1] > 10.0


async def test_a_loop_that_ends_forgets_its_service(settled: Harness) -> None:
    settled.cluster.remove("ManagedService", NAME)
    loop, waits = loop_of(settled, 5)
    await loop.run(waits.stopped)
    assert waits.seconds == []
    assert f'namespace="{NAMESPACE}"' not in settled.telemetry.exposition().decode()
