"""Work on the keys of a tier: the next parts of everything that is to be done, one after the other decided anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sophia_operator.api.cache_tier import CacheLevel
from sophia_operator.core.cache.findings import CopyTask, DeleteTask, RequestsTask, ScanTask, Task
from sophia_operator.core.cache.views import TierObserved, TierView
from sophia_operator.core.cache.work.flush import FlushPlan, plan_flush
from sophia_operator.core.cache.work.generations import first_generation, numbers
from sophia_operator.core.cache.work.node import Sight, sight
from sophia_operator.core.cache.work.pace import shared
from sophia_operator.core.cache.work.plans import FLUSH, SCAN, WorkPlan, soonest
from sophia_operator.core.cache.work.scan import ScanPlan, plan_scan
from sophia_operator.core.cache.work.warm import WarmPlan, plan_warm_ups
from sophia_operator.core.cache.work_table import plan_table_work

_Paced = CopyTask | DeleteTask | RequestsTask | ScanTask


def plan_work(tier: TierView, observed: TierObserved, now: datetime) -> WorkPlan:
    """What is to be done with keys. Looks at the primary that `tier.status` names."""
    if tier.spec.level is CacheLevel.POSTGRESQL:
        return plan_table_work(tier, observed, now)
    seen = sight(tier, observed, now)
    flush = plan_flush(seen, numbers(tier.status, tier.spec))
    # Nobody scans the memory of clients; the status of its namespaces is as of any.
    scan = plan_scan(seen, flush.numbers)
    if tier.spec.level is CacheLevel.MEMORY:
        scan = replace(scan, task=None, wait=None, why=None)
    return _all(seen, flush, scan, plan_warm_ups(seen, flush.numbers))


def _all(seen: Sight, flush: FlushPlan, scan: ScanPlan, warm: WarmPlan) -> WorkPlan:
    status = seen.tier.status
    first = max(first_generation(status), *flush.numbers.values(), 1)
    return WorkPlan(
        namespaces=scan.namespaces,
        first_generation=first,
        flush=flush.flush,
        flushes=flush.flushes,
        warm_ups=warm.warm_ups,
        scanned_at=scan.scanned_at,
        keys=scan.keys,
        unclaimed_keys=scan.unclaimed_keys,
        tasks=_share(flush, scan, warm),
        notices=(*flush.notices, *scan.notices, *warm.notices),
        wait=soonest(flush.wait, scan.wait, warm.wait),
        flush_why=flush.why(seen.tier.spec.flush),
        warm_why=warm.why,
        scan_why=scan.why,
        quota_why=scan.quota_why,
    )


def _share(flush: FlushPlan, scan: ScanPlan, warm: WarmPlan) -> dict[str, Task]:
    """All that work at once share the node: of three, each goes at a third of its rate."""
    tasks: dict[str, _Paced] = dict(warm.tasks)
    if flush.task is not None:
        tasks[FLUSH] = flush.task
    if scan.task is not None:
        tasks[SCAN] = scan.task
    return {kind: _slower(task, len(tasks)) for kind, task in tasks.items()}


def _slower(task: _Paced, among: int) -> _Paced:
    if isinstance(task, RequestsTask):
        return replace(task, requests_per_second=shared(task.requests_per_second, among))
    return replace(task, keys_per_second=shared(task.keys_per_second, among))
