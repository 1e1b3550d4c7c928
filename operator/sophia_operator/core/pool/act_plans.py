"""RefreshPlans: statistics of tables are collected anew, and then instances take new connections, which plan anew.

ANALYZE costs the server something, so it is begun once. When the operator ended in its middle, nobody knows how far it
came, and a person looks. What comes after it may be repeated: that it was done stands in `did`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from sophia_operator.api.connection_pool import PoolRole
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.core.pool.act_scene import ActScene, Going, done_at
from sophia_operator.core.pool.findings import Command, Failure, Verb
from sophia_operator.core.pool.sight import AGAIN_SECONDS, failure_of, may_tell, server_of, serving, told_at
from sophia_operator.core.pool.tasks import ANALYZE_SECONDS, Analyzed, AnalyzeTask
from sophia_operator.core.recovery.acts import begun
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.words import count, several

#: So long instances have to carry out RECONNECT.
_TELL_SECONDS: Final = 60.0
_TABLE: Final = "table "


def begin(scene: ActScene, request: ActRequest) -> ActStatus:
    """The act with the tables that it is about."""
    if scene.pool.spec.role is PoolRole.READ_ONLY:
        why = "a standby has the statistics of its primary: ask for it on a pool of that one"
        return scene.refused(request, why)
    if server_of(scene.observed) is None:
        failure = failure_of(scene.observed)
        return scene.failed(request, f"the server does not answer: {failure.message if failure else 'not seen yet'}")
    table, database = request.parameters.table, scene.pool.spec.database.name
    subject = f"{_TABLE}{table}" if table is not None else f"tables of {scene.user} in database {database}"
    words = f"ANALYZE of {subject}, for {ANALYZE_SECONDS:.0f} s at most"
    return begun(request, scene.now, subject=subject, message=words)


def go_on(scene: ActScene, act: ActStatus, *, fresh: bool) -> Going:
    """ANALYZE, then RECONNECT at every instance."""
    going = Going(act)
    if act.did:
        return _reconnecting(scene, going)
    subject = act.subject or ""
    if fresh:
        table = subject.removeprefix(_TABLE) if subject.startswith(_TABLE) else None
        return replace(going, tasks=(AnalyzeTask(act.uid, table),))
    found = scene.observed.kept.acted.analyses.get(act.uid)
    if found is None:
        words = "the operator ended while ANALYZE may have been under way"
        return going.over(ActPhase.UNKNOWN, words, scene.now)
    if found.answer is None:
        return going
    if isinstance(found.answer, Failure):
        return going.over(ActPhase.FAILED, f"ANALYZE: {found.answer.message}", scene.now)
    return _analyzed(scene, going, found.answer)


def _analyzed(scene: ActScene, going: Going, answer: Analyzed) -> Going:
    if answer.refused is not None:
        return going.over(ActPhase.REFUSED, answer.refused, scene.now)
    left = [f"not ANALYZE {line}" for line in answer.left[:5]]
    if answer.late:
        left.append(f"not ANALYZE of {count(answer.late, 'table')}: no time was left")
    if not answer.tables:
        return going.over(ActPhase.FAILED, f"no table was analyzed: {'; '.join(left)}", scene.now)
    return _reconnecting(scene, going.noting(f"ANALYZE {several(answer.tables)}", *left))


def _reconnecting(scene: ActScene, going: Going) -> Going:
    act, observed, now = going.act, scene.observed, scene.now
    found = observed.kept.acted.analyses.get(act.uid)
    since = found.at if found is not None else act.started_at
    told = {i.name: told_at(observed, i.name, Verb.RECONNECT) for i in serving(observed)}
    late = [name for name, at in told.items() if at is None or at < since]
    going = going.noting(*done_at(observed, since, Verb.RECONNECT))
    if not late:
        words = f"statistics are new, and {count(len(told), 'instance')} took new connections, which plan anew"
        return going.over(ActPhase.DONE, words, now)
    if now - max(since, act.started_at) >= timedelta(seconds=ANALYZE_SECONDS + _TELL_SECONDS):
        return going.over(ActPhase.FAILED, f"statistics are new, but not told to reconnect: {several(late)}", now)
    due = [name for name in late if may_tell(observed, name, Verb.RECONNECT, now)]
    return replace(going, commands=tuple(Command(name, Verb.RECONNECT) for name in due), wait=AGAIN_SECONDS)
