"""Which node is to become the primary, and whether others are to be waited for."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.cache_tier_status import FailoverPhase, FailoverStatus
from sophia_operator.api.redis_level import Persistence
from sophia_operator.core.cache import names
from sophia_operator.core.cache.topology.sight import Seen, Sight, heard

#: Nodes that do not answer, and may have a longer history, are waited for so long.
OTHERS_SECONDS: Final = 30.0


def candidate(sight: Sight, failover: FailoverStatus) -> Seen | None:
    """The node that is to be promoted; None while none can be. One that was told and says that it is a primary comes
    first, and so does one that was to take over from a node that does not answer: that may make it one still."""
    able = [n for n in sight.nodes if n.node is not None and not n.node.loading and not n.handing_over]
    told = sight.get(failover.to_node) if failover.told_at is not None else None
    old = sight.get(failover.from_node)
    heir = failover.phase is FailoverPhase.FENCING and not (old is not None and old.is_primary)
    if told is not None and not heir and not told.is_primary:
        told = None
    return max(able, key=lambda n: _rank(sight, failover, n, told), default=None)


def _rank(sight: Sight, failover: FailoverStatus, seen: Seen, told: Seen | None) -> tuple[int, ...]:
    node = seen.node
    assert node is not None
    was = seen.name == failover.from_node and node.run_id == sight.status.primary_run_id
    return (
        int(seen is told),
        # A primary whose process goes on has everything; others that say so were not told to, and count like replicas.
        int(was),
        int(not seen.view.terminating),
        int(has_history(sight, failover, seen)),
        node.offset,
        node.keys,
        -seen.ordinal,
    )


def has_history(sight: Sight, failover: FailoverStatus, seen: Seen) -> bool:
    """Whether it holds what the old primary had, as far as that got to it."""
    node, old = seen.node, sight.get(failover.from_node)
    if node is None:
        return False
    if old is not None and old.last is not None and old.last.run_id == sight.status.primary_run_id:
        return node.replication_id == old.last.replication_id
    # In this run of its process it was told to follow somebody, and got something from there. Of one that follows
    # nobody that is known only where nothing is on disk when a node starts: it has stopped since.
    managed = sight.tier.spec.redis.managed if sight.tier.spec.redis is not None else None
    keeps = managed is None or managed.persistence is not Persistence.NONE
    return node.offset > 0 and node.primary_host is not None and (not keeps or node.primary_host != names.FENCE_HOST)


def waits_for(sight: Sight, failover: FailoverStatus, best: Seen) -> Seen | None:
    """A node that does not answer and may hold more than the best of those that do."""
    told = best.name == failover.to_node and failover.told_at is not None
    if told or best.is_primary or has_history(sight, failover, best):
        return None
    if sight.since(failover.started_at) >= OTHERS_SECONDS:
        return None
    return next((n for n in sight.nodes if n.node is None or n.node.loading), None)


def unaccounted(sight: Sight) -> str | None:
    """With no memory of any primary: the name of a node that may be one, or hold data, for all that is known. None:
    there is no such node."""
    managed = sight.tier.spec.redis.managed if sight.tier.spec.redis is not None else None
    keeps = managed is None or managed.storage is not None
    for seen in sight.nodes:
        if seen.node is not None and not seen.node.loading:
            continue
        gone = seen.view.ended or seen.view.address is None or (seen.refused and not heard(seen, sight.nodes))
        if gone and not keeps:
            continue
        return seen.name
    count = sight.observed.stateful_set.spec_replicas if sight.observed.stateful_set is not None else sight.wanted
    missing = [i for i in range(count) if i not in {n.ordinal for n in sight.nodes}]
    if keeps and missing:
        return f"{names.workload(sight.tier.name)}-{missing[0]}"
    return None
