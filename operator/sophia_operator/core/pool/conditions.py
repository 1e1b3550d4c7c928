"""Conditions of a pool, by the rules of kstatus."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sophia_operator.api.conditions import Author, Condition, ConditionStatus, ConditionType, Reason, find, is_true
from sophia_operator.core.pool import verdicts
from sophia_operator.core.pool.faults import MISTAKES, explain
from sophia_operator.core.pool.findings import Failure
from sophia_operator.core.pool.sight import failure_of, serving
from sophia_operator.core.pool.target import is_taken_over
from sophia_operator.core.pool.verdicts import Sight
from sophia_operator.core.sayings import Saying, Why, as_before, put

#: A server that is being replaced may for a moment be unknown, or refuse everybody: no mistake in the spec yet.
GRACE_SECONDS: Final = 60.0
_STALLING: Final = frozenset({Reason.CRASH_LOOP, Reason.IMAGE_PULL_FAILED, Reason.QUOTA_EXCEEDED})
#: While these are under way, clients of a pool that was ready are served.
_HARMLESS: Final = frozenset({Reason.CONFIG_PENDING, Reason.REPLACING_INSTANCES, Reason.TOO_MANY_CONNECTIONS})


def conditions(sight: Sight) -> list[Condition]:
    """The list, from a status in which everything else is set."""
    author = Author(sight.pool.status.conditions, sight.pool.generation, sight.now)
    out: list[Condition] = []
    said = {
        ConditionType.HEALTHY: verdicts.healthy(sight),
        ConditionType.ROLE_CORRECT: verdicts.role_correct(sight),
        ConditionType.WITHIN_BUDGET: verdicts.within_budget(sight),
        ConditionType.CONFIG_APPLIED: verdicts.config_applied(sight),
    }
    for kind, saying in said.items():
        out = put(author, out, kind, saying or as_before(author, kind))
    paused = verdicts.paused(sight)
    if paused is not None:
        out = put(author, out, ConditionType.PAUSED, paused)
    stall = _stall(sight)
    going = _going_on(sight, out) if stall is None else None
    if stall is not None:
        out = author.put(out, ConditionType.STALLED, stall)
    if going is not None:
        out = author.put(out, ConditionType.RECONCILING, going)
    return put(author, out, ConditionType.READY, _ready(sight, out, stall, going))


def _stall(sight: Sight) -> Why | None:
    """What only a change by a person, or of the cluster, can mend."""
    kept = "; the pool keeps what it has" if serving(sight.observed) else ""
    for blocker in sight.observed.blockers:
        return blocker.reason, blocker.message + kept
    failure, reconnect = failure_of(sight.observed), sight.status.reconnect
    if failure is not None and failure.fault in MISTAKES:
        fresh = reconnect is not None and sight.now - reconnect.started_at < timedelta(seconds=GRACE_SECONDS)
        if not (fresh and _is_used(sight)):
            return _told(sight, failure)
    problem = sight.observed.fleet.problem if sight.observed.fleet is not None else None
    if problem is not None and problem.reason in _STALLING:
        return problem.reason, f"instances do not start: {problem.message}{kept}"
    return None


def _is_used(sight: Sight) -> bool:
    return is_taken_over(sight.status, sight.pool.spec.database, sight.observed)


def _told(sight: Sight, failure: Failure) -> Why:
    reason, message = explain(sight.pool.spec, failure)
    kept = not _is_used(sight) and bool(serving(sight.observed))
    return reason, message + ("; until then, the pool keeps what it connects to" if kept else "")


def _going_on(sight: Sight, out: list[Condition]) -> Why | None:
    """What is still under way."""
    if sight.status.reconnect is not None:
        return verdicts.reconnecting(sight, sight.status.reconnect)
    failure = failure_of(sight.observed)
    if failure is not None:
        return _told(sight, failure)
    return _fleet(sight) or _first_checks(sight, out)


def _fleet(sight: Sight) -> Why | None:
    fleet, spec = sight.observed.fleet, sight.pool.spec
    if fleet is None:
        return Reason.PROGRESSING, "the instances are being made"
    if not fleet.caught_up or fleet.rolling:
        return Reason.REPLACING_INSTANCES, "instances are replaced, one at a time"
    if fleet.ready_pods < spec.instances:
        why = f": {fleet.problem.message}" if fleet.problem is not None else ""
        return Reason.INSTANCES_NOT_READY, f"{fleet.ready_pods} of {spec.instances} instances are ready{why}"
    if fleet.pods > spec.instances:
        return Reason.PROGRESSING, f"{fleet.pods - spec.instances} instances too many are being drained"
    return None


def _first_checks(sight: Sight, out: list[Condition]) -> Why | None:
    role, applied = find(out, ConditionType.ROLE_CORRECT), find(out, ConditionType.CONFIG_APPLIED)
    if role is not None and role.status is ConditionStatus.UNKNOWN:
        return Reason.NOT_CHECKED, "the server and the instances are being checked"
    if applied is not None and applied.status is not ConditionStatus.TRUE and sight.pool.spec.instances > 0:
        return Reason(applied.reason), applied.message
    return None


def _ready(sight: Sight, out: list[Condition], stall: Why | None, going: Why | None) -> Saying:
    """Whether clients are served as the spec asks for."""
    if stall is not None:
        return Saying(ConditionStatus.FALSE, *stall)
    if going is not None and not _serves_on(sight, going):
        return Saying(ConditionStatus.FALSE, *going)
    role = find(out, ConditionType.ROLE_CORRECT)
    if role is not None and role.status is ConditionStatus.FALSE:
        return Saying(ConditionStatus.FALSE, Reason(role.reason), role.message)
    if sight.pool.spec.instances == 0:
        return Saying(ConditionStatus.TRUE, Reason.SCALED_TO_ZERO, "the spec asks for no instance")
    healthy = find(out, ConditionType.HEALTHY)
    if healthy is not None and healthy.reason in (Reason.INSTANCES_NOT_READY, Reason.INSTANCE_UNREACHABLE):
        return Saying(ConditionStatus.FALSE, Reason(healthy.reason), healthy.message)
    return Saying(ConditionStatus.TRUE, Reason.POOL_READY, "clients are served")


def _serves_on(sight: Sight, going: Why) -> bool:
    was = is_true(sight.pool.status.conditions, ConditionType.READY)
    return was and going[0] in _HARMLESS and bool(serving(sight.observed))
