"""Events for transitions of conditions, told from the conditions before and after: the same for pools and caches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sophia_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason, find
from sophia_operator.core.decision import EventType, Notice

_GOOD = (ConditionType.READY, ConditionType.HEALTHY)


@dataclass(frozen=True, slots=True)
class Telling:
    """What is told of a kind's conditions."""

    #: Warned of when they become false, and when their reason changes.
    bad_when_false: tuple[ConditionType, ...]
    #: Told of when they hold again.
    told_when_kept: tuple[ConditionType, ...]
    #: Reasons that the planners tell of themselves.
    planners: frozenset[Reason]
    #: When a planner tells of one of these, that all is well needs no Event of its own.
    good_news: frozenset[Reason]


def notices_of(
    telling: Telling, planned: Iterable[Notice], before: Sequence[Condition], after: Sequence[Condition]
) -> tuple[Notice, ...]:
    """The planners' notices, and those of the conditions: one of each reason."""
    out = {n.reason: n for n in planned}
    for reason, message in _bad(telling, before, after):
        if reason not in telling.planners:
            out.setdefault(reason, Notice(EventType.WARNING, reason, message))
    if not any(reason.value in out for reason in telling.good_news):
        for good in _became_good(before, after):
            out.setdefault(good.reason, Notice(EventType.NORMAL, good.reason, good.message))
            break
    for kind in telling.told_when_kept:
        kept = find(after, kind)
        if kept is not None and _was(before, kept, ConditionStatus.FALSE) and kept.status is ConditionStatus.TRUE:
            out.setdefault(kept.reason, Notice(EventType.NORMAL, kept.reason, kept.message))
    paused = find(after, ConditionType.PAUSED)
    if paused is not None and paused.status is ConditionStatus.TRUE and _is_new(before, paused):
        out.setdefault(paused.reason, Notice(EventType.NORMAL, paused.reason, paused.message))
    return tuple(out.values())


def _same(before: Sequence[Condition], new: Condition) -> Condition | None:
    return next((c for c in before if c.type == new.type), None)


def _is_new(before: Sequence[Condition], new: Condition) -> bool:
    old = _same(before, new)
    return old is None or (old.status, old.reason) != (new.status, new.reason)


def _was(before: Sequence[Condition], new: Condition, status: ConditionStatus) -> bool:
    old = _same(before, new)
    return old is not None and old.status is status


def _bad(telling: Telling, before: Sequence[Condition], after: Sequence[Condition]) -> Iterable[tuple[str, str]]:
    stalled = find(after, ConditionType.STALLED)
    if stalled is not None and _is_new(before, stalled):
        yield stalled.reason, stalled.message
    for kind in telling.bad_when_false:
        new = find(after, kind)
        if new is not None and new.status is ConditionStatus.FALSE and _is_new(before, new):
            yield new.reason, new.message


def _became_good(before: Sequence[Condition], after: Sequence[Condition]) -> Iterable[Condition]:
    for kind in _GOOD:
        new = find(after, kind)
        if new is None or new.status is not ConditionStatus.TRUE:
            continue
        if kind is ConditionType.READY and not _was(before, new, ConditionStatus.TRUE):
            yield new
        if kind is ConditionType.HEALTHY and _was(before, new, ConditionStatus.FALSE):
            yield new
