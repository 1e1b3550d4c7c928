"""Reconnecting a pool's instances when its server was lost, moved or demoted: a pure planner.

`plan` takes the state, what was found, and the time; it gives the next state and the commands for it. Whoever calls
it (a pass over a ConnectionPool, or a recovery that asks for a reconnect) writes `status` down before giving any of
the commands, gives those, looks as `needs` says, and calls again. Nothing is remembered elsewhere, so it goes on
after a restart. Any command may be lost, and any may be given twice.

    Waiting       for a server of the right role: looks after 0.2 s, doubled up to 5 s, spread
    Reconnecting  RECONNECT to each instance, until each has carried it out
    Verifying     a query through each instance; once all reach the server, RECONNECT and a query once more, since a
                  connection from just before may have been made to where the name pointed then

A server that comes back as the very same is verified through each instance first; when nothing is wrong, no command
is given. A try lasts five seconds, and five more for instances on which only transactions from before are left.
After three tries, an instance that still holds what it should not gets KILL and RESUME, which cuts its clients off;
one that does not answer does not, since it holds nothing. Then tries become longer, up to a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import (
    ConnectionPoolStatus,
    PastReconnect,
    ReconnectPhase,
    ReconnectStatus,
)
from sophia_operator.core.decision import EventType, Notice
from sophia_operator.core.pool import roles
from sophia_operator.core.pool.findings import Command, Server, Verb
from sophia_operator.core.pool.pause import wants_pause
from sophia_operator.core.pool.sight import AGAIN_SECONDS, console_of, may_tell, reachable, server_of, serving, told_at
from sophia_operator.core.pool.triggers import Cause, cause_of, was_missed
from sophia_operator.core.pool.verify import Standing, Verdict, verdict
from sophia_operator.core.pool.views import InstanceView, PoolObserved
from sophia_operator.core.words import span

FIRST_WAIT_SECONDS: Final = 0.2
LONGEST_WAIT_SECONDS: Final = 5.0
#: So long instances have to be right, and so much longer for transactions from before.
TRY_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 5.0
LONGEST_TRY_SECONDS: Final = 60.0
#: So many tries must have failed before clients are cut off.
TRIES: Final = 3
_MOST_UNVERIFIED: Final = 64
_WAITS: Final = 6  # until the longest wait is reached


@dataclass(frozen=True, slots=True)
class Reconnect:
    """What the planner decided."""

    status: ReconnectStatus | None = None
    past: PastReconnect | None = None
    commands: tuple[Command, ...] = ()
    notices: tuple[Notice, ...] = ()
    #: Seconds until the planner wants to be asked again; None: nothing to wait for but findings.
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    """Everything that the planner rests on."""

    status: ConnectionPoolStatus
    spec: ConnectionPoolSpec
    observed: PoolObserved
    now: datetime
    jitter: float

    @property
    def right(self) -> Server | None:
        """The server, when it answers and has the pool's role."""
        server = server_of(self.observed)
        return server if server is not None and roles.is_right(self.spec, server.role) else None

    @property
    def instances(self) -> tuple[InstanceView, ...]:
        return serving(self.observed)


def plan(
    status: ConnectionPoolStatus,
    spec: ConnectionPoolSpec,
    observed: PoolObserved,
    now: datetime,
    jitter: float,
    *,
    asked: Cause | None = None,
) -> Reconnect:
    """The next state of the pool's reconnect, and the commands for it. `jitter` lies between 0 and 1 and spreads
    the looks of pools whose server went away at the same time. `asked` starts one for which there is no other cause."""
    scene = _Scene(status, spec, observed, now, jitter)
    if status.reconnect is None:
        cause = cause_of(status, spec, observed, now) or asked
        return Reconnect() if cause is None else _begin(scene, cause)
    if status.reconnect.phase is ReconnectPhase.WAITING:
        return _waiting(scene, status.reconnect)
    return _verifying(scene, status.reconnect)


def _begin(scene: _Scene, cause: Cause) -> Reconnect:
    before = scene.status.server.identity if scene.status.server is not None else None
    reconnect = ReconnectStatus(
        phase=ReconnectPhase.WAITING, cause=cause.message[:512], started_at=scene.now, identity=before
    )
    notice = Notice(EventType.WARNING, cause.reason.value, f"{cause.message}: reconnecting the pool's instances")
    step = _wait_for_server(scene, reconnect, 1) if scene.right is None else _tell_all(scene, reconnect)
    return Reconnect(step.status, None, step.commands, (notice,), step.wait)


def _wait_for_server(scene: _Scene, reconnect: ReconnectStatus, attempt: int) -> Reconnect:
    """The next look is due after a wait; without a time, at the longest wait: that needs no write each time."""
    seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (attempt - 1)) * (0.75 + scene.jitter / 2)
    due = scene.now + timedelta(seconds=seconds) if attempt <= _WAITS else None
    waiting = reconnect.model_copy(
        update={
            "phase": ReconnectPhase.WAITING,
            "attempt": attempt,
            "next_at": due,
            "server_at": None,
            "told_at": None,
            "confirmed_at": None,
        }
    )
    return Reconnect(waiting, wait=seconds)


