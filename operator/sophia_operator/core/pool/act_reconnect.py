"""Reconnect: instances take new connections to the server, although nothing tells that they have to.

It is a reconnect like any other, planned by `core.pool.reconnect`. One that is under way is what the act follows, and
it looks for its server at once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.connection_pool_status import ReconnectPhase
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.core.pool.act_scene import ActScene, Going, done_at
from sophia_operator.core.pool.findings import Verb
from sophia_operator.core.pool.sight import serving
from sophia_operator.core.pool.target import is_taken_over
from sophia_operator.core.pool.triggers import Cause
from sophia_operator.core.recovery.acts import begun
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.words import clock

#: The pool goes on by itself after that, but the act says that it did not come to an end.
LONGEST_SECONDS: Final = 600.0


def begin(scene: ActScene, request: ActRequest) -> ActStatus:
    """The act as it is written down first."""
    status, now = scene.pool.status, scene.now
    if status.server is None or status.server.identity is None:
        return scene.refused(request, "the pool never reached its server: there is nothing to reconnect")
    if not serving(scene.observed) and status.reconnect is None:
        return scene.refused(request, "the pool has no instance that serves")
    if not is_taken_over(status, scene.pool.spec.database, scene.observed):
        why = "spec.database, or a Secret of it, was changed and not seen to work yet: instances keep what they had"
        return scene.refused(request, f"{why}; correct that first")
    going = status.reconnect
    if going is None:
        return begun(request, now, subject="every instance", message="every instance takes new connections")
    words = f"follows the reconnect that began at {clock(going.started_at, now)}: {going.cause}"
    return begun(request, now, subject="the reconnect under way", message=words)


def go_on(scene: ActScene, act: ActStatus, *, fresh: bool) -> Going:
    """Done once a reconnect has ended after the act began."""
    going = Going(act).noting(*_did(scene, act))
    reconnect = scene.pool.status.reconnect
    past = next((r for r in reversed(scene.pool.status.reconnects) if r.ended_at > act.started_at), None)
    if past is not None:
        return going.over(ActPhase.DONE, _verified(past.attempts), scene.now)
    if scene.now - act.started_at >= timedelta(seconds=LONGEST_SECONDS):
        words = "no server of the right role was verified through every instance yet; the pool goes on with that"
        return going.over(ActPhase.FAILED, words, scene.now)
    if reconnect is None:
        cause = Cause(Reason.RECONNECTING, f"RecoveryAction {act.name} asks for it")
        return replace(going, cause=cause)
    return replace(going, hurry=fresh and reconnect.phase is ReconnectPhase.WAITING)


def ended_with(scene: ActScene, act: ActStatus, attempts: int, now: datetime) -> ActStatus:
    """The act once the reconnect ends in this very pass."""
    return Going(act).noting(*_did(scene, act)).over(ActPhase.DONE, _verified(attempts), now).act


def _did(scene: ActScene, act: ActStatus) -> list[str]:
    return done_at(scene.observed, act.started_at, Verb.RECONNECT, Verb.KILL)


def _verified(attempts: int) -> str:
    tries = "1 try" if attempts == 1 else f"{attempts} tries"
    return f"the server was verified by its role through every instance, after {tries}"
