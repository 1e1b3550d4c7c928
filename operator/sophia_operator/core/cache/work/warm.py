"""Warm-ups: the own generation of a new release is filled before it takes traffic.

One for each release that is there; several at once share their rate. Where each stands is in the status. A release that
is tried again is warmed anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from sophia_operator.api.cache_tier import WarmUp, WarmUpSource
from sophia_operator.api.cache_tier_status import MAX_WARM_UPS, WarmUpPhase, WarmUpStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import CopyResult, CopyTask, RequestsResult, RequestsTask, TaskFinding
from sophia_operator.core.cache.names import key_prefix
from sophia_operator.core.cache.views import BoundRelease
from sophia_operator.core.cache.work.keeping import START, in_vain
from sophia_operator.core.cache.work.node import Sight
from sophia_operator.core.cache.work.pace import pace, retry_seconds
from sophia_operator.core.cache.work.plans import PART_SECONDS, WARM, Why, soonest
from sophia_operator.core.decision import EventType, Notice

#: A warm-up failed after so many parts that did, one after the other.
MOST_FAILURES: Final = 5
_OPEN: Final = frozenset({WarmUpPhase.RUNNING, WarmUpPhase.PAUSED})
_REASONS: Final = {
    WarmUpPhase.RUNNING: Reason.WARMING_UP,
    WarmUpPhase.PAUSED: Reason.WARMING_UP,
    WarmUpPhase.DONE: Reason.WARMED,
    WarmUpPhase.FAILED: Reason.WARM_UP_FAILED,
}
_BUSY: Final = "paused: the origin"

WarmTask = CopyTask | RequestsTask
Prefixes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """What the planner decided. Tasks have the rate that each may go at when nothing else works."""

    warm_ups: tuple[WarmUpStatus, ...] = ()
    tasks: Mapping[str, WarmTask] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    wait: float | None = None

    @property
    def why(self) -> Why | None:
        """The worst of all: one that failed, then one under way."""
        order = (WarmUpPhase.FAILED, WarmUpPhase.RUNNING, WarmUpPhase.PAUSED, WarmUpPhase.DONE)
        worst = min(self.warm_ups, key=lambda w: order.index(w.phase), default=None)
        if worst is None:
            return None
        return _REASONS[worst.phase], f"release {worst.release}: {worst.message or worst.phase.value}"


@dataclass(frozen=True, slots=True)
class _Look:
    """What is looked at for one warm-up."""

    sight: Sight
    wish: WarmUp
    release: BoundRelease
    prefixes: Prefixes
    finding: TaskFinding | None


@dataclass(frozen=True, slots=True)
class _Step:
    """One warm-up after this pass."""

    status: WarmUpStatus
    task: WarmTask | None = None
    wait: float | None = None


def plan_warm_ups(sight: Sight, numbers: Mapping[str, int]) -> WarmPlan:
    """The next part of each warm-up. Those of releases that are gone are forgotten."""
    wish = sight.tier.spec.warm_up
    if wish is None:
        return WarmPlan()
    there = {release.name: release for release in sight.observed.releases}
    steps: list[_Step] = []
    notices: list[Notice] = []
    for status in _wanted(sight, there):
        release = there[status.release]
        finding = sight.observed.kept.tasks.get(WARM + release.name)
        look = _Look(sight, wish, release, _prefixes(sight, numbers, release), finding)
        step = _next(look, status) if status.phase in _OPEN else _Step(status)
        steps.append(step)
        if step.status.phase is not status.phase and step.status.phase not in _OPEN:
            notices.append(_notice(step.status))
    return WarmPlan(
        tuple(step.status for step in steps),
        {WARM + step.status.release: step.task for step in steps if step.task is not None},
        tuple(notices),
        soonest(*(step.wait for step in steps)),
    )


def _wanted(sight: Sight, there: Mapping[str, BoundRelease]) -> tuple[WarmUpStatus, ...]:
    """Those that are known, of releases that are there, and new ones. For a new one, an old one whose release is not to
    be warmed any more makes room; when all are needed, it waits."""
    known = [w for w in sight.tier.status.warm_ups if w.release in there and not _is_outdated(w, there[w.release])]
    names = {w.release for w in known}
    for release in there.values():
        if not release.warming or release.name in names:
            continue
        if len(known) >= MAX_WARM_UPS:
            idle = next((w for w in known if not there[w.release].warming), None)
            if idle is None:
                break
            known.remove(idle)
        known.append(WarmUpStatus(release=release.name, phase=WarmUpPhase.RUNNING, started_at=sight.now))
    return tuple(known)


def _is_outdated(status: WarmUpStatus, release: BoundRelease) -> bool:
    """Whether the release was started again since, and may be warmed now."""
    return release.warming and release.started_at is not None and status.started_at < release.started_at


def _next(look: _Look, status: WarmUpStatus) -> _Step:
    sight, wish, finding = look.sight, look.wish, look.finding
    status, own = _absorb(look, status)
    if status.phase not in _OPEN:
        return _Step(status)
    if not look.release.warming:
        return _Step(_held(status, "its release is not to be warmed now"))
    if sight.tier.spec.paused:
        return _Step(_held(status, "the tier is paused"))
    if wish.source is WarmUpSource.PREVIOUS_RELEASE and not look.prefixes:
        return _Step(_ended(sight, status, WarmUpPhase.DONE, "there is nothing to copy"))
    failures = finding.failures if own and finding is not None else 0
    if finding is not None and failures >= MOST_FAILURES:
        return _Step(_ended(sight, status, WarmUpPhase.FAILED, f"{failures} parts failed: {_failure(finding)}"))
    before = 0 if status.message.startswith(_BUSY) else None
    speed = pace(wish.max_per_second, sight.tier.spec.origin, sight.observed.kept.load, before, sight.now)
    if speed.rate == 0:
        return _Step(_held(status, speed.message))
    status = _with(status, phase=WarmUpPhase.RUNNING, message=speed.message)
    if finding is not None and failures:
        due = finding.at + timedelta(seconds=retry_seconds(failures))
        status = _with(status, message=f"is tried again: {_failure(finding)}"[:1024])
        if sight.now < due:
            return _Step(status, wait=(due - sight.now).total_seconds())
    return _task(look, status, speed.rate)


def _task(look: _Look, status: WarmUpStatus, rate: int) -> _Step:
    node, release, listed = look.sight.node, look.release, look.wish.http_list
    if listed is not None:
        if release.url is None:
            return _Step(_with(status, message="waits for an address of its release"))
        first = int(status.cursor or START)
        return _Step(status, RequestsTask(listed.url, release.url, first, rate, PART_SECONDS))
    if node is None:
        return _Step(_with(status, message="waits for a primary"))
    if status.node != node.run_id:
        status = _with(status, node=node.run_id, cursor=None, percent=0)
    return _Step(status, CopyTask(status.cursor or START, look.prefixes, rate, PART_SECONDS))


def _prefixes(sight: Sight, numbers: Mapping[str, int], release: BoundRelease) -> Prefixes:
    """What the release before has, and what it is called in the new one's own generation."""
    if release.before is None or release.before == release.revision:
        return ()
    before, own = release.before, release.revision
    return tuple(
        (key_prefix(n.prefix, numbers[n.name], before), key_prefix(n.prefix, numbers[n.name], own))
        for n in sight.tier.spec.namespaces
    )


