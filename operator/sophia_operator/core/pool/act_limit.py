"""LimitConnections: for a while the pool has a part of its size only, so that its server can breathe.

It is a resize like any other: the size is in the status, instances reload, and what clients need is remembered, so that
it is given back as it was. It ends by itself, or when its RecoveryAction is deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.pool.act_scene import ActScene, Going, done_at
from sophia_operator.core.pool.budget import effective_size
from sophia_operator.core.pool.findings import Verb
from sophia_operator.core.pool.shares import share
from sophia_operator.core.pool.sight import console_of, serving
from sophia_operator.core.pool.views import PoolObserved
from sophia_operator.core.recovery.acts import begun
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.words import clock, count, several

PERCENT: Final = 50
SECONDS: Final = 600
#: So long instances have to take the new size over: a volume may be a minute old.
LONGEST_SECONDS: Final = 180.0
_SUBJECT: Final = re.compile(r"(\d+) of (\d+) server connections")
_HOLDS: Final = frozenset({ActPhase.RUNNING, ActPhase.DONE})


def begin(scene: ActScene, request: ActRequest) -> ActStatus:
    """The act with the size that the pool is held to: a share of what clients need, so that two acts in a row do not
    add up."""
    spec, status, now = scene.pool.spec, scene.pool.status, scene.now
    if spec.instances == 0:
        return scene.refused(request, "the pool has no instance")
    if status.autosize is None or status.budget is None or not status.size:
        return scene.failed(request, "the pool has no size yet")
    whole = effective_size(spec, status.autosize.size, status.budget.granted)
    part = whole * (request.parameters.percent or PERCENT) // 100
    size = max(spec.instances, part - part % spec.instances)
    if size >= whole:
        why = f"the pool has {count(whole, 'server connection')} at {count(spec.instances, 'instance')}"
        return scene.refused(request, f"{why}, and each needs one: nothing is left to take")
    until = now + timedelta(seconds=request.parameters.seconds or SECONDS)
    words = f"holds the pool to {size} instead of {whole} server connections until {clock(until, now)}"
    act = begun(request, now, subject=f"{size} of {whole} server connections", message=words)
    return act.model_copy(update={"until": until})


def held_to(spec: ConnectionPoolSpec, observed: PoolObserved, acts: Iterable[ActStatus], now: datetime) -> int | None:
    """The most connections that acts leave the pool; None while none holds it."""
    there = {request.uid for request in observed.acts}
    sizes = [_size(act) for act in acts if act.uid in there and lasts(act, now)]
    return max(1, spec.instances, min(sizes)) if sizes else None


def lasts(act: ActStatus, now: datetime) -> bool:
    """Whether the act holds the pool now."""
    if act.action is not Action.LIMIT_CONNECTIONS or act.phase not in _HOLDS or act.until is None:
        return False
    return now < act.until and _SUBJECT.fullmatch(act.subject or "") is not None


def _size(act: ActStatus) -> int:
    found = _SUBJECT.fullmatch(act.subject or "")
    assert found is not None
    return int(found[1])


def go_on(scene: ActScene, act: ActStatus) -> Going:
    """Done once every instance has the size; the effect lasts on."""
    going, now, observed = Going(act), scene.now, scene.observed
    if act.uid not in {request.uid for request in observed.acts}:
        return going.over(ActPhase.DONE, "its RecoveryAction was deleted: the connections are given back", now)
    if not lasts(act, now):
        return going.over(ActPhase.FAILED, "its time was over before every instance had the size", now)
    size, status = _size(act), scene.pool.status
    own = share(scene.pool.spec, status.size).size
    there = serving(observed)
    late = [i.name for i in there if (c := console_of(observed, i)) is None or c.pool_size != own]
    if status.size <= max(size, scene.pool.spec.instances) and not late:
        assert act.until is not None
        words = f"held to {status.size} server connections, {own} at each instance, until {clock(act.until, now)}"
        did = [f"pool_size {own} at {count(len(there), 'instance')}", *done_at(observed, act.started_at, Verb.RELOAD)]
        return going.over(ActPhase.DONE, words, now, did)
    if now - act.started_at >= timedelta(seconds=LONGEST_SECONDS):
        words = f"not every instance took the size over, so it is given back: {several(late)}"
        return going.over(ActPhase.FAILED, words, now, done_at(observed, act.started_at, Verb.RELOAD))
    return replace(going, wait=1.0)


def ends_in(acts: Iterable[ActStatus], now: datetime) -> float | None:
    """Seconds until the next one ends by itself."""
    ends = [act.until for act in acts if lasts(act, now) and act.until is not None]
    return (min(ends) - now).total_seconds() if ends else None
