"""Sweeps of a table, round after round: delete what expired, give TTLs to what has none, evict what is above quotas.

A round is done in parts: the sweep, and then one namespace above its quota after the other. The last part tells which
is next, and is remembered in memory alone: with another run of the operator the round begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.cache_tier_status import NamespaceStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.table import Table, TableNamespace, TableResult, TableTask, TableWork
from sophia_operator.core.cache.work.eviction import GOAL, percent
from sophia_operator.core.cache.work.node import Sight
from sophia_operator.core.cache.work.pace import STEPS, pace, retry_seconds
from sophia_operator.core.cache.work.plans import PART_SECONDS, Why
from sophia_operator.core.decision import EventType, Notice

#: Of Kept.tasks.
SWEEP: Final = "sweep"
_MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What the planner decided. The task has the rate that it may go at when nothing else works."""

    namespaces: tuple[NamespaceStatus, ...]
    scanned_at: datetime | None
    keys: int | None
    unclaimed_keys: int | None
    task: TableTask | None = None
    notices: tuple[Notice, ...] = ()
    wait: float | None = None
    why: Why | None = None
    quota_why: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Part:
    """The last part, of the round that is under way."""

    at: datetime
    task: TableTask
    result: TableResult
    failures: int

    @property
    def totals(self) -> dict[str, int]:
        """What all parts of this piece of work did, by namespace."""
        names = dict.fromkeys((*self.task.before, *self.result.namespaces))
        return {n: self.task.before.get(n, 0) + self.result.namespaces.get(n, 0) for n in names}


def plan_sweep(sight: Sight, numbers: Mapping[str, int]) -> SweepPlan:
    """The next part, if there is one, and the figures."""
    tier, now = sight.tier, sight.now
    part = _last(sight)
    plan = _counted(_figures(sight, numbers), part)
    if tier.spec.paused:
        return replace(plan, why=(Reason.NOT_SCANNED, "the tier is paused"))
    if sight.table is None:
        return replace(plan, why=(Reason.NOT_SCANNED, "waits for the table"))
    if part is None:
        due = _due_at(sight, plan)
        return replace(plan, task=_sweep(sight)) if now >= due else replace(plan, wait=(due - now).total_seconds())
    if part.failures and part.result.failure is not None:
        why = (Reason.NOT_SCANNED, f"the sweep failed, and is tried again: {part.result.failure.message}"[:1024])
        due = part.at + timedelta(seconds=retry_seconds(part.failures))
        if now < due:
            return replace(plan, why=why, wait=(due - now).total_seconds())
        plan = replace(plan, why=why)
    task = _next(sight, part)
    if task is not None:
        return replace(plan, task=task)
    # The round is over, and the next one is due in a while.
    return replace(_totals(sight, plan), scanned_at=part.at, wait=float(tier.spec.scan.interval_seconds))


def _last(sight: Sight) -> _Part | None:
    finding, done_at = sight.observed.kept.tasks.get(SWEEP), sight.tier.status.scanned_at
    if finding is None or not isinstance(finding.task, TableTask) or not isinstance(finding.result, TableResult):
        return None
    if finding.task.table != sight.table or (done_at is not None and finding.at <= done_at):
        return None
    return _Part(finding.at, finding.task, finding.result, finding.failures)


def _due_at(sight: Sight, plan: SweepPlan) -> datetime:
    known = {n.name for n in sight.tier.status.namespaces}
    if plan.scanned_at is None or any(n.name not in known for n in plan.namespaces):
        return sight.now
    return plan.scanned_at + timedelta(seconds=sight.tier.spec.scan.interval_seconds)


def _next(sight: Sight, part: _Part) -> TableTask | None:
    """The next part of the round; None when it is over."""
    through = part.result.cursor is None and part.result.failure is None
    if part.task.work is TableWork.SWEEP:
        if not through:
            return replace(_sweep(sight), cursor=part.result.cursor or "", before=part.totals)
        return _evict_next(sight, after=None)
    (name,) = part.task.namespaces
    left = part.task.evict_bytes - part.result.freed_bytes
    if through or left <= 0 or name not in _quotas(sight):
        return _evict_next(sight, after=name)
    return replace(_evict(sight, name, left), cursor=part.result.cursor or "", before=part.totals)


def _sweep(sight: Sight) -> TableTask:
    ttls = {n.name: n.ttl_seconds for n in sight.tier.spec.namespaces}
    return _task(sight, TableWork.SWEEP, ttls=ttls)


def _evict_next(sight: Sight, *, after: str | None) -> TableTask | None:
    """The first namespace above its quota, in the order of the spec, of those after that one."""
    names = [n.name for n in sight.tier.spec.namespaces]
    if after is not None:
        names = names[names.index(after) + 1 :] if after in names else []
    quotas = _quotas(sight)
    for name in names:
        used, quota = _used(sight, name), quotas.get(name)
        if used is not None and quota is not None and used > quota and _is_new(sight):
            return _evict(sight, name, round(used - GOAL * quota))
    return None


