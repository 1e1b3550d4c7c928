"""Statements that stand out."""

from __future__ import annotations

import pytest

from sophia_operator.api.connection_pool_status import InsightsStatus
from sophia_operator.core.pool.findings import InsightsFinding, Statement
from sophia_operator.core.pool.insights import judge, text_of
from tests.support.pool_scene import at, spec


def statement(query_id: str, calls: int, total_ms: float = 1.0, rows: int | None = None) -> Statement:
    return Statement(query_id, f"SELECT {query_id}", calls, total_ms, calls if rows is None else rows)


def found(seconds: float, *statements: Statement) -> InsightsFinding:
    return InsightsFinding(at(seconds), statements)


def judged(*findings: InsightsFinding, before: InsightsStatus | None = None) -> InsightsStatus:
    status = judge(spec(), findings, before)
    assert status is not None
    return status


def test_the_costliest_slow_ones_come_first() -> None:
    many = [statement(str(i), 10, 1001 + i) for i in range(7)]
    status = judged(found(0, statement("fast", 1000, 100_000), statement("never", 0, 0), *many))
    assert [s.query_id for s in status.slow] == ["6", "5", "4", "3", "2"]
    assert (status.slow[0].mean_ms, status.slow[0].rows_per_call, status.looked_at) == ("100.70", "1.00", at(0))
    assert status.repeated == []


LEADER = [statement("L", 100, rows=2000), statement("L", 110, rows=2200)]


@pytest.mark.parametrize(
    ("older", "newer", "suspect"),
    [
        (statement("S", 2000), statement("S", 2200), True),
        (statement("S", 2000), statement("S", 2099), False),  # 9.9 times as often
        (statement("S", 1000), statement("S", 1100), True),
        (statement("S", 2000), statement("S", 2100), False),  # 10 times now, 19 ever
        (statement("S", 2000), statement("S", 2244), True),  # 24.4 now, 20.4 ever
        (statement("S", 2000), statement("S", 2245), False),
        (statement("S", 2000, rows=2000), statement("S", 2200, rows=2180), True),
        (statement("S", 2000, rows=2000), statement("S", 2200, rows=2179), False),  # less than 0.9 rows a call
        (statement("S", 2000, rows=2000), statement("S", 2200, rows=2221), False),
        (statement("S", 2200), statement("S", 200), False),  # the counters were reset
        (statement("T", 2000), statement("S", 2200), False),  # new
    ],
)
def test_suspects_of_n_plus_1(older: Statement, newer: Statement, suspect: bool) -> None:
    status = judged(found(0, LEADER[0], older), found(300, LEADER[1], newer))
    assert [(s.query_id, s.follows) for s in status.repeated] == ([("S", "L")] if suspect else [])


@pytest.mark.parametrize(
    "leader",
    [
        [statement("L", 100, rows=0), statement("L", 110, rows=0)],  # COMMIT
        [statement("L", 100, rows=100), statement("L", 110, rows=110)],  # another look-up by key
        [statement("L", 100, rows=300), statement("L", 110, rows=330)],  # three rows, and twenty calls
    ],
)
def test_a_steady_load_beside_another_follows_nobody(leader: list[Statement]) -> None:
    status = judged(found(0, leader[0], statement("S", 2000)), found(300, leader[1], statement("S", 2200)))
    assert status.repeated == []


def test_a_statement_that_was_hardly_called_leads_nobody() -> None:
    leader = [statement("L", 100, rows=2000), statement("L", 104, rows=2080)]
    status = judged(found(0, leader[0], statement("S", 2000)), found(300, leader[1], statement("S", 2080)))
    assert status.repeated == []


def test_a_missing_extension_is_a_message() -> None:
    status = judged(found(0), InsightsFinding(at(1), missing="CREATE EXTENSION pg_stat_statements"))
    assert status == InsightsStatus(available=False, message="CREATE EXTENSION pg_stat_statements")
    again = judged(InsightsFinding(at(0), missing="x"), found(300, statement("S", 1)))
    assert (again.available, again.repeated) == (True, [])


def test_what_was_known_stands_until_there_is_more() -> None:
    known = judged(found(0, LEADER[0], statement("S", 2000)), found(300, LEADER[1], statement("S", 2200)))
    assert judge(spec(), (), known) is known
    assert judge(spec(), (), None) is None
    after_restart = judged(found(600, LEADER[1], statement("S", 2200)), before=known)
    assert after_restart.repeated == known.repeated


@pytest.mark.parametrize(
    ("text", "line"),
    [("SELECT 1\n  FROM\tx ", "SELECT 1 FROM x"), ("x" * 200, "x" * 200), ("x" * 201, "x" * 199 + "…")],
)
def test_texts_are_cut_to_one_short_line(text: str, line: str) -> None:
    assert text_of(text) == line
