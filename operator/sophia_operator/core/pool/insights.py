"""Statements that stand out, from what pg_stat_statements counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import MAX_INSIGHTS, InsightsStatus, StatementInsight
from sophia_operator.core.pool.findings import InsightsFinding, Statement

_MAX_TEXT: Final = 200
#: A suspect of N+1 returns about one row a call...
_ROWS: Final = (0.9, 1.1)
#: ...is called so many times as often as the statement that it follows...
_TIMES: Final = 10
#: ...whose rows it is called for: no more often than that for each...
_EACH_ROW: Final = 1.5
#: ...always: the ratio since the last look is that of the totals, within so much.
_STABLE: Final = 0.2
#: Fewer calls of the followed statement since the last look say nothing about a rate.
_LEAST_CALLS: Final = 5


@dataclass(frozen=True, slots=True)
class _Rate:
    """A statement, and what it did since the last look."""

    statement: Statement
    calls: int
    rows: int


def judge(
    spec: ConnectionPoolSpec, findings: tuple[InsightsFinding, ...], before: InsightsStatus | None
) -> InsightsStatus | None:
    """What stands out by the newest finding; what was known before while there is none."""
    if not findings:
        return before
    newest = findings[-1]
    if newest.missing is not None:
        return InsightsStatus(available=False, message=newest.missing[:4096])
    if before is not None and before.looked_at == newest.at:
        # After a restart the look before is forgotten, and suspects with it: those that are known stand until then.
        return before
    slow = [s for s in newest.statements if s.calls and s.total_ms / s.calls > spec.health_check.slow_threshold_ms]
    slow.sort(key=lambda s: (-s.total_ms, s.query_id))
    return InsightsStatus(
        available=True,
        looked_at=newest.at,
        slow=[_insight(s) for s in slow[:MAX_INSIGHTS]],
        repeated=_repeated(findings[-2], newest)
        if len(findings) > 1
        else (before.repeated if before is not None else []),
    )


def _repeated(older: InsightsFinding, newest: InsightsFinding) -> list[StatementInsight]:
    if older.missing is not None:
        return []
    rates = _rates({s.query_id: s for s in older.statements}, newest)
    found: list[tuple[_Rate, str]] = []
    for rate in rates:
        leader = _leader(rate, rates) if _one_row(rate) else None
        if leader is not None:
            found.append((rate, leader.statement.query_id))
    found.sort(key=lambda pair: (-pair[0].calls, pair[0].statement.query_id))
    return [_insight(rate.statement, follows) for rate, follows in found[:MAX_INSIGHTS]]


def _rates(older: Mapping[str, Statement], newest: InsightsFinding) -> list[_Rate]:
    """Only statements that were called since; after a reset of the counters there are none for once."""
    out: list[_Rate] = []
    for statement in newest.statements:
        before = older.get(statement.query_id)
        if before is not None and statement.calls > before.calls:
            out.append(_Rate(statement, statement.calls - before.calls, statement.rows - before.rows))
    return out


def _one_row(rate: _Rate) -> bool:
    return _ROWS[0] <= rate.rows / rate.calls <= _ROWS[1]


def _leader(rate: _Rate, rates: list[_Rate]) -> _Rate | None:
    """The statement whose rate this one follows most closely."""
    best: tuple[float, _Rate] | None = None
    for other in rates:
        if other is rate or other.calls < _LEAST_CALLS or rate.calls < _TIMES * other.calls:
            continue
        # Statements of a steady load all keep their ratios; one that is called for each row does not exceed the rows.
        if rate.calls > _EACH_ROW * other.rows:
            continue
        now = rate.calls / other.calls
        ever = rate.statement.calls / other.statement.calls
        off = abs(now - ever) / ever
        if off <= _STABLE and (best is None or off < best[0]):
            best = (off, other)
    return best[1] if best is not None else None


def _insight(statement: Statement, follows: str | None = None) -> StatementInsight:
    return StatementInsight(
        query_id=statement.query_id,
        calls=statement.calls,
        mean_ms=f"{statement.total_ms / statement.calls:.2f}",
        rows_per_call=f"{statement.rows / statement.calls:.2f}",
        text=text_of(statement.text),
        follows=follows,
    )


def text_of(text: str) -> str:
    """The statement on one line, cut short."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"
