"""Acts of recovery on a pool: Reconnect, CancelStatement, RefreshPlans and LimitConnections, one after the other.

What exactly an act is about is written down before anything is done, and so is each step of it. An act begins with what
the server is like after it was claimed: `awaits_look` says that it has to be looked at first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.pool import act_cancel, act_limit, act_plans, act_reconnect
from sophia_operator.core.pool.act_scene import ActScene, Going
from sophia_operator.core.pool.findings import Command
from sophia_operator.core.pool.reconnect import Reconnect
from sophia_operator.core.pool.tasks import ServerTask
from sophia_operator.core.pool.triggers import Cause
from sophia_operator.core.pool.views import PoolObserved, PoolView
from sophia_operator.core.recovery.acts import replaced, tidied, to_begin
from sophia_operator.core.recovery.views import ActRequest

_BEGIN: Final = {
    Action.RECONNECT: act_reconnect.begin,
    Action.CANCEL_STATEMENT: act_cancel.begin,
    Action.REFRESH_PLANS: act_plans.begin,
    Action.LIMIT_CONNECTIONS: act_limit.begin,
}


@dataclass(frozen=True, slots=True)
class PoolActs:
    """What the status says of acts, and what follows for the other planners."""

    acts: tuple[ActStatus, ...] = ()
    #: Why a reconnect is to begin though its planner sees no cause; None when none is.
    cause: Cause | None = None
    #: Whether the reconnect under way is to look for its server at once.
    hurry: bool = False
    commands: tuple[Command, ...] = ()
    tasks: tuple[ServerTask, ...] = ()
    #: Seconds until the next pass at the latest.
    wait: float | None = None


def plan_acts(pool: PoolView, observed: PoolObserved, now: datetime) -> PoolActs:
    """The acts after this pass. They are written down before any command or task of theirs is carried out."""
    scene, acts = ActScene(pool, observed, now), _tidied(pool.status.acts, observed.acts, now)
    running = next((act for act in acts if act.phase is ActPhase.RUNNING), None)
    fresh = running is None
    if running is None:
        request = _next(acts, observed)
        if request is None or not _is_seen(observed, request):
            return PoolActs(tuple(acts), wait=act_limit.ends_in(acts, now))
        running = _BEGIN[request.action](scene, request)
    going = _go_on(scene, running, fresh=fresh) if running.phase is ActPhase.RUNNING else Going(running)
    acts = replaced(acts, going.act)
    waits = [w for w in (going.wait, act_limit.ends_in(acts, now)) if w is not None]
    if going.act.phase is not ActPhase.RUNNING and _next(acts, observed) is not None:
        waits.append(0.0)
    wait = min(waits, default=None)
    return PoolActs(tuple(acts), going.cause, going.hurry, going.commands, going.tasks, wait)


def after_reconnect(
    pool: PoolView, observed: PoolObserved, plan: PoolActs, reconnect: Reconnect, now: datetime
) -> Sequence[ActStatus]:
    """The acts once it is known what becomes of the reconnect in this pass."""
    acts = list(plan.acts)
    if reconnect.past is None:
        return acts
    running = (a for a in acts if a.action is Action.RECONNECT and a.phase is ActPhase.RUNNING and a.started_at < now)
    for act in tuple(running):
        done = act_reconnect.ended_with(ActScene(pool, observed, now), act, reconnect.past.attempts, now)
        acts = replaced(acts, done)
    return acts


def hurried(status: ConnectionPoolStatus, plan: PoolActs, now: datetime) -> ConnectionPoolStatus:
    """The status as the planner of reconnects sees it: with its next look due now, and short waits after it."""
    if not plan.hurry or status.reconnect is None:
        return status
    return status.model_copy(update={"reconnect": status.reconnect.model_copy(update={"next_at": now, "attempt": 1})})


def awaits_look(pool: PoolView, observed: PoolObserved, looked_at: datetime) -> bool:
    """Whether an act waits for a look at the server, or one is over whose effect was not seen yet."""
    acts = pool.status.acts
    if any(a.ended_at is not None and a.ended_at > looked_at for a in acts):
        return True
    request = _next(acts, observed)
    return request is not None and not _is_seen(observed, request)


def _go_on(scene: ActScene, act: ActStatus, *, fresh: bool) -> Going:
    match act.action:
        case Action.RECONNECT:
            return act_reconnect.go_on(scene, act, fresh=fresh)
        case Action.CANCEL_STATEMENT:
            return act_cancel.go_on(scene, act)
        case Action.REFRESH_PLANS:
            return act_plans.go_on(scene, act, fresh=fresh)
        case _:
            return act_limit.go_on(scene, act)


def _next(acts: Iterable[ActStatus], observed: PoolObserved) -> ActRequest | None:
    return to_begin(acts, (r for r in observed.acts if r.action in _BEGIN))


def _is_seen(observed: PoolObserved, request: ActRequest) -> bool:
    """Whether the server was looked at since the act was claimed."""
    found = observed.kept.server
    return found is not None and (request.claimed_at is None or found.at >= request.claimed_at)


def _tidied(acts: Iterable[ActStatus], requests: Sequence[ActRequest], now: datetime) -> list[ActStatus]:
    """Of acts that are over the oldest go first, but none that still holds the pool."""
    return tidied(sorted(acts, key=lambda act: act_limit.lasts(act, now)), requests)
