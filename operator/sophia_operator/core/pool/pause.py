"""Pausing a pool for a planned switchover: a pure planner, with a safety time after which clients go on.

The pause ends by itself, and stays over until `spec.paused` was false once. Its end stands in the status, so that it
ends after a restart of the operator too. What a console shows is brought to what is wanted, whoever paused it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import PauseStatus
from sophia_operator.core.decision import EventType, Notice
from sophia_operator.core.pool.findings import Command, Verb
from sophia_operator.core.pool.sight import AGAIN_SECONDS, console_of, finding_of, may_tell, reachable, told_at
from sophia_operator.core.pool.views import InstanceView, PoolObserved

PAUSE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Pause:
    """What the planner decided."""

    status: PauseStatus | None = None
    commands: tuple[Command, ...] = ()
    notices: tuple[Notice, ...] = ()
    #: Seconds until the planner wants to be asked again; None: nothing to wait for but findings.
    wait: float | None = None


def wants_pause(spec: ConnectionPoolSpec, status: PauseStatus | None, now: datetime) -> bool:
    """Whether clients should wait now."""
    return spec.paused and (status is None or (not status.over and now < status.until))


def plan_pause(spec: ConnectionPoolSpec, status: PauseStatus | None, observed: PoolObserved, now: datetime) -> Pause:
    """The next state of the pause, and the commands for it. Every command may be lost, or given twice."""
    after, notices = _next(spec, status, now)
    wanted = wants_pause(spec, after, now)
    changed = wanted != (status is not None and not status.over)
    commands, open_ones = _converge(observed, wanted, changed, now)
    waits = [AGAIN_SECONDS] if open_ones else []
    if wanted and after is not None:
        waits.append(max(0.0, (after.until - now).total_seconds()))
    return Pause(after, commands, notices, min(waits, default=None))


def _next(
    spec: ConnectionPoolSpec, status: PauseStatus | None, now: datetime
) -> tuple[PauseStatus | None, tuple[Notice, ...]]:
    if not spec.paused:
        return None, ()
    if status is None:
        return PauseStatus(since=now, until=now + timedelta(seconds=PAUSE_SECONDS)), ()
    if status.over or now < status.until:
        return status, ()
    message = "the pause took 120 s and ended by itself; set paused to false, and to true again to pause anew"
    notice = Notice(EventType.WARNING, Reason.RESUMED_BY_TIMEOUT.value, message)
    return status.model_copy(update={"over": True}), (notice,)


def _converge(
    observed: PoolObserved, wanted: bool, changed: bool, now: datetime
) -> tuple[tuple[Command, ...], tuple[InstanceView, ...]]:
    """Commands, and the instances that are not known to be as wanted."""
    verb = Verb.PAUSE if wanted else Verb.RESUME
    late = tuple(i for i in reachable(observed) if changed or not as_wanted(observed, i, wanted))
    due = [i for i in late if changed or (_should_tell(observed, i, wanted) and may_tell(observed, i.name, verb, now))]
    return tuple(Command(i.name, verb) for i in due), late


def as_wanted(observed: PoolObserved, instance: InstanceView, wanted: bool) -> bool:
    """Whether the instance's console shows it paused, or not, as wanted. One that nobody saw need not be resumed:
    it is looked at before it counts."""
    console = console_of(observed, instance)
    return (not wanted) if console is None else console.paused is wanted


def _should_tell(observed: PoolObserved, instance: InstanceView, wanted: bool) -> bool:
    """Not when it has carried out the command since it was looked at: then it is looked at first."""
    finding = finding_of(observed, instance)
    told = told_at(observed, instance.name, Verb.PAUSE if wanted else Verb.RESUME)
    return finding is None or told is None or told < finding.at
