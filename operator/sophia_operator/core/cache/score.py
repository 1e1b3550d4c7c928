"""Health from 0 to 100, in parts that add up.

It rests on conditions and on figures that were written down, so it changes only when one of those does.
"""

from __future__ import annotations

from typing import Final

from sophia_operator.api.cache_tier import CacheLevel, CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus, NodeRole, NodeStatus
from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.api.connection_pool_status import ScorePart
from sophia_operator.core.cache.figures import slow_ms
from sophia_operator.core.words import count

_SERVES, _NODES, _LATENCY, _MEMORY, _HITS = 40, 20, 15, 15, 10
#: What is wrong with a level that serves all the same.
_HALF: Final = frozenset({Reason.SLOW, Reason.SYNCING, Reason.NODES_NOT_READY, Reason.NODE_UNREACHABLE, Reason.LOADING})


def score_parts(spec: CacheTierSpec, status: CacheTierStatus) -> list[ScorePart]:
    """The parts of the score, from a status whose conditions are set; none before the first check, and none of the
    memory of clients."""
    healthy = find(status.conditions, ConditionType.HEALTHY)
    if spec.level is CacheLevel.MEMORY or healthy is None or healthy.status is ConditionStatus.UNKNOWN:
        return []
    parts = (_serves(status), _nodes(spec, status), _latency(spec, status), _memory(status), _hits(spec, status))
    return sorted(parts, key=lambda part: part.name)


def _part(name: str, of: int, points: float, why: str) -> ScorePart:
    whole = max(0, min(of, int(points)))
    return ScorePart(name=name, points=whole, of=of, why="" if whole == of else why[:256])


def _serves(status: CacheTierStatus) -> ScorePart:
    ready, healthy = find(status.conditions, ConditionType.READY), find(status.conditions, ConditionType.HEALTHY)
    if ready is None or ready.status is not ConditionStatus.TRUE:
        return _part("service", _SERVES, 0, ready.message if ready is not None else "not checked yet")
    bad = healthy is not None and healthy.status is ConditionStatus.FALSE and healthy.reason not in _HALF
    return _part("service", _SERVES, _SERVES / 2 if bad else _SERVES, healthy.message if healthy is not None else "")


def _is_fine(node: NodeStatus) -> bool:
    in_sync = node.role is NodeRole.PRIMARY or node.synced is True
    return node.ready and node.role is not None and in_sync and node.config_current is not False and not node.message


def _nodes(spec: CacheTierSpec, status: CacheTierStatus) -> ScorePart:
    if spec.redis is None or spec.redis.managed is None:
        ready = find(status.conditions, ConditionType.READY)
        fine = ready is not None and ready.status is ConditionStatus.TRUE
        return _part("nodes", _NODES, _NODES if fine else 0, "it does not serve clients")
    wanted = spec.redis.managed.replicas + 1
    right = min(wanted, sum(_is_fine(n) for n in status.nodes))
    return _part(
        "nodes", _NODES, _NODES * right / wanted, f"{right} of {count(wanted, 'node')} ready, in sync and current"
    )


def _latency(spec: CacheTierSpec, status: CacheTierStatus) -> ScorePart:
    if status.latency_ms is None:
        # The first checks are too few to tell how long they take, and nothing to hold against the tier.
        return _part("latency", _LATENCY, _LATENCY, "")
    p95, slow = float(status.latency_ms.p95), slow_ms(spec)
    points = _LATENCY if p95 <= slow else _LATENCY / 2 if p95 <= 2 * slow else 0
    return _part("latency", _LATENCY, points, f"95 % of the checks take up to {status.latency_ms.p95} ms, of {slow}")


def _memory(status: CacheTierStatus) -> ScorePart:
    quota, healthy = find(status.conditions, ConditionType.WITHIN_QUOTA), find(status.conditions, ConditionType.HEALTHY)
    if healthy is not None and healthy.reason == Reason.OUT_OF_MEMORY:
        return _part("memory", _MEMORY, 0, healthy.message)
    if quota is not None and quota.status is ConditionStatus.FALSE:
        return _part("memory", _MEMORY, _MEMORY / 2, quota.message)
    return _part("memory", _MEMORY, _MEMORY, "")


def _hits(spec: CacheTierSpec, status: CacheTierStatus) -> ScorePart:
    target, ratio = spec.hit_ratio_target_percent, status.hit_ratio_percent
    if ratio is None or ratio >= target:
        return _part("hits", _HITS, _HITS, "")
    return _part("hits", _HITS, _HITS * ratio / target, f"{ratio} % of the reads are answered, of {target} %")
