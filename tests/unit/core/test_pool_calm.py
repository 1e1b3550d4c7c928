"""A pool that works is written down seldom, and says nothing over and over, whatever its figures do."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from tests.support.pool_day import Day

HOURS = 2
#: One write a minute is the most that figures may take.
MINUTES = 60 * HOURS
LARGE = {"size": {"min": 10, "max": 40}}
READERS = {"role": "ReadOnly"}
EACH_SECOND = {"healthCheck": {"intervalSeconds": 1}}

FIGURES: list[tuple[str, dict[str, Any]]] = [
    ("a light load", {"used": lambda r: r.choice([0, 0.5])}),
    ("a light load, looked at each second", {"used": lambda r: r.choice([0, 0.5]), "wish": EACH_SECOND}),
    ("around where it shrinks", {"used": lambda r: r.choice([0.45, 0.5]), "wish": LARGE}),
    ("around where it grows", {"used": lambda r: r.choice([0.7, 0.9]), "wish": LARGE}),
    ("several standbys", {"server": lambda r: r.choice([1, 2, 3]), "wish": READERS}),
    ("a standby that has almost caught up", {"lag": lambda r: r.choice([0.0, 0.3]), "wish": READERS}),
]


@pytest.mark.parametrize("figures", [f for _, f in FIGURES], ids=[name for name, _ in FIGURES])
def test_figures_that_go_up_and_down(figures: dict[str, Any]) -> None:
    day = Day(**figures).run(0.5)
    day.writes.clear()
    day.events.clear()
    day.run(HOURS)
    assert day.writes["all"] <= 1.4 * MINUTES, day.writes
    assert day.writes["server"] == 0
    assert day.writes["autosize"] <= 3, day.writes
    assert not day.events


TROUBLES: list[tuple[str, dict[str, Any]]] = [
    ("ClientsWaiting", {"used": lambda _: 1.0, "waits": lambda r: r.choice([3.0, 6.0]), "wish": LARGE}),
    ("ReplicationLag", {"lag": lambda r: r.uniform(28, 33), "wish": READERS}),
    ("OverBudget", {"others": lambda r: r.randint(58, 66)}),
]


@pytest.mark.parametrize(("reason", "figures"), TROUBLES)
def test_trouble_that_comes_and_goes_is_told_once_in_five_minutes(reason: str, figures: dict[str, Any]) -> None:
    day = Day(**figures).run(HOURS)
    assert 1 <= day.events[reason] <= 12 * HOURS, day.events
    # Twice each time: that it is so, and that it is over; a role that is half right takes from the score, too.
    assert day.writes["conditions"] <= 2 * 12 * HOURS + 60, day.writes


def test_a_day_on_a_network_with_noise() -> None:
    """Nothing happens all day, but that checks take now longer, now shorter, and some of them far longer."""

    def latency(drawn: random.Random) -> float:
        return (5 if drawn.random() < 0.05 else 1) * drawn.lognormvariate(math.log(3), 0.5)

    day = Day(latency=latency).run(0.2)
    day.writes.clear()
    day.events.clear()
    day.run(24)
    assert day.writes["all"] <= 12, day.writes
    assert set(day.writes) <= {"all", "connectMs", "queryMs"}
    assert not day.events


def test_a_server_that_grows_slow_is_told_once() -> None:
    day = Day().run(0.5)
    day.latency = lambda drawn: drawn.lognormvariate(math.log(150), 0.5)
    day.run(10 / 60)
    assert day.events["Slow"] == 1
    day.latency = lambda drawn: drawn.lognormvariate(math.log(3), 0.5)
    day.run(15 / 60)
    assert (day.events["Slow"], day.events["ChecksPassed"]) == (1, 1)