def _absorb(look: _Look, status: WarmUpStatus) -> tuple[WarmUpStatus, bool]:
    """With what the last part did, once, and whether that part is of this warm-up at all."""
    sight, finding = look.sight, look.finding
    if finding is None or finding.at < status.started_at:
        return status, False
    task, result = finding.task, finding.result
    if isinstance(task, CopyTask) and isinstance(result, CopyResult) and task.prefixes == look.prefixes:
        if sight.node is None or sight.node.run_id != status.node or finding.node != status.node:
            return status, False
        return _copied(sight, status, task, result), True
    listed = look.wish.http_list
    known = isinstance(task, RequestsTask) and listed is not None and task.list_url == listed.url
    if known and isinstance(task, RequestsTask) and isinstance(result, RequestsResult):
        return _requested(sight, status, task, result), True
    # It did something else: a flush raised the number of a generation, or the spec has another source.
    return _with(status, cursor=None, percent=0, total=None), False


def _copied(sight: Sight, status: WarmUpStatus, task: CopyTask, result: CopyResult) -> WarmUpStatus:
    if task.cursor != (status.cursor or START) or result.cursor == task.cursor:
        return status
    if result.cursor is None and result.failure is not None:
        return status
    status = _with(status, cursor=result.cursor, warmed=status.warmed + result.copied)
    if result.cursor is None:
        return _ended(sight, status, WarmUpPhase.DONE, f"{status.warmed} entries copied")
    return _with(status, percent=max(status.percent, min(99, int(100 * result.position))))


def _requested(sight: Sight, status: WarmUpStatus, task: RequestsTask, result: RequestsResult) -> WarmUpStatus:
    if task.first != int(status.cursor or START) or result.next == task.first:
        return status
    if result.next is None and result.failure is not None:
        return status
    answered, failed = status.warmed + result.answered, status.failed + result.failed
    cursor = None if result.next is None else str(result.next)
    status = _with(status, cursor=cursor, warmed=answered, failed=failed, total=result.total)
    if result.next is not None:
        return _with(status, percent=min(99, 100 * result.next // max(1, result.total)))
    if result.total and in_vain(result) and answered == 0:
        return _ended(sight, status, WarmUpPhase.FAILED, f"none of {result.total} requests was answered")
    return _ended(sight, status, WarmUpPhase.DONE, f"{answered} of {result.total} requests answered")


def _failure(finding: TaskFinding) -> str:
    failed = finding.result.failure
    return "no request was answered" if failed is None else failed.message


def _held(status: WarmUpStatus, message: str) -> WarmUpStatus:
    return _with(status, phase=WarmUpPhase.PAUSED, message=message)


def _ended(sight: Sight, status: WarmUpStatus, phase: WarmUpPhase, message: str) -> WarmUpStatus:
    percent = 100 if phase is WarmUpPhase.DONE else status.percent
    return _with(status, phase=phase, percent=percent, cursor=None, message=message[:1024], ended_at=sight.now)


def _with(status: WarmUpStatus, **changes: Any) -> WarmUpStatus:
    return status.model_copy(update=changes)


def _notice(status: WarmUpStatus) -> Notice:
    kind = EventType.WARNING if status.phase is WarmUpPhase.FAILED else EventType.NORMAL
    return Notice(kind, _REASONS[status.phase].value, f"warm-up of release {status.release}: {status.message}")
