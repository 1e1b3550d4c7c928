"""What a failover's times are made of."""

from __future__ import annotations

from bench import pool_failover
from bench.pool_failover import Parameters
from hack.rig.databases import Promotion
from hack.rig.failovers import Failover, split


def test_parts_are_counted_from_the_crash_and_from_the_promotion() -> None:
    promotion = Promotion(
        "pg-1", "10.1.0.7", asked_at=1_000_000_009.9, promoted_at=1_000_000_010.0, moved_at=1_000_000_010.2
    )
    begun = {"phase": "Waiting", "startedAt": "2001-09-09T01:46:48.500000Z"}
    past = {**begun, "endedAt": "2001-09-09T01:46:51.250000Z", "attempts": 2, "cause": "the server did not answer"}
    first = {"orders-a": 1_000_000_010.75, "orders-b": 1_000_000_011.0}
    found = split(1_000_000_008.0, begun, promotion, first, past)
    assert found == Failover(
        noticed=0.5,
        moved=0.2,
        writes={"orders-a": 0.75, "orders-b": 1.0},
        verified=1.25,
        attempts=2,
        cause="the server did not answer",
    )
    assert found.first_write == 1.0


def test_every_round_must_keep_the_goal() -> None:
    good, bad = (Failover(0.1, 0.1, {"a": 1.0, "b": last}, last + 0.5, 1, "lost") for last in (4.9, 5.1))
    assert pool_failover.summary([good, good])["met"] is True
    found = pool_failover.summary([good, bad])
    assert (found["within"], found["met"]) == (1, False)
    assert [each["first_write"] for each in found["rounds"]] == [4.9, 5.1]
    (table,) = pool_failover.tables({"interval1": found}, Parameters(intervals=(1,)))
    assert table.row_count == 5
