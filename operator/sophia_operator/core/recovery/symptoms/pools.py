"""What may be wrong with a pool."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sophia_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from sophia_operator.api.connection_pool import ConnectionPoolSpec, PoolRole
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus, InstanceStatus
from sophia_operator.api.recovery_policy import Rule
from sophia_operator.core.recovery.symptoms.sight import NOT_SEEN, absent, said, unknown
from sophia_operator.core.recovery.symptoms.statements import slowest
from sophia_operator.core.recovery.views import Sign, TargetView
from sophia_operator.core.words import clock

#: No client reaches a server of the role, whichever instance it asks.
_OF_SERVER: Final = frozenset(
    {
        Reason.SERVER_LOST,
        Reason.SERVER_REPLACED,
        Reason.SERVER_UNREACHABLE,
        Reason.AWAITING_SERVER,
        Reason.HOST_UNKNOWN,
        Reason.WRONG_ROLE,
    }
)
#: Some instances do not, and others may.
_OF_INSTANCES: Final = frozenset({Reason.INSTANCE_UNREACHABLE, Reason.INSTANCES_NOT_READY})
#: What only a person mends, with a Secret or a setting: while it is so, nobody sees what is behind.
_OF_PEOPLE: Final = frozenset(
    {
        Reason.AUTHENTICATION_FAILED,
        Reason.DATABASE_NOT_FOUND,
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_KEY_MISSING,
        Reason.TLS_REQUIRED,
        Reason.TLS_UNAVAILABLE,
        Reason.TLS_UNTRUSTED,
    }
)
#: While one of these is said of the health, what the server does is not seen.
_HIDES_SERVER: Final = _OF_SERVER | _OF_PEOPLE | {Reason.RECONNECTING, Reason.TOO_MANY_CONNECTIONS}
_ALL: Final = 100.0


def connection_lost(target: TargetView, rule: Rule, now: datetime) -> Sign:
    """Clients reach no server of the pool's role. Its value is the share of the instances of which that is so, in
    percent.

    * Present: the server has another role, or an instance leads to one that has; the server does not answer, or its
      name is not known, as in the middle of a failover; a reconnect goes on; every instance is silent or wrong.
    * Cannot be told: the server refuses the user, the database or the certificates, or a Secret is missing. Only a
      person mends that, new connections change nothing, and what is behind is not seen. Nor can it be told while the
      spec pauses the pool: clients wait because its user wants that, and the server may be replaced meanwhile.
    * Absent: everything else. A server that has no connection left is full, and not lost: whoever is connected is
      served, and a reconnect would take that away. Some instances of several that are silent are Kubernetes' to
      replace, and clients are led to the others.
    """
    del rule
    status = target.status
    healthy, role = said(target, ConditionType.HEALTHY), said(target, ConditionType.ROLE_CORRECT)
    if not isinstance(status, ConnectionPoolStatus):
        return NOT_SEEN
    if status.pause is not None and not status.pause.over:
        return unknown("the spec pauses the pool: clients wait because somebody wants that")
    wrong_role = role is not None and role.status is ConditionStatus.FALSE
    if not wrong_role and (why := _by_people(target)) is not None:
        return unknown(f"only a person can mend this, and nobody sees what is behind: {why}")
    if wrong_role and role is not None:
        return Sign(True, _share_of_wrong(status), role.message)
    if status.reconnect is not None:
        since = clock(status.reconnect.started_at, now)
        why = healthy.message if healthy is not None else status.reconnect.cause
        lost = healthy is not None and healthy.reason in _OF_SERVER
        return Sign(True, _ALL if lost else _share_of_wrong(status), f"a reconnect goes on since {since}: {why}")
    if healthy is None:
        return NOT_SEEN
    if healthy.status is ConditionStatus.TRUE:
        return absent(healthy.message)
    if healthy.reason in _OF_SERVER:
        return Sign(True, _ALL, healthy.message)
    every = healthy.reason in _OF_INSTANCES and all(_is_wrong(m) for m in status.members)
    return Sign(True, _ALL, f"no instance is left: {healthy.message}") if every else absent(healthy.message)


def _by_people(target: TargetView) -> str | None:
    """What only a person can mend, in words."""
    found = (said(target, ConditionType.STALLED), said(target, ConditionType.HEALTHY))
    return next((c.message for c in found if c is not None and c.reason in _OF_PEOPLE), None)


def _is_wrong(member: InstanceStatus) -> bool:
    return not member.ready or member.role_correct is False or member.message is not None


def _share_of_wrong(status: ConnectionPoolStatus) -> float:
    """Share of the instances that are not known to lead to a server of the role, in percent."""
    if not status.members:
        return _ALL
    return round(100 * sum(m.role_correct is not True for m in status.members) / len(status.members), 1)


def replication_lag(target: TargetView, rule: Rule, now: datetime) -> Sign:
    """The standby trails behind by more than the spec allows. Its value is that time, in seconds.

    The condition stays for some minutes after it was seen; the newest figure ends the symptom sooner. While the server
    is not seen, or a reconnect goes on, it cannot be told.
    """
    del rule, now
    spec, status, healthy = target.spec, target.status, said(target, ConditionType.HEALTHY)
    if not isinstance(spec, ConnectionPoolSpec) or not isinstance(status, ConnectionPoolStatus) or healthy is None:
        return NOT_SEEN
    if spec.role is not PoolRole.READ_ONLY or healthy.status is ConditionStatus.TRUE:
        return absent(healthy.message)
    if healthy.reason in _HIDES_SERVER:
        return unknown(f"the standby is not seen: {healthy.message}")
    if healthy.reason != Reason.REPLICATION_LAG.value:
        return absent(healthy.message)
    lag, most = _lag(status), spec.health_check.max_replication_lag_seconds
    if lag is not None and lag <= most:
        return absent(f"the standby trails behind by {lag} s, and {most} s are allowed")
    return Sign(True, None if lag is None else float(lag), healthy.message)


def _lag(status: ConnectionPoolStatus) -> int | None:
    return status.server.replication_lag_seconds if status.server is not None else None


def budget_exceeded(target: TargetView, rule: Rule, now: datetime) -> Sign:
    """The pool could open more connections than the server has left for it. Its value is by how many."""
    del rule, now
    status, within = target.status, said(target, ConditionType.WITHIN_BUDGET)
    if not isinstance(status, ConnectionPoolStatus) or within is None:
        return NOT_SEEN
    return absent(within.message) if within.status is ConditionStatus.TRUE else _over_budget(status, within)


def _over_budget(status: ConnectionPoolStatus, within: Condition) -> Sign:
    budget = status.budget
    over = None if budget is None or budget.available is None else float(max(0, budget.wanted - budget.available))
    return Sign(True, over, within.message)


def slow_queries(target: TargetView, rule: Rule, now: datetime) -> Sign:
    """A statement runs, or blocks others, for too long. Its value is for how long it runs, in seconds.

    While the server is not seen, nobody knows what runs there.
    """
    status, healthy = target.status, said(target, ConditionType.HEALTHY)
    if not isinstance(status, ConnectionPoolStatus) or healthy is None:
        return NOT_SEEN
    if healthy.status is ConditionStatus.FALSE and healthy.reason in _HIDES_SERVER:
        return unknown(f"the server is not seen: {healthy.message}")
    return slowest(status.statements, rule.threshold_seconds, now)
