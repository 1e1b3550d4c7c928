"""When answers arrived, by a process that was busy with something else meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from sophia_operator.adapters.arrivals import Arrivals


class Time:
    """Passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def arrivals(time: Time) -> Arrivals:
    return Arrivals(time)


def tick(arrivals: Arrivals, time: Time, seconds: float) -> None:
    """The next tick comes so many seconds after the last one; ticks are 0.01 s apart when nobody is busy."""
    time.now += seconds
    assert arrivals._next is not None
    arrivals._next.cancel()
    arrivals._tick()


async def test_what_is_taken_at_once_arrived_now(arrivals: Arrivals, time: Time) -> None:
    with arrivals.measuring():
        tick(arrivals, time, 0.012)
        time.now += 0.008
        assert arrivals.earliest() == time.now


async def test_what_waits_for_a_late_tick_can_have_arrived_when_it_was_due(arrivals: Arrivals, time: Time) -> None:
    with arrivals.measuring():
        tick(arrivals, time, 0.01)
        time.now += 0.51
        assert arrivals.earliest() == pytest.approx(time.now - 0.5)
        tick(arrivals, time, 0.0)
        time.now += 0.005
        assert arrivals.earliest() == pytest.approx(time.now - 0.505)


async def test_no_more_than_two_turns_are_taken_off(arrivals: Arrivals, time: Time) -> None:
    """One in which an answer is seen, one in which it is taken: an overloaded process must not call models fast."""
    with arrivals.measuring():
        for _ in range(5):
            tick(arrivals, time, 0.11)
        assert arrivals.earliest() == pytest.approx(time.now - 2 * 0.11 + 0.01)


async def test_what_was_late_before_counts_no_more(arrivals: Arrivals, time: Time) -> None:
    with arrivals.measuring():
        tick(arrivals, time, 0.5)
        for _ in range(5):
            tick(arrivals, time, 0.01)
        assert arrivals.earliest() == time.now


async def test_it_ticks_only_while_somebody_measures(arrivals: Arrivals, time: Time) -> None:
    def ticks() -> bool:
        return arrivals._next is not None

    with arrivals.measuring():
        with arrivals.measuring():
            assert ticks()
        assert ticks()
    assert not ticks()
    time.now += 100
    with arrivals.measuring():
        # The time in which nobody measured is no lateness.
        assert arrivals.earliest() == time.now


async def test_a_loop_that_is_blocked_is_noticed() -> None:
    now = asyncio.get_running_loop().time
    real = Arrivals(now)
    with real.measuring():
        await asyncio.sleep(0.03)
        until = now() + 0.2
        while now() < until:
            pass
        assert real.earliest() <= now() - 0.15