def _evict(sight: Sight, name: str, size: int) -> TableTask:
    return replace(_task(sight, TableWork.EVICT), namespaces=(name,), evict_bytes=size)


def _task(sight: Sight, work: TableWork, ttls: Mapping[str, int] | None = None) -> TableTask:
    """It never stands still however busy the origin is: what has expired would fill the disk."""
    assert sight.table is not None
    limit, spec = sight.tier.spec.scan.keys_per_second, sight.tier.spec
    rate = pace(limit, spec.origin, sight.observed.kept.load, None, sight.now).rate or limit // STEPS
    return TableTask(work, max(1, rate), PART_SECONDS, ttls=ttls or {}, table=sight.table)


def _is_new(sight: Sight) -> bool:
    """Whether the table was looked at since the last round: else what was evicted then would be evicted again."""
    found, done_at = sight.observed.kept.table, sight.tier.status.scanned_at
    return found is not None and (done_at is None or found.at > done_at)


def _looked(sight: Sight) -> Table | None:
    found = sight.observed.kept.table
    return found.answer if found is not None and isinstance(found.answer, Table) else None


def _used(sight: Sight, name: str) -> int | None:
    table = _looked(sight)
    return None if table is None else table.namespaces.get(name, _NOTHING).used_bytes


def _quotas(sight: Sight) -> dict[str, int]:
    return {
        n.name: n.max_memory_megabytes * _MEBIBYTE
        for n in sight.tier.spec.namespaces
        if n.max_memory_megabytes is not None
    }


_NOTHING: Final = TableNamespace(keys=0, used_bytes=0, without_ttl=0)


def _figures(sight: Sight, numbers: Mapping[str, int]) -> SweepPlan:
    """Figures of the first look after each round: those of every look would be written down all the time."""
    status = sight.tier.status
    known = {n.name: n for n in status.namespaces}
    namespaces = tuple(
        known.get(name, NamespaceStatus(name=name)).model_copy(update={"generation": number})
        for name, number in numbers.items()
    )
    plan = SweepPlan(namespaces, status.scanned_at, status.keys, status.unclaimed_keys)
    found, table = sight.observed.kept.table, _looked(sight)
    if found is None or table is None:
        return plan
    quotas = _quotas(sight)
    plan = replace(plan, quota_why=_quota_why(sight, quotas))
    if not any(_is_old(n, status.scanned_at, found.at) for n in namespaces) and status.keys is not None:
        return plan
    figures = (_figures_of(n, table.namespaces.get(n.name, _NOTHING), quotas.get(n.name), found.at) for n in namespaces)
    return replace(_totals(sight, plan), namespaces=tuple(figures))


def _totals(sight: Sight, plan: SweepPlan) -> SweepPlan:
    table = _looked(sight)
    if table is None:
        return plan
    claimed = sum(table.namespaces.get(n.name, _NOTHING).keys for n in plan.namespaces)
    return replace(plan, keys=table.keys, unclaimed_keys=max(0, table.keys - claimed))


def _is_old(namespace: NamespaceStatus, done_at: datetime | None, looked_at: datetime) -> bool:
    if namespace.scanned_at is None:
        return True
    return done_at is not None and namespace.scanned_at <= done_at < looked_at


def _figures_of(namespace: NamespaceStatus, found: TableNamespace, quota: int | None, at: datetime) -> NamespaceStatus:
    return namespace.model_copy(
        update={
            "keys": found.keys,
            "used_bytes": found.used_bytes,
            "quota_percent": percent(found.used_bytes, quota),
            "without_ttl_keys": found.without_ttl,
            "scanned_at": at,
        }
    )


def _counted(plan: SweepPlan, part: _Part | None) -> SweepPlan:
    """With what the round did so far."""
    if part is None:
        return plan
    totals = part.totals
    if part.task.work is TableWork.SWEEP:
        given = tuple(n.model_copy(update={"ttls_given": totals.get(n.name, 0)}) for n in plan.namespaces)
        return replace(plan, namespaces=given)
    (name,) = part.task.namespaces
    gone = totals.get(name, 0)
    before = next((n.evicted for n in plan.namespaces if n.name == name), gone)
    if gone == before:
        return plan
    message = f"namespace {name} is above its quota: {gone} of its keys were evicted"
    through = part.result.cursor is None
    return replace(
        plan,
        namespaces=tuple(n.model_copy(update={"evicted": gone}) if n.name == name else n for n in plan.namespaces),
        notices=(Notice(EventType.NORMAL, Reason.EVICTED.value, message),) if through and gone else (),
    )


def _quota_why(sight: Sight, quotas: Mapping[str, int]) -> dict[str, str]:
    message = "what was not used for longest is evicted in the next sweep"
    return {name: message for name, quota in quotas.items() if (_used(sight, name) or 0) > quota}
