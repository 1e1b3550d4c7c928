"""Whether a tier is as it should be."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.cache_tier import CacheLevel
from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason
from sophia_operator.core.cache import names, remedies
from sophia_operator.core.cache.figures import slow_ms
from sophia_operator.core.cache.findings import Node
from sophia_operator.core.cache.sight import (
    failure_of,
    finding_of,
    is_synced,
    node_of,
    primary_of,
    reachable,
    staying,
    table_failure_of,
    table_of,
    wanted_nodes,
)
from sophia_operator.core.cache.verdicts import FALSE, TRUE, UNKNOWN, Sight
from sophia_operator.core.latencies import SLOW_IS_OVER
from sophia_operator.core.sayings import Saying, Why

#: What the planner of the topology says that is wrong; the rest of it is on its way.
_WRONG: Final = frozenset(
    {
        Reason.PRIMARY_LOST,
        Reason.NO_PRIMARY,
        Reason.TWO_PRIMARIES,
        Reason.NODE_UNREACHABLE,
        Reason.FENCING,
        Reason.FAILING_OVER,
    }
)


def healthy(sight: Sight) -> Saying | None:
    """Whether what is there answers in time, and is what it should be."""
    if sight.tier.spec.level is CacheLevel.MEMORY:
        return Saying(TRUE, Reason.CHECKS_PASSED, "the memory of clients needs no checks")
    if sight.tier.spec.level is CacheLevel.POSTGRESQL:
        return _of_table(sight)
    return _of_primary(sight) or _of_nodes(sight) or _all_well(sight)


def was_checked(sight: Sight) -> bool:
    """Whether it was said before how it is: until then, nodes are just being made."""
    before = sight.before(ConditionType.HEALTHY)
    return before is not None and before.status is not UNKNOWN


def refusal(sight: Sight) -> Why | None:
    """Why the primary accepts no writes. That it does again is shown only by a look with a write."""
    node, name = primary_of(sight.observed, sight.status.primary), sight.status.primary
    before = sight.before(ConditionType.HEALTHY)
    if name is None or node is None:
        return None
    if node.check_failure is not None:
        return remedies.of_node(sight.tier, name, node.check_failure)
    refused = before is not None and before.status is FALSE and before.reason in remedies.REFUSALS
    return (before.reason, before.message) if before is not None and refused and node.check_ms is None else None


def of_topology(sight: Sight) -> Why | None:
    """What the planner of the topology waits for. That a node was not looked at yet is nothing to tell."""
    why = sight.topology.reason
    failed = any(failure_of(sight.observed, view) is not None for view in reachable(sight.observed))
    return None if why is not None and why[0] is Reason.NODE_UNREACHABLE and not failed else why


def is_rolling(sight: Sight) -> bool:
    """Whether nodes are being replaced."""
    nodes, why = sight.observed.stateful_set, of_topology(sight)
    if why is not None and why[0] in (Reason.ROLLING, Reason.SWITCHING_OVER):
        return True
    return nodes is not None and (not nodes.caught_up or any(not n.current for n in sight.observed.nodes))


def unsynced(sight: Sight) -> str | None:
    """A replica that does not have all that the primary has."""
    views = (v for v in staying(sight.observed) if v.name != sight.status.primary)
    return next((v.name for v in views if is_synced(sight.observed, v, sight.status.primary) is False), None)


def _of_primary(sight: Sight) -> Saying | None:
    failover, why = sight.status.failover, of_topology(sight)
    if failover is not None and not failover.planned and failover.from_node is not None:
        words = why[1] if why is not None else f"{failover.cause}; a replica is to take over"
        return Saying(FALSE, why[0] if why is not None and why[0] in _WRONG else Reason.FAILING_OVER, words)
    if why is not None and why[0] in _WRONG and was_checked(sight):
        return Saying(FALSE, *why)
    refused = refusal(sight)
    return Saying(FALSE, *refused) if refused is not None else None


def _of_nodes(sight: Sight) -> Saying | None:
    observed, external = sight.observed, _is_external(sight)
    for view in reachable(observed):
        failure, finding = failure_of(observed, view), finding_of(observed, view)
        starting = not view.ready and finding is not None and finding.last is None and not external
        if failure is not None and not starting and not view.terminating:
            return Saying(FALSE, *remedies.of_node(sight.tier, view.name, failure))
        node = node_of(observed, view)
        if node is not None and external and node.role is NodeRole.REPLICA:
            return Saying(FALSE, Reason.READ_ONLY, read_only(sight))
        if node is not None and node.loading and was_checked(sight):
            message = f"node {view.name} reads its data from disk: it answers once it is done"
            return Saying(FALSE, Reason.LOADING, message)
    if external or is_rolling(sight) or not was_checked(sight):
        return None
    missing = not_ready(sight)
    if missing is not None:
        return Saying(FALSE, *missing)
    late = unsynced(sight)
    if late is not None:
        message = f"replica {late} does not have all that the primary has: what it lacks is lost with the primary"
        return Saying(FALSE, Reason.SYNCING, message)
    return None


def not_ready(sight: Sight) -> Why | None:
    """That nodes are not ready, and why."""
    wanted = wanted_nodes(sight.tier)
    ready = sum(view.ready for view in staying(sight.observed))
    if ready >= wanted:
        return None
    nodes = sight.observed.stateful_set
    problem = f": {nodes.problem.message}" if nodes is not None and nodes.problem is not None else ""
    return Reason.NODES_NOT_READY, f"{ready} of {wanted} nodes are ready{problem}"


def read_only(sight: Sight) -> str:
    """That an adopted Redis is a replica."""
    external = sight.tier.spec.redis.external if sight.tier.spec.redis is not None else None
    where = f"{external.host}:{external.port}" if external is not None else names.EXTERNAL
    return f"{where} is a replica and takes no writes: name its primary in redis.external.host"


def _all_well(sight: Sight) -> Saying | None:
    node = primary_of(sight.observed, sight.status.primary)
    if node is None:
        return None
    if is_slow(sight):
        return _slow(sight)
    known = _was_written(node) or sight.was(ConditionType.HEALTHY, TRUE)
    if not known and not sight.was(ConditionType.HEALTHY, FALSE):
        return None  # no look with a write yet
    return Saying(TRUE, Reason.CHECKS_PASSED, "the primary accepts writes, and every node is as it should be")


def _was_written(node: Node) -> bool:
    return node.check_ms is not None


def _of_table(sight: Sight) -> Saying | None:
    table, failure = table_of(sight.observed), table_failure_of(sight.observed)
    if failure is None and table is not None:
        failure = table.check_failure
    if failure is not None:
        return Saying(FALSE, *remedies.of_table(sight.tier, failure))
    if table is None:
        return None
    if is_slow(sight):
        return _slow(sight)
    return Saying(TRUE, Reason.CHECKS_PASSED, "the table answers, and takes writes")


def is_slow(sight: Sight) -> bool:
    """By the figure that is written down; it ends only well below the limit, so that it does not flap."""
    if sight.status.latency_ms is None:
        return False
    before = sight.before(ConditionType.HEALTHY)
    was = before is not None and before.status is ConditionStatus.FALSE and before.reason is Reason.SLOW
    limit = slow_ms(sight.tier.spec) * (SLOW_IS_OVER if was else 1.0)
    return float(sight.status.latency_ms.p95) > limit


def _slow(sight: Sight) -> Saying:
    limit = slow_ms(sight.tier.spec)
    message = (
        f"checks take longer than {limit} ms (healthCheck.maxLatencyMs): see the load of the server, and slow commands"
    )
    return Saying(FALSE, Reason.SLOW, message)


def _is_external(sight: Sight) -> bool:
    return sight.tier.spec.redis is not None and sight.tier.spec.redis.external is not None
