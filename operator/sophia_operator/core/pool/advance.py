"""One pass over a ConnectionPool: what its status becomes, and which commands its instances get."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.decision import EventType, Notice, RequeueAfter
from sophia_operator.core.pool.acts import after_reconnect, hurried, plan_acts
from sophia_operator.core.pool.decision import PoolDecision
from sophia_operator.core.pool.findings import Command
from sophia_operator.core.pool.needs import next_look
from sophia_operator.core.pool.notices import notices_of
from sophia_operator.core.pool.pause import plan_pause
from sophia_operator.core.pool.reconnect import plan
from sophia_operator.core.pool.reload import reloads
from sophia_operator.core.pool.render import wanted_config_hash
from sophia_operator.core.pool.status import ConfigHash, Planned, project
from sophia_operator.core.pool.views import PoolObserved, PoolView

#: A pass now and then even when nothing is due, in case an event got lost.
_LONGEST_SECONDS: Final = 600.0


def advance(
    pool: PoolView,
    observed: PoolObserved,
    now: datetime,
    jitter: float,
    config_hash: ConfigHash = wanted_config_hash,
) -> PoolDecision:
    """What follows from what is seen. The status is persisted before any command or task is carried out."""
    pause = plan_pause(pool.spec, pool.status.pause, observed, now)
    acts = plan_acts(pool, observed, now)
    state = hurried(pool.status.model_copy(update={"pause": pause.status}), acts, now)
    reconnect = plan(state, pool.spec, observed, now, jitter, asked=acts.cause)
    over = after_reconnect(pool, observed, acts, reconnect, now)
    status = project(pool, observed, Planned(reconnect, pause, tuple(over)), now, config_hash)
    after = replace(pool, status=status)
    planned = (*reconnect.notices, *pause.notices, *_resized(pool.status, status))
    waits = [w for w in (reconnect.wait, pause.wait, acts.wait) if w is not None]
    return PoolDecision(
        status=status,
        commands=_once((*reloads(after, observed, now), *reconnect.commands, *acts.commands, *pause.commands)),
        tasks=acts.tasks,
        notices=notices_of(planned, pool.status.conditions, status.conditions),
        next=RequeueAfter(min([_LONGEST_SECONDS, next_look(after, observed, now), *waits])),
    )


def _once(commands: Iterable[Command]) -> tuple[Command, ...]:
    """Each command once, in order: RELOAD before RECONNECT, KILL before RESUME, and PAUSE last, since it may take
    as long as transactions do."""
    return tuple(dict.fromkeys(commands))


def _resized(before: ConnectionPoolStatus, after: ConnectionPoolStatus) -> tuple[Notice, ...]:
    if before.size in (0, after.size):
        return ()
    message = f"the pool's size goes from {before.size} to {after.size} server connections"
    return (Notice(EventType.NORMAL, Reason.RESIZED.value, message),)
