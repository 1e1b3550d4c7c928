"""Acts of recovery on a pool: Reconnect, CancelStatement, RefreshPlans and LimitConnections.

What exactly an act is about is written down before it is done: a statement by its process and by when it began, so that
another one of the same process is never ended in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus, RunningStatement
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.pool.findings import Command, Job, JobKind, Server, Verb
from sophia_operator.core.pool.sight import server_of, serving
from sophia_operator.core.pool.triggers import Cause
from sophia_operator.core.pool.views import PoolObserved, PoolView
from sophia_operator.core.recovery.acts import begun, ended, replaced, tidied, to_begin
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.words import clock, count

_MIN_SECONDS: Final = 30
_PERCENT: Final = 50
_LIMIT_SECONDS: Final = 600
_TRIES: Final = 3
_ALL_TABLES: Final = "all tables"
_TO: Final = " server connections"


@dataclass(frozen=True, slots=True)
class PoolActs:
    """What the status says of acts, and what follows."""

    acts: tuple[ActStatus, ...] = ()
    #: Why a reconnect is to begin though the planner sees no cause; None when none is.
    cause: Cause | None = None
    commands: tuple[Command, ...] = ()
    job: Job | None = None
    #: When to look again, in seconds.
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    pool: PoolView
    observed: PoolObserved
    acts: Sequence[ActStatus]
    now: datetime


def plan_acts(pool: PoolView, observed: PoolObserved, now: datetime) -> PoolActs:
    """One act at a time. The status is written before anything is done."""
    acts = tidied(pool.status.acts, observed.acts)
    running = next((act for act in acts if act.phase is ActPhase.RUNNING), None)
    fresh = False
    if running is None:
        request = to_begin(acts, (r for r in observed.acts if r.action in _BEGIN))
        if request is None:
            return PoolActs(tuple(acts), wait=_limit_ends(acts, now))
        running, fresh = _BEGIN[request.action](pool, observed, request, now), True
        acts = replaced(acts, running)
    scene = _Scene(pool, observed, acts, now)
    if running.phase is not ActPhase.RUNNING:
        return PoolActs(tuple(acts), wait=_limit_ends(acts, now))
    if running.action is Action.RECONNECT:
        return _reconnecting(scene, running)
    if running.action is Action.CANCEL_STATEMENT:
        return _cancelling(scene, running)
    return _refreshing(scene, running, fresh=fresh)


def limited(spec: ConnectionPoolSpec, observed: PoolObserved, acts: Iterable[ActStatus], now: datetime) -> int | None:
    """The most connections that acts leave the pool; None while none holds it. One whose RecoveryAction was deleted
    holds no longer."""
    there = {request.uid for request in observed.acts}
    sizes = [
        int((act.subject or "0").removesuffix(_TO))
        for act in acts
        if act.action is Action.LIMIT_CONNECTIONS
        and act.phase is ActPhase.DONE
        and act.uid in there
        and act.until is not None
        and now < act.until
    ]
    return max(1, spec.instances, min(sizes)) if sizes else None


def statements(status: ConnectionPoolStatus, observed: PoolObserved) -> list[RunningStatement]:
    """Statements that run for long, as the server was seen last; none while it does not answer."""
    found = observed.kept.server
    if found is None:
        return status.statements
    if not isinstance(found.answer, Server):
        return []
    return [
        RunningStatement(pid=s.pid, since=s.since, blocks=s.blocks, idle=s.idle)
        for s in sorted(found.answer.running, key=lambda s: s.pid)
    ]


def _begin_reconnect(pool: PoolView, observed: PoolObserved, request: ActRequest, now: datetime) -> ActStatus:
    if pool.status.server is None or pool.status.server.identity is None:
        why = "the pool never reached its server: there is nothing to reconnect"
        return ended(begun(request, now), ActPhase.REFUSED, why, now)
    if not serving(observed):
        return ended(begun(request, now), ActPhase.REFUSED, "the pool has no instance that serves", now)
    going = pool.status.reconnect
    if going is not None:
        words = f"follows the reconnect that began at {clock(going.started_at, now)}: {going.cause}"
        return begun(request, now, subject="the reconnect under way", message=words)
    return begun(request, now, subject="every instance", message="every instance takes new connections")


def _begin_cancel(pool: PoolView, observed: PoolObserved, request: ActRequest, now: datetime) -> ActStatus:
    del observed
    least = timedelta(seconds=request.parameters.min_seconds or _MIN_SECONDS)
    old = [s for s in pool.status.statements if now - s.since >= least]
    if not old:
        seconds = count(int(least.total_seconds()), "second")
        why = f"no statement of the pool's user runs for {seconds} or more: parameters.minSeconds says how long"
        return ended(begun(request, now), ActPhase.REFUSED, why, now)
    worst = max(old, key=lambda s: (s.blocks, now - s.since))
    blocks = f", which {count(worst.blocks, 'other')} wait for" if worst.blocks else ""
    words = f"ends what process {worst.pid} does since {clock(worst.since, now)}{blocks}"
    return begun(request, now, subject=_subject(worst), message=words)


def _subject(statement: RunningStatement) -> str:
    idle = ", idle in its transaction" if statement.idle else ""
    return f"process {statement.pid}, since {statement.since.isoformat()}{idle}"


def _begin_refresh(pool: PoolView, observed: PoolObserved, request: ActRequest, now: datetime) -> ActStatus:
    del pool
    if server_of(observed) is None:
        return ended(begun(request, now), ActPhase.REFUSED, "the server does not answer", now)
    return begun(request, now, subject=request.parameters.table or _ALL_TABLES, message="ANALYZE is under way")


def _begin_limit(pool: PoolView, observed: PoolObserved, request: ActRequest, now: datetime) -> ActStatus:
    del observed
    percent = request.parameters.percent or _PERCENT
    seconds = request.parameters.seconds or _LIMIT_SECONDS
    size = max(1, pool.spec.instances, pool.status.size * percent // 100)
    if size >= pool.status.size:
        why = (
            f"the pool has {pool.status.size} server connections, and each instance needs one: nothing is left to take"
        )
        return ended(begun(request, now), ActPhase.REFUSED, why, now)
    until = now + timedelta(seconds=seconds)
    act = begun(request, now, subject=f"{size}{_TO}").model_copy(update={"until": until})
    words = f"held to {size} server connections instead of {pool.status.size} until {clock(until, now)}"
    return ended(act, ActPhase.DONE, words, now, [words])


_BEGIN: Final = {
    Action.RECONNECT: _begin_reconnect,
    Action.CANCEL_STATEMENT: _begin_cancel,
    Action.REFRESH_PLANS: _begin_refresh,
    Action.LIMIT_CONNECTIONS: _begin_limit,
}


def _reconnecting(scene: _Scene, act: ActStatus) -> PoolActs:
    """Done once a reconnect has ended that went on, or began, after the act did."""
    past = [r for r in scene.pool.status.reconnects if r.ended_at >= act.started_at]
    if past:
        tries = count(past[-1].attempts, "try").replace("trys", "tries")
        did = f"RECONNECT at {count(len(serving(scene.observed)), 'instance')}, verified by role after {tries}"
        return _over(scene, act, ActPhase.DONE, "the server was verified through every instance", did)
    cause = Cause(Reason.RECONNECTING, f"RecoveryAction {act.name} asks for it")
    return PoolActs(tuple(scene.acts), cause if scene.pool.status.reconnect is None else None)


def _cancelling(scene: _Scene, act: ActStatus) -> PoolActs:
    """Told until it is gone: the server is told what process, and since when, so that this is harmless."""
    result = scene.observed.kept.jobs.get(act.uid)
    found = scene.observed.kept.server
    there = next((s for s in scene.pool.status.statements if act.subject == _subject(s)), None)
    if result is not None and result.failure is not None and result.tries >= _TRIES:
        return _over(scene, act, ActPhase.FAILED, f"the server did not do it: {result.failure.message}")
    if result is not None and found is not None and found.at > result.at and there is None:
        return _over(scene, act, ActPhase.DONE, result.did, f"{result.did}: {act.subject}")
    if result is not None and result.tries >= _TRIES and found is not None and found.at > result.at:
        return _over(scene, act, ActPhase.FAILED, f"it goes on after {count(_TRIES, 'request')} to end", result.did)
    if there is None and result is None:
        return _over(scene, act, ActPhase.DONE, "it was over before it was told to end", "nothing: it was over")
    told = result is not None and (found is None or found.at <= result.at)
    job = None if told else Job(act.uid, JobKind.CANCEL, statement=there or _parsed(act))
    return PoolActs(tuple(scene.acts), job=job, wait=1.0)


def _parsed(act: ActStatus) -> RunningStatement:
    """The statement that the act is about, which is not shown now."""
    process, since, *idle = (act.subject or "").split(", ")
    began = datetime.fromisoformat(since.removeprefix("since "))
    return RunningStatement(pid=int(process.removeprefix("process ")), since=began, idle=bool(idle))


def _refreshing(scene: _Scene, act: ActStatus, *, fresh: bool) -> PoolActs:
    """ANALYZE takes a while, and its load: it is never begun a second time."""
    kept, table = scene.observed.kept, act.subject if act.subject != _ALL_TABLES else None
    result = kept.jobs.get(act.uid)
    if fresh:
        return PoolActs(tuple(scene.acts), job=Job(act.uid, JobKind.ANALYZE, table=table))
    if result is None and act.uid not in kept.begun:
        words = "the operator ended while ANALYZE was under way"
        return _over(scene, act, ActPhase.UNKNOWN, words)
    if result is None:
        return PoolActs(tuple(scene.acts))
    if result.failure is not None:
        return _over(scene, act, ActPhase.FAILED, f"ANALYZE of {act.subject}: {result.failure.message}")
    instances = serving(scene.observed)
    words = f"{result.did}; {count(len(instances), 'instance')} take new connections, which plan anew"
    done = _over(scene, act, ActPhase.DONE, words, result.did, *(f"RECONNECT at {i.name}" for i in instances))
    return PoolActs(done.acts, commands=tuple(Command(i.name, Verb.RECONNECT) for i in instances))


def _over(scene: _Scene, act: ActStatus, phase: ActPhase, message: str, *did: str) -> PoolActs:
    return PoolActs(tuple(replaced(scene.acts, ended(act, phase, message, scene.now, did))))


def _limit_ends(acts: Iterable[ActStatus], now: datetime) -> float | None:
    """When the next limit ends, in seconds."""
    ends = [act.until for act in acts if act.until is not None and act.until > now]
    return (min(ends) - now).total_seconds() if ends else None
