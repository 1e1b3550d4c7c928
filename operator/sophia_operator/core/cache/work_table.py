"""Work at the table of a PostgreSQL level: sweeps with their evictions, and flushes. Of the same shape as work on keys
of Redis; there are no warm-ups, as nothing can be copied from one generation to another at a pace that pays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from sophia_operator.api.cache_flush import FlushKind
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.core.cache.findings import DeleteResult, DeleteTask, Task, TaskFinding
from sophia_operator.core.cache.table import Table, TableResult, TableTask, TableWork
from sophia_operator.core.cache.views import TierObserved, TierView
from sophia_operator.core.cache.work.flush import FlushPlan, plan_flush
from sophia_operator.core.cache.work.generations import first_generation, numbers
from sophia_operator.core.cache.work.keeping import START
from sophia_operator.core.cache.work.node import Sight
from sophia_operator.core.cache.work.pace import shared
from sophia_operator.core.cache.work.plans import FLUSH, WorkPlan, soonest
from sophia_operator.core.cache.work_sweep import SWEEP, plan_sweep

_LONGEST_NAME: Final = 128


def plan_table_work(tier: TierView, observed: TierObserved, now: datetime) -> WorkPlan:
    """What is to be done with the table. The status is written before any part of it begins."""
    sight = Sight(tier, observed, None, now, _table(tier, observed))
    flush, flushing = _flush(sight, numbers(tier.status, tier.spec))
    sweep = plan_sweep(sight, flush.numbers)
    tasks: dict[str, TableTask] = {}
    if flushing is not None:
        tasks[FLUSH] = flushing
    if sweep.task is not None:
        tasks[SWEEP] = sweep.task
    return WorkPlan(
        namespaces=sweep.namespaces,
        first_generation=max(first_generation(tier.status), *flush.numbers.values(), 1),
        flush=flush.flush,
        flushes=flush.flushes,
        warm_ups=(),
        scanned_at=sweep.scanned_at,
        keys=sweep.keys,
        unclaimed_keys=sweep.unclaimed_keys,
        tasks=_shared(tasks),
        notices=(*flush.notices, *sweep.notices),
        wait=soonest(flush.wait, sweep.wait),
        flush_why=flush.why(tier.spec.flush),
        scan_why=sweep.why,
        quota_why=sweep.quota_why,
    )


def _table(tier: TierView, observed: TierObserved) -> str | None:
    """What tells this table from others; None while it cannot be worked on."""
    level, found = tier.spec.postgresql, observed.kept.table
    if level is None or observed.access is None or found is None or not isinstance(found.answer, Table):
        return None
    return f"{level.pool_ref.name}/{level.table}"[:_LONGEST_NAME]


def _shared(tasks: Mapping[str, TableTask]) -> dict[str, Task]:
    """All that work at once share the table."""
    return {
        kind: replace(task, rows_per_second=shared(task.rows_per_second, len(tasks))) for kind, task in tasks.items()
    }


def _flush(sight: Sight, numbers: Mapping[str, int]) -> tuple[FlushPlan, TableTask | None]:
    """A flush, planned as one of Redis, but for its cursors. Where a flush of a table stands is a key, and keys may be
    secret: the status has a hash of it. Once nobody remembers the key, the flush starts over, which is harmless."""
    finding = sight.observed.kept.tasks.get(FLUSH)
    known = _cursors(finding)
    status = sight.tier.status
    if status.flush is not None and status.flush.cursor is not None and status.flush.cursor not in known:
        status = status.model_copy(update={"flush": status.flush.model_copy(update={"cursor": None})})
    plan = plan_flush(_as_of_redis(sight, status, finding), numbers)
    return plan, None if plan.task is None else _task(sight, plan.task, known)


def _cursors(finding: TaskFinding | None) -> dict[str, str]:
    """Cursors that are remembered, by what the status has of them."""
    if finding is None or not isinstance(finding.task, TableTask) or not isinstance(finding.result, TableResult):
        return {}
    return {_hash(cursor): cursor for cursor in (finding.task.cursor, finding.result.cursor) if cursor is not None}


def _as_of_redis(sight: Sight, status: CacheTierStatus, finding: TaskFinding | None) -> Sight:
    tier = replace(sight.tier, status=status)
    kept = sight.observed.kept
    tasks = {kind: found for kind, found in kept.tasks.items() if kind != FLUSH}
    if finding is not None and isinstance(finding.task, TableTask) and isinstance(finding.result, TableResult):
        task, result = finding.task, finding.result
        asked = DeleteTask(
            cursor=_hash(task.cursor),
            patterns=task.patterns,
            allowed=task.allowed,
            keys_per_second=task.rows_per_second,
            seconds=task.seconds,
            everything=task.everything,
            name=task.name,
        )
        cursor = None if result.cursor is None else _hash(result.cursor)
        answer = DeleteResult(cursor, result.scanned, result.deleted, result.seconds, result.failure)
        tasks[FLUSH] = replace(finding, task=asked, result=answer, node=task.table)
    return replace(sight, tier=tier, observed=replace(sight.observed, kept=replace(kept, tasks=tasks)))


def _task(sight: Sight, task: DeleteTask, known: Mapping[str, str]) -> TableTask:
    wish = sight.tier.spec.flush
    assert wish is not None
    assert sight.table is not None
    return TableTask(
        work=TableWork.DELETE,
        rows_per_second=task.keys_per_second,
        seconds=task.seconds,
        cursor=known.get(task.cursor, ""),
        patterns=task.patterns,
        allowed=task.allowed,
        tag=wish.tag if wish.kind is FlushKind.PACED else None,
        everything=task.everything,
        name=task.name,
        table=sight.table,
    )


def _hash(cursor: str) -> str:
    return hashlib.sha256(cursor.encode()).hexdigest()[:16] if cursor else START
