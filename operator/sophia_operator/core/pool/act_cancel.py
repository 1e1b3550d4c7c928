"""CancelStatement: the worst statement is ended, and nothing but that one.

It is told from every other one by its process, by when its session began, and by when it began itself. All three are
written down first, and PostgreSQL compares them as it ends it: so to repeat that is harmless, and neither a session
that got the same process number nor the next statement of the same session is hit.

A session that does nothing inside a transaction has no statement to cancel, and what others wait for ends only with the
session. It is ended when it is the pool user's own and comes through the pool: PgBouncer opens another one then.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.core.pool.act_scene import ActScene, Going
from sophia_operator.core.pool.activity import Activity, Session
from sophia_operator.core.pool.findings import Failure
from sophia_operator.core.pool.sight import AGAIN_SECONDS, failure_of, server_of
from sophia_operator.core.pool.statements import comes_through, is_surely_ours, note_of
from sophia_operator.core.pool.tasks import Cancelled, CancelTask
from sophia_operator.core.recovery.acts import begun
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.words import clock, count

MIN_SECONDS: Final = 30
#: What is still there after that long does not listen.
LONGEST_SECONDS: Final = 20.0
_SUBJECT: Final = re.compile(r"process (\d+), session since (\S+), statement since (\S+?)(, idle)?")


def begin(scene: ActScene, request: ActRequest) -> ActStatus:
    """The act with the statement that it is about."""
    server = server_of(scene.observed)
    if server is None:
        failure = failure_of(scene.observed)
        return scene.failed(request, f"the server does not answer: {failure.message if failure else 'not seen yet'}")
    least = request.parameters.min_seconds or MIN_SECONDS
    worst = _worst(scene, server.activity, least)
    if worst is None:
        return scene.refused(request, _nothing(scene, server.activity, least))
    what = "ends the idle session of" if worst.idle else "cancels the statement of"
    blocks = f", which {count(worst.blocks, 'session')} wait for" if worst.blocks else ""
    words = f"{what} process {worst.pid}, that began at {clock(worst.since, scene.now)}{blocks}: {worst.text}"
    return begun(request, scene.now, subject=subject_of(worst), message=words)


def subject_of(session: Session) -> str:
    """What tells the statement from every other one."""
    idle = ", idle" if session.idle else ""
    began = f"session since {_text(session.started_at)}, statement since {_text(session.since)}"
    return f"process {session.pid}, {began}{idle}"


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def task_of(act: ActStatus) -> CancelTask | None:
    """What is asked of the server for the act; None when nobody can read what it is about."""
    found = _SUBJECT.fullmatch(act.subject or "")
    if found is None:
        return None
    try:
        started, since = datetime.fromisoformat(found[2]), datetime.fromisoformat(found[3])
    except ValueError:
        return None
    return CancelTask(act.uid, int(found[1]), started, since, found[4] is not None)


def _worst(scene: ActScene, activity: Activity, least: int) -> Session | None:
    """That which most others wait for, else the oldest. One that waits itself is not what is wrong."""
    old = [s for s in activity.sessions if scene.now - s.since >= timedelta(seconds=least) and not s.waits]
    comes = comes_through(scene.pool, scene.observed)
    may = [s for s in old if (is_surely_ours(scene.observed, s) if s.idle else s.blocks or comes(s))]
    return min(may, key=lambda s: (-s.blocks, s.since, s.pid), default=None)


def _nothing(scene: ActScene, activity: Activity, least: int) -> str:
    """Why nothing is ended, and what a person could do."""
    parts = [f"no statement that may be ended is {count(least, 'second')} old"]
    left = [s for s in activity.sessions if s.idle and not is_surely_ours(scene.observed, s)]
    parts += [
        f"{count(s.blocks, 'session')} wait for process {s.pid} of user {s.username}, which does nothing inside a "
        "transaction and does not come through the pool: whoever opened it has to end it"
        for s in left[:1]
    ]
    note = note_of(activity, scene.user)
    if note:
        parts.append(note)
    elif activity.hidden:
        parts.append(
            f"what {count(activity.hidden, 'session')} of other users do is hidden from {scene.user}: "
            f"GRANT pg_read_all_stats TO {scene.user}"
        )
    return "; ".join(parts)


def go_on(scene: ActScene, act: ActStatus) -> Going:
    """Told until it is gone."""
    task, going, now = task_of(act), Going(act), scene.now
    if task is None:
        return going.over(ActPhase.FAILED, "what it is about cannot be read", now)
    result = scene.observed.kept.acted.cancels.get(act.uid)
    if result is None:
        return replace(going, tasks=(task,))
    answer, late = result.answer, now - act.started_at >= timedelta(seconds=LONGEST_SECONDS)
    if result.told:
        going = going.noting(task.command)
    if answer is Cancelled.GONE:
        words = "it is gone" if going.act.did else "it was over before it was told to end"
        return going.over(ActPhase.DONE, words, now)
    if answer is Cancelled.FORBIDDEN:
        words = (
            f"the user {scene.user} may not end statements of that user: GRANT pg_signal_backend TO {scene.user}, "
            "which ends those of everybody but superusers"
        )
        return going.over(ActPhase.FAILED, words, now)
    if late and isinstance(answer, Failure):
        return going.over(ActPhase.FAILED, f"the server did not take it: {answer.message}", now)
    if late:
        words = f"it was told for {LONGEST_SECONDS:.0f} s, and is still there"
        return going.over(ActPhase.FAILED, words, now)
    left = (result.at - now).total_seconds() + AGAIN_SECONDS
    return replace(going, tasks=(task,)) if left <= 0 else replace(going, wait=left)
