"""Which losses are the failover's, and which are nobody's but the pool's."""

from __future__ import annotations

import pytest

from hack.demo.pool_figures import Losses, PoolFigures, Span, losses
from hack.rig.failovers import Course
from hack.rig.transactions import Books, Outcome, Record
from tests.unit.demo.fake_orders import DIED, FAILOVER, OVER, PROMOTION, done, pool

SPAN = Span(DIED, OVER)
LOST, REFUSED, TOLD = Outcome.LOST, Outcome.REFUSED, Outcome.TOLD


def counts(found: Losses) -> tuple[int, int, int]:
    return found.outside, found.in_failover, found.refused_in_failover


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([done(-1), done(1), done(9)], (0, 0, 0)),
        ([done(-0.01, LOST)], (1, 0, 0)),  # it failed before the primary died
        ([done(0.05, LOST)], (0, 1, 0)),  # it was in flight
        ([done(5.05, LOST)], (0, 1, 0)),  # it began before all was verified
        ([done(5.2, LOST)], (1, 0, 0)),  # it began after that
        ([done(3, REFUSED), done(4, REFUSED), done(6, REFUSED)], (1, 0, 2)),
        ([done(-3, TOLD), done(3, TOLD), done(9, TOLD)], (0, 0, 0)),  # nobody is hurt
    ],
)
def test_losses_of_clients(records: list[Record], expected: tuple[int, int, int]) -> None:
    assert counts(losses(Books(records), None, SPAN)) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (-1.1, (1, 0, 0)),
        (-0.9, (0, 1, 0)),  # the standby may not have had it yet
        (1.0, (0, 1, 0)),
        (5.2, (1, 0, 0)),
    ],
)
def test_a_committed_row_that_is_gone(at: float, expected: tuple[int, int, int]) -> None:
    there = done(-30)
    found = losses(Books([there, done(at)]), [there.key], SPAN)
    assert counts(found) == expected
    assert found.reasons == ({"committed, and gone": 1} if expected[0] else {})


def test_rows_that_nobody_looked_at_are_not_gone() -> None:
    assert counts(losses(Books([done(-30)]), None, SPAN)) == (0, 0, 0)


def test_without_a_failover_all_losses_count() -> None:
    records = [done(1, LOST, error="x"), done(2, REFUSED, error="y"), done(3, LOST, error="x")]
    found = losses(Books(records), None, None)
    assert counts(found) == (3, 0, 0)
    assert found.reasons == {"lost: x": 2, "refused: y": 1}


def test_a_failover_lasts_until_the_last_write_and_the_last_check() -> None:
    course = Course("pg-0", DIED, DIED + 0.5, PROMOTION)
    assert Span.of(course, FAILOVER) == Span(DIED, OVER)
    assert Span.of(course, None) == Span(DIED, None)
    assert Span.of(Course("pg-0"), None) is None


def test_a_pool_that_is_not_there_is_not_good() -> None:
    found = PoolFigures.of(None, books=None, rows=None, course=Course(), failover=None, skipped="no way to pods")
    assert not found.is_good
    assert found.to_json()["score"] is None


def test_a_pool_without_a_failover_is_not_good() -> None:
    found = PoolFigures.of(
        pool(), books=Books([done(-1)]), rows=[done(-1).key], course=Course(), failover=None, skipped=None
    )
    assert (found.ready, found.committed) == (True, 1)
    assert not found.is_good
    assert ("from the promotion until every instance was verified", "-") in found.rows()
