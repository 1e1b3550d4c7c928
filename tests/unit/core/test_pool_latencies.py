"""Latencies in the figures of a status: what is written down is kept until it is wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import islice

import pytest

from sophia_operator.api.connection_pool_status import Percentiles
from sophia_operator.core.latencies import rank
from sophia_operator.core.pool.latencies import percentiles
from tests.support.pool_scene import spec

POOL = spec()
#: Looks of a day, one a minute.
DAY = 1440


def checks(seed: int, often: float, around: float = 3.0) -> Iterator[float]:
    """Milliseconds as networks have them; so often one takes five times as long."""
    drawn = random.Random(seed)
    while True:
        late = 5 if drawn.random() < often else 1
        yield late * drawn.lognormvariate(math.log(around), 0.5)


class Looks:
    """What looks at a pool of so many instances leave behind."""

    def __init__(self, instances: int = 2, before: Percentiles | None = None) -> None:
        self._wish, self._instances = spec(instances=instances), instances
        self._kept: tuple[float, ...] = ()
        self.shown, self.writes = before, 0

    def look(self, times: Iterator[float]) -> Percentiles | None:
        """One more."""
        self._kept = (*self._kept, *islice(times, self._instances))[-100:]
        now = percentiles(self._wish, self.shown, self._kept, fresh=True)
        self.writes += now != self.shown
        self.shown = now
        return now

    def until(self, times: Iterator[float], *, slow: bool) -> int:
        """How many looks it takes until the figures say that it is slow, or that it is not any more."""
        for number in range(1, 100):
            shown = self.look(times)
            if shown is not None and (float(shown.p95) > 100 if slow else float(shown.p95) < 80):
                return number
        raise AssertionError(self.shown)


@pytest.mark.parametrize("instances", [1, 2, 3, 10])
@pytest.mark.parametrize("often", [0.0, 0.01, 0.02, 0.05, 0.1])
def test_noise_is_seldom_written_down(instances: int, often: float) -> None:
    writes = []
    for seed in range(3):
        pool, times = Looks(instances), checks(seed, often)
        for _ in range(DAY):
            pool.look(times)
        assert pool.shown is not None
        assert 1.5 <= float(pool.shown.p50) <= 4.5  # two more or less say the same
        assert 4 <= float(pool.shown.p95) <= (13 if often < 0.05 else 40)
        writes.append(pool.writes)
    assert sum(writes) / len(writes) <= 8, writes


@pytest.mark.parametrize("instances", [1, 2, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_a_slow_server_is_told_and_its_end_as_well(instances: int, seed: int) -> None:
    pool, fast, slow = Looks(instances), checks(seed, 0.02), checks(seed, 0.02, around=150.0)
    for _ in range(60):
        pool.look(fast)
    assert pool.until(slow, slow=True) <= 10
    for _ in range(60):
        pool.look(slow)
    over = pool.until(fast, slow=False)
    assert over <= (20 if instances == 1 else 10)
    pool.writes = 0
    for _ in range(100):
        assert float((pool.look(fast) or Percentiles(p50="0", p95="0")).p95) < 80
    assert pool.writes <= 8


@pytest.mark.parametrize("instances", [1, 2])
def test_a_server_that_is_slow_now_and_then_is_slow(instances: int) -> None:
    pool, times = Looks(instances), checks(1, 0.02)
    for _ in range(60):
        pool.look(times)
    assert pool.until(checks(1, 0.5, around=50.0), slow=True) <= 20


@pytest.mark.parametrize("instances", [1, 2])
def test_an_operator_that_starts_anew_soon_tells_a_slow_server(instances: int) -> None:
    pool = Looks(instances, before=Percentiles(p50="3.0", p95="6.0"))
    assert pool.until(checks(1, 0.0, around=150.0), slow=True) <= 10


def test_what_is_rare_shows_among_many_checks() -> None:
    """A tenth of the checks is too slow: that is more than 5 %, and of twenty it is two."""
    values = [3.0, *(3.0,) * 8, 200.0] * 10
    before = Percentiles(p50="3.0", p95="3.0")
    assert percentiles(POOL, before, values[-20:], fresh=True) is before
    values[3:6] = [200.0] * 3
    found = percentiles(POOL, before, values, fresh=True)
    assert (found and (found.p50, found.p95)) == ("3.0", "200")


def test_the_first_figures() -> None:
    assert percentiles(POOL, None, [], fresh=True) is None
    assert percentiles(POOL, None, [3.0] * 4, fresh=True) is None
    few = percentiles(POOL, None, [1.0, 2.04, 3.0, 4.0, 12.4], fresh=False)
    assert (few and (few.p50, few.p95)) == ("3.0", "12")
    assert percentiles(POOL, few, [90.0] * 9, fresh=True) is few
    assert percentiles(POOL, few, [90.0] * 10, fresh=True) == Percentiles(p50="90", p95="90")


def test_one_slow_check_of_few_is_no_slow_server() -> None:
    """The first one through a new instance logs in at the server as well."""
    for number in (4, 10, 18):
        assert percentiles(POOL, None, [250.0, *(3.0,) * number], fresh=True) is None
    assert percentiles(POOL, None, [250.0, *(3.0,) * 19], fresh=True) == Percentiles(p50="3.0", p95="3.0")
    slow = percentiles(POOL, None, [250.0] * 3 + [3.0] * 2, fresh=True)
    assert slow == Percentiles(p50="250", p95="250")


def test_figures_are_taken_at_full_looks() -> None:
    before = Percentiles(p50="3.0", p95="6.0")
    assert percentiles(POOL, before, [500.0] * 100, fresh=False) is before
    assert percentiles(POOL, before, [500.0] * 100, fresh=True) == Percentiles(p50="500", p95="500")


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([3.0] * 17 + [9.0] * 3, True),  # three of twenty may be chance
        ([3.0] * 16 + [9.0] * 4, False),
        ([3.0] * 16 + [7.9] * 4, True),  # by a little
        ([3.0] * 10 + [5.1] * 10, True),
        ([3.0] * 3 + [5.1] * 17, False),  # the half of them
        ([3.0] * 50, True),  # that none is above 6 says nothing when three at most should be
        ([3.0] * 100, False),
    ],
)
def test_what_is_wrong(values: list[float], kept: bool) -> None:
    before = Percentiles(p50="3.0", p95="6.0")
    assert (percentiles(POOL, before, values, fresh=True) is before) is kept


def test_a_figure_that_passes_the_threshold_says_something_else() -> None:
    before = Percentiles(p50="95", p95="97")
    assert percentiles(POOL, before, [99.0] * 20, fresh=True) is before
    found = percentiles(POOL, before, [103.0] * 20, fresh=True)
    assert (found and (found.p50, found.p95)) == ("103", "103")


@pytest.mark.parametrize(("percent", "value"), [(1, 1.0), (50, 50.0), (95, 95.0), (100, 100.0)])
def test_ranks(percent: float, value: float) -> None:
    assert rank([float(i) for i in range(100, 0, -1)], percent) == value
