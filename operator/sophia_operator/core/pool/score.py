"""Health from 0 to 100, in parts that add up.

It rests on conditions and on figures that were written down, so it changes only when one of those does.
"""

from __future__ import annotations

from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import (
    ConnectionPoolStatus,
    InstanceStatus,
    ReconnectPhase,
    ScorePart,
)
from sophia_operator.core.words import count

_ROLE, _INSTANCES, _LATENCY, _SATURATION, _BUDGET = 40, 20, 15, 15, 10


def score_parts(spec: ConnectionPoolSpec, status: ConnectionPoolStatus) -> list[ScorePart]:
    """The parts of the score, from a status whose conditions are set; none before the first check."""
    if status.server is None:
        return []
    return sorted(
        (_role(status), _instances(spec, status), _latency(spec, status), _saturation(spec, status), _budget(status)),
        key=lambda part: part.name,
    )


def _part(name: str, of: int, points: float, why: str) -> ScorePart:
    whole = max(0, min(of, int(points)))
    return ScorePart(name=name, points=whole, of=of, why="" if whole == of else why[:256])


def _role(status: ConnectionPoolStatus) -> ScorePart:
    found, healthy = find(status.conditions, ConditionType.ROLE_CORRECT), find(status.conditions, ConditionType.HEALTHY)
    if found is None or found.status is not ConditionStatus.TRUE:
        return _part("role", _ROLE, 0, found.message if found is not None else "not checked yet")
    if healthy is not None and healthy.reason == Reason.REPLICATION_LAG.value:
        return _part("role", _ROLE, _ROLE / 2, "the standby trails behind")
    return _part("role", _ROLE, _ROLE, "")


def _is_lost(status: ConnectionPoolStatus) -> bool:
    """Whether a server of the right role is waited for: what was seen of instances speaks of the one before."""
    return status.reconnect is not None and status.reconnect.phase is ReconnectPhase.WAITING


def _is_fine(member: InstanceStatus) -> bool:
    return member.ready and member.role_correct is True and member.config_current is True and member.message is None


def _instances(spec: ConnectionPoolSpec, status: ConnectionPoolStatus) -> ScorePart:
    if spec.instances == 0:
        return _part("instances", _INSTANCES, _INSTANCES, "")
    if _is_lost(status):
        return _part("instances", _INSTANCES, 0, "not known until the server answers")
    fine = min(spec.instances, sum(_is_fine(m) for m in status.members))
    why = f"{fine} of {count(spec.instances, 'instance')} reachable, right and current"
    return _part("instances", _INSTANCES, _INSTANCES * fine / spec.instances, why)


def _latency(spec: ConnectionPoolSpec, status: ConnectionPoolStatus) -> ScorePart:
    slow = spec.health_check.slow_threshold_ms
    if status.query_ms is None and spec.instances == 0:
        return _part("latency", _LATENCY, _LATENCY, "")
    if _is_lost(status):
        return _part("latency", _LATENCY, 0, "not known until the server answers")
    if status.query_ms is None:
        # The first checks that answer are too few to tell how long they take, and nothing to hold against the pool.
        fine = any(m.role_correct is not None for m in status.members)
        return _part("latency", _LATENCY, _LATENCY if fine else 0, "no query through an instance yet")
    p95 = float(status.query_ms.p95)
    points = _LATENCY if p95 <= slow else _LATENCY / 2 if p95 <= 2 * slow else 0
    return _part("latency", _LATENCY, points, f"95 % of the checks take up to {status.query_ms.p95} ms, of {slow}")


def _saturation(spec: ConnectionPoolSpec, status: ConnectionPoolStatus) -> ScorePart:
    if status.waiting:
        return _part("saturation", _SATURATION, 0, f"{count(status.waiting, 'client')} waiting for a connection")
    used, target = status.utilization_percent or 0, spec.autosize.target_utilization_percent
    points = _SATURATION if used < target else _SATURATION / 2
    return _part("saturation", _SATURATION, points, f"{used} % of the connections are in use")


def _budget(status: ConnectionPoolStatus) -> ScorePart:
    found = find(status.conditions, ConditionType.WITHIN_BUDGET)
    if found is None or found.status is ConditionStatus.UNKNOWN:
        return _part("budget", _BUDGET, _BUDGET / 2, "not known yet")
    held = found.status is ConditionStatus.TRUE
    return _part("budget", _BUDGET, _BUDGET if held else 0, "the pool wants more than its server has left for it")
