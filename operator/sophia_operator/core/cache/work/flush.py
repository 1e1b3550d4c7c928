"""A flush: named, done once for each name, part by part at a pace.

What it takes away is fixed when it begins. Where it stands is in the status, with the run of the node that the cursor
is of: with another run it starts over, as a cursor means nothing to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sophia_operator.api.cache_flush import Flush, FlushKind
from sophia_operator.api.cache_tier import CacheLevel
from sophia_operator.api.cache_tier_status import MAX_PAST, FlushPhase, FlushStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import DeleteResult, DeleteTask, TaskFinding
from sophia_operator.core.cache.glob import head
from sophia_operator.core.cache.work.generations import raised
from sophia_operator.core.cache.work.keeping import START
from sophia_operator.core.cache.work.node import Sight
from sophia_operator.core.cache.work.pace import pace, retry_seconds
from sophia_operator.core.cache.work.plans import FLUSH, PART_SECONDS, Why
from sophia_operator.core.cache.work.scope import Scope, scope, words
from sophia_operator.core.decision import EventType, Notice

_REASONS: Final = {
    FlushPhase.RUNNING: Reason.FLUSHING,
    FlushPhase.PAUSED: Reason.FLUSH_PAUSED,
    FlushPhase.DONE: Reason.FLUSHED,
    FlushPhase.STOPPED: Reason.FLUSH_STOPPED,
    FlushPhase.REFUSED: Reason.FLUSH_REFUSED,
}
_TIER_PAUSED: Final = "paused: the tier is"
NO_PRIMARY: Final = "waits for a primary"
NO_TABLE: Final = "waits for the table"


@dataclass(frozen=True, slots=True)
class FlushPlan:
    """What the planner decided. The task has the rate that the flush may go at when nothing else works."""

    numbers: Mapping[str, int]
    flush: FlushStatus | None = None
    flushes: tuple[FlushStatus, ...] = ()
    task: DeleteTask | None = None
    notices: tuple[Notice, ...] = field(default=())
    wait: float | None = None

    def why(self, wish: Flush | None) -> Why | None:
        """Of the flush under way, or of the one that the spec names."""
        shown = self.flush or next((f for f in self.flushes if wish is not None and f.name == wish.name), None)
        if shown is None:
            return None
        return _REASONS[shown.phase], f"flush {shown.name} ({shown.what}): {shown.message or shown.phase.value}"


def plan_flush(sight: Sight, numbers: Mapping[str, int]) -> FlushPlan:
    """The next part of the flush, if there is one. The status is written before the part begins."""
    status, wish = sight.tier.status, sight.tier.spec.flush
    plan = _absorb(FlushPlan(numbers, status.flush, tuple(status.flushes)), sight)
    plan = _ended_by_spec(plan, wish, sight.now)
    if wish is None or any(f.name == wish.name for f in plan.flushes):
        return plan
    if wish.stop:
        return _end(replace(plan, flush=plan.flush or _new(wish, sight.now)), FlushPhase.STOPPED, "as asked", sight.now)
    if plan.flush is None or not _has_begun(plan.flush):
        plan = _begin(plan, wish, sight)
    return _go_on(plan, plan.flush, wish, sight) if plan.flush is not None and _has_begun(plan.flush) else plan


def _new(wish: Flush, now: datetime) -> FlushStatus:
    return FlushStatus(name=wish.name, what=words(wish), phase=FlushPhase.RUNNING, started_at=now)


def _has_begun(flush: FlushStatus) -> bool:
    """A flush of tagged entries may have no patterns at all; one that waits for the tier has none yet."""
    return bool(flush.patterns) or flush.node is not None or flush.message != _TIER_PAUSED


def _begin(plan: FlushPlan, wish: Flush, sight: Sight) -> FlushPlan:
    begun, tier = _new(wish, sight.now), sight.tier
    chosen = scope(tier, wish, plan.numbers, sight.observed.releases)
    if isinstance(chosen, str):
        return _end(replace(plan, flush=begun), FlushPhase.REFUSED, chosen, sight.now)
    if tier.spec.paused:
        return _with(plan, plan.flush or begun, phase=FlushPhase.PAUSED, message=_TIER_PAUSED, keys_per_second=0)
    notice = Notice(EventType.NORMAL, Reason.FLUSHING.value, f"flush {wish.name} begins: {begun.what}")
    plan = replace(plan, notices=(*plan.notices, notice))
    if wish.kind is FlushKind.GENERATION:
        plan = replace(plan, numbers=raised(plan.numbers, chosen.namespaces))
    if tier.spec.level is CacheLevel.MEMORY:
        message = "clients begin with a new generation"
        return _end(replace(plan, flush=begun), FlushPhase.DONE, message, sight.now)
    return _with(plan, begun, patterns=list(chosen.patterns), message=chosen.message)


def _go_on(plan: FlushPlan, flush: FlushStatus, wish: Flush, sight: Sight) -> FlushPlan:
    tier, kept = sight.tier, sight.observed.kept
    chosen = _still(plan, flush, wish, sight)
    if isinstance(chosen, str):
        return _end(plan, FlushPhase.STOPPED, chosen, sight.now)
    if tier.spec.paused:
        return _with(plan, flush, phase=FlushPhase.PAUSED, message=_TIER_PAUSED, keys_per_second=0)
    speed = pace(wish.keys_per_second, tier.spec.origin, kept.load, _rate_before(flush), sight.now)
    if speed.rate == 0:
        return _with(plan, flush, phase=FlushPhase.PAUSED, message=speed.message, keys_per_second=0)
    if sight.run is None:
        message = NO_TABLE if tier.spec.level is CacheLevel.POSTGRESQL else NO_PRIMARY
        return _with(plan, flush, phase=FlushPhase.RUNNING, message=message, keys_per_second=speed.rate)
    if flush.node != sight.run:
        flush = flush.model_copy(update={"node": sight.run, "cursor": None})
    wait, failed = _again(flush, kept.tasks.get(FLUSH), sight.now)
    message = failed or "; ".join(m for m in (speed.message, chosen.message) if m)
    plan = _with(plan, flush, phase=FlushPhase.RUNNING, message=message, keys_per_second=speed.rate)
    if wait > 0:
        return replace(plan, wait=wait)
    task = DeleteTask(
        cursor=flush.cursor or START,
        patterns=tuple(flush.patterns),
        allowed=chosen.allowed,
        keys_per_second=speed.rate,
        seconds=PART_SECONDS,
        everything=chosen.everything,
        name=flush.name,
    )
    return replace(plan, task=task)


def _rate_before(flush: FlushStatus) -> int | None:
    """None when it was not the origin that held it, or nothing did."""
    by_origin = flush.phase is FlushPhase.PAUSED and flush.message != _TIER_PAUSED
    return flush.keys_per_second if flush.keys_per_second or by_origin else None


def _still(plan: FlushPlan, flush: FlushStatus, wish: Flush, sight: Sight) -> Scope | str:
    """What the flush under way may take away now, or why it must not go on: looked at anew before every part, since
    namespaces and releases come and go meanwhile."""
    if words(wish) != flush.what:
        return "it was changed as it ran; give it another name to begin anew"
    numbers = plan.numbers
    if wish.kind is FlushKind.GENERATION:
        # They were raised when it began, and what it takes away is older.
        numbers = {name: max(1, number - 1) for name, number in numbers.items()}
    chosen = scope(sight.tier, wish, numbers, sight.observed.releases)
    if isinstance(chosen, str) or chosen.everything:
        return chosen
    if all(head(pattern).startswith(chosen.allowed) for pattern in flush.patterns):
        return chosen
    return "its namespaces, or their prefixes, were changed as it ran"


def _absorb(plan: FlushPlan, sight: Sight) -> FlushPlan:
    """With what the last part did, once: its task begins where the status stands. A part that got nowhere is not
    counted, as it would be in each pass; nor is one of a node that is not the primary now."""
    flush, finding = plan.flush, sight.observed.kept.tasks.get(FLUSH)
    if flush is None or finding is None or sight.run is None or sight.run != flush.node or not _is_of(flush, finding):
        return plan
    result = finding.result
    assert isinstance(result, DeleteResult)
    if (result.failure is not None and result.cursor is None) or result.cursor == (flush.cursor or START):
        return plan
    scanned, deleted = flush.scanned + result.scanned, flush.deleted + result.deleted
    plan = _with(plan, flush, cursor=result.cursor, scanned=scanned, deleted=deleted)
    if result.cursor is None:
        return _end(plan, FlushPhase.DONE, f"{deleted} keys are gone, of {scanned} looked at", sight.now)
    return plan


def _is_of(flush: FlushStatus, finding: TaskFinding) -> bool:
    return (
        isinstance(finding.task, DeleteTask)
        and isinstance(finding.result, DeleteResult)
        and finding.task.name == flush.name
        and finding.node == flush.node
        and finding.task.cursor == (flush.cursor or START)
    )


def _again(flush: FlushStatus, finding: TaskFinding | None, now: datetime) -> tuple[float, str]:
    """How long to wait after parts that failed, and what is said of it."""
    if finding is None or not finding.failures or not isinstance(finding.task, DeleteTask):
        return 0.0, ""
    if finding.task.name != flush.name or finding.node != flush.node or finding.result.failure is None:
        return 0.0, ""
    due = finding.at + timedelta(seconds=retry_seconds(finding.failures))
    return max(0.0, (due - now).total_seconds()), f"is tried again: {finding.result.failure.message}"[:1024]


def _ended_by_spec(plan: FlushPlan, wish: Flush | None, now: datetime) -> FlushPlan:
    if plan.flush is None or (wish is not None and wish.name == plan.flush.name):
        return plan
    message = "taken out of the spec" if wish is None else f"flush {wish.name} took its place"
    return _end(plan, FlushPhase.STOPPED, message, now)


def _end(plan: FlushPlan, phase: FlushPhase, message: str, now: datetime) -> FlushPlan:
    """The flush of the plan is over, and is not done again."""
    flush = plan.flush
    assert flush is not None
    changes = {"phase": phase, "message": message[:4096], "cursor": None, "keys_per_second": 0, "ended_at": now}
    ended = flush.model_copy(update=changes)
    kind = EventType.WARNING if phase is FlushPhase.REFUSED else EventType.NORMAL
    notice = Notice(kind, _REASONS[phase].value, f"flush {flush.name} ({flush.what}): {message}")
    past = (*plan.flushes, ended)[-MAX_PAST:]
    return replace(plan, flush=None, flushes=past, task=None, notices=(*plan.notices, notice))


def _with(plan: FlushPlan, flush: FlushStatus, **changes: Any) -> FlushPlan:
    return replace(plan, flush=flush.model_copy(update=changes))