def _waiting(scene: _Scene, reconnect: ReconnectStatus) -> Reconnect:
    found = scene.observed.kept.server
    if scene.right is not None:
        return _server_is_back(scene, reconnect, scene.right)
    if reconnect.next_at is None:
        return Reconnect(reconnect, wait=LONGEST_WAIT_SECONDS)
    if found is None or found.at < reconnect.next_at:
        return Reconnect(reconnect, wait=_until(reconnect.next_at, scene.now))
    return _wait_for_server(scene, reconnect, reconnect.attempt + 1)


def _server_is_back(scene: _Scene, reconnect: ReconnectStatus, server: Server) -> Reconnect:
    if reconnect.identity is None or reconnect.identity != server.identity:
        return _tell_all(scene, reconnect)
    looking = reconnect.model_copy(
        update={
            "phase": ReconnectPhase.VERIFYING,
            "attempt": 1,
            "server_at": scene.now,
            "next_at": scene.now + timedelta(seconds=TRY_SECONDS),
        }
    )
    return Reconnect(looking, wait=TRY_SECONDS)


def _tell_all(scene: _Scene, reconnect: ReconnectStatus) -> Reconnect:
    """A server of the right role is there, and every instance is told to take new connections to it."""
    told = reconnect.model_copy(
        update={
            "phase": ReconnectPhase.RECONNECTING,
            "attempt": 1,
            "server_at": scene.now,
            "told_at": scene.now,
            "confirmed_at": None,
            "next_at": scene.now + timedelta(seconds=TRY_SECONDS),
        }
    )
    return Reconnect(told, commands=_reconnects(scene.instances), wait=0.0)


def _reconnects(instances: tuple[InstanceView, ...]) -> tuple[Command, ...]:
    return tuple(Command(i.name, Verb.RECONNECT) for i in instances)


def _verifying(scene: _Scene, reconnect: ReconnectStatus) -> Reconnect:
    server, known = scene.right, scene.status.server
    if scene.observed.kept.server is None:
        return Reconnect(reconnect, wait=AGAIN_SECONDS)  # after a restart: the server is looked at first
    if server is None:
        return _wait_for_server(scene, reconnect, 1)
    if roles.one_server(scene.spec) and known is not None and known.identity != server.identity:
        return _tell_all(scene, reconnect)  # another server again
    verdicts = {i.name: verdict(reconnect, scene.spec, server, scene.observed, i) for i in scene.instances}
    if reconnect.told_at is None:
        return _look_first(scene, reconnect, verdicts)
    fine = {Standing.RIGHT} if reconnect.confirmed_at is not None else {Standing.RIGHT, Standing.DRAINING}
    late = {name: v for name, v in verdicts.items() if v.standing not in fine}
    if not late:
        return _over(scene, reconnect) if reconnect.confirmed_at is not None else _confirm(scene, reconnect)
    if _until(_deadline(reconnect, late), scene.now) > 0:
        return _go_on(scene, reconnect, late)
    return _try_again(scene, reconnect, late)


def _look_first(scene: _Scene, reconnect: ReconnectStatus, verdicts: Mapping[str, Verdict]) -> Reconnect:
    """The server is the very same as before: only when something is wrong is anybody told anything."""
    standings = {v.standing for v in verdicts.values()}
    if standings <= {Standing.RIGHT, Standing.DRAINING}:
        # One that the reconnect before this one left out was told nothing yet, and this end would make that forgotten.
        missed = any(was_missed(scene.status, scene.observed, i) for i in scene.instances)
        return _tell_all(scene, reconnect) if missed else _over(scene, reconnect)
    late = [i for i in scene.instances if verdicts[i.name].standing not in (Standing.RIGHT, Standing.DRAINING)]
    if all(_is_outdated(scene, i) for i in late):
        # With an old password, say, they would lose the connections that they have, and get no others: RELOAD first.
        return Reconnect(reconnect, wait=AGAIN_SECONDS)
    assert reconnect.next_at is not None
    left = _until(reconnect.next_at, scene.now)
    if standings & {Standing.WRONG, Standing.SILENT} or left <= 0:
        return _tell_all(scene, reconnect)
    return Reconnect(reconnect, wait=left)


def _confirm(scene: _Scene, reconnect: ReconnectStatus) -> Reconnect:
    confirming = reconnect.model_copy(
        update={
            "phase": ReconnectPhase.VERIFYING,
            "confirmed_at": scene.now,
            "told_at": scene.now,
            "next_at": scene.now + timedelta(seconds=_try_seconds(reconnect.attempt)),
        }
    )
    return Reconnect(confirming, commands=_reconnects(scene.instances), wait=0.0)


def _over(scene: _Scene, reconnect: ReconnectStatus) -> Reconnect:
    past = PastReconnect(
        cause=reconnect.cause,
        started_at=reconnect.started_at,
        ended_at=scene.now,
        server_at=reconnect.server_at,
        attempts=reconnect.attempt,
        unverified=[i.name for i in reachable(scene.observed) if not i.ready][:_MOST_UNVERIFIED],
    )
    took = span(scene.now - reconnect.started_at)
    message = f"the server was verified through every instance, {took} after this: {reconnect.cause}"
    return Reconnect(None, past, notices=(Notice(EventType.NORMAL, Reason.RECONNECTED.value, message),))


def _go_on(scene: _Scene, reconnect: ReconnectStatus, late: Mapping[str, Verdict]) -> Reconnect:
    """Within a try: commands that were lost are given again, and those to instances that reached the server before
    once more, since they still knew the name as that one's."""
    untold = tuple(i for i in scene.instances if i.name in late and late[i.name].standing is Standing.UNTOLD)
    wrong = tuple(i for i in scene.instances if i.name in late and late[i.name].standing is Standing.WRONG)
    kills: tuple[Command, ...] = ()
    if _cuts_off(reconnect.attempt):
        kills, wrong = _kills(scene, reconnect, late), ()
    again = tuple(i for i in (*untold, *wrong) if may_tell(scene.observed, i.name, Verb.RECONNECT, scene.now))
    phase = ReconnectPhase.RECONNECTING if untold else ReconnectPhase.VERIFYING
    going = reconnect.model_copy(update={"phase": phase})
    wait = min(AGAIN_SECONDS, _until(_deadline(reconnect, late), scene.now))
    return Reconnect(going, commands=(*_reconnects(again), *kills), wait=wait)


def _try_again(scene: _Scene, reconnect: ReconnectStatus, late: Mapping[str, Verdict]) -> Reconnect:
    """The try failed: those that are late are told once more, or cut off."""
    attempt = reconnect.attempt + 1
    trying = reconnect.model_copy(
        update={
            "phase": ReconnectPhase.RECONNECTING,
            "attempt": attempt,
            "told_at": scene.now,
            "next_at": scene.now + timedelta(seconds=_try_seconds(attempt)),
        }
    )
    kills = _kills(scene, trying, late) if _cuts_off(attempt) else ()
    killed = {c.instance for c in kills}
    # Those that are cut off are told to reconnect as well: KILL leaves the connection for checks as it is.
    told = tuple(i for i in scene.instances if i.name in late)
    notices: tuple[Notice, ...] = ()
    if kills:
        names = ", ".join(f"{name} ({late[name].why})" for name in sorted(killed))
        message = f"not right after {reconnect.attempt} tries, so their clients are cut off: {names}"
        notices = (Notice(EventType.WARNING, Reason.RECONNECTING.value, message),)
    return Reconnect(trying, commands=(*_reconnects(told), *kills), notices=notices, wait=0.0)


def _kills(scene: _Scene, reconnect: ReconnectStatus, late: Mapping[str, Verdict]) -> tuple[Command, ...]:
    """KILL, and RESUME unless the pool is paused, to each instance that holds what it should not."""
    paused = wants_pause(scene.spec, scene.status.pause, scene.now)
    out: list[Command] = []
    for instance in scene.instances:
        if not _holds_wrong(scene, instance, late.get(instance.name)):
            continue
        done = told_at(scene.observed, instance.name, Verb.KILL)
        if done is not None and reconnect.told_at is not None and done >= reconnect.told_at:
            continue
        if may_tell(scene.observed, instance.name, Verb.KILL, scene.now):
            out.append(Command(instance.name, Verb.KILL))
            out += [] if paused else [Command(instance.name, Verb.RESUME)]
    return tuple(out)


def _holds_wrong(scene: _Scene, instance: InstanceView, late: Verdict | None) -> bool:
    if late is None or late.standing not in (Standing.WRONG, Standing.DRAINING):
        return False
    # With an old configuration it may well go to the old server: that is what RELOAD is for.
    return console_of(scene.observed, instance) is not None and not _is_outdated(scene, instance)


def _is_outdated(scene: _Scene, instance: InstanceView) -> bool:
    """Whether the instance's console shows another configuration than it should have."""
    console, wanted = console_of(scene.observed, instance), scene.status.config_hash
    return console is not None and wanted is not None and console.config_hash not in (None, wanted)


def _cuts_off(attempt: int) -> bool:
    """After three tries that failed, and again after three more."""
    return attempt > TRIES and attempt % TRIES == 1


def _try_seconds(attempt: int) -> float:
    return TRY_SECONDS if attempt <= TRIES else min(LONGEST_TRY_SECONDS, TRY_SECONDS * 2 ** min(attempt - TRIES, 10))


def _deadline(reconnect: ReconnectStatus, late: Mapping[str, Verdict]) -> datetime:
    assert reconnect.next_at is not None
    draining = {v.standing for v in late.values()} == {Standing.DRAINING}
    return reconnect.next_at + timedelta(seconds=DRAIN_SECONDS if draining else 0)


def _until(moment: datetime, now: datetime) -> float:
    return max(0.0, (moment - now).total_seconds())
