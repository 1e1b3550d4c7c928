"""What is seen of a tier, picked out: which nodes count, and what is known of each."""

from __future__ import annotations

from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache.faults import CacheFailure
from sophia_operator.core.cache.findings import Node, NodeFinding
from sophia_operator.core.cache.table import Table
from sophia_operator.core.cache.views import NodeView, TierObserved, TierView


def wanted_nodes(tier: TierView) -> int:
    """Nodes that the spec asks for; an adopted Redis is one."""
    redis = tier.spec.redis
    if redis is None:
        return 0
    return redis.managed.replicas + 1 if redis.managed is not None else 1


def reachable(observed: TierObserved) -> tuple[NodeView, ...]:
    """Nodes that can be looked at."""
    return tuple(n for n in observed.nodes if n.address is not None)


def staying(observed: TierObserved) -> tuple[NodeView, ...]:
    """Nodes that are not on their way out."""
    return tuple(n for n in observed.nodes if not n.terminating)


def finding_of(observed: TierObserved, view: NodeView) -> NodeFinding | None:
    """What was found at this very pod; of another pod of the same name nothing counts."""
    found = observed.kept.nodes.get(view.name)
    return found if found is not None and found.uid == view.uid else None


def node_of(observed: TierObserved, view: NodeView) -> Node | None:
    """What it said when it was last looked at; None when it did not answer."""
    found = finding_of(observed, view)
    return found.answer if found is not None and isinstance(found.answer, Node) else None


def failure_of(observed: TierObserved, view: NodeView) -> CacheFailure | None:
    """Why it did not answer when it was last looked at."""
    found = finding_of(observed, view)
    return found.answer if found is not None and isinstance(found.answer, CacheFailure) else None


def view_of(observed: TierObserved, name: str | None) -> NodeView | None:
    """The node of that name."""
    return next((n for n in observed.nodes if n.name == name), None)


def primary_of(observed: TierObserved, name: str | None) -> Node | None:
    """What the node of that name said, when it said that it is a primary."""
    view = view_of(observed, name)
    node = node_of(observed, view) if view is not None else None
    return node if node is not None and node.role is NodeRole.PRIMARY else None


def is_synced(observed: TierObserved, view: NodeView, primary: str | None) -> bool | None:
    """Of a replica: whether it has all that the primary has, as both say; None while that is not known."""
    node, head, leader = node_of(observed, view), primary_of(observed, primary), view_of(observed, primary)
    if node is None or node.role is not NodeRole.REPLICA:
        return None
    if not node.link_up or node.loading:
        return False
    if head is None or leader is None:
        return None
    follows = node.primary_host == leader.address
    return follows and any(link.online and link.address == view.address for link in head.replicas)


def table_of(observed: TierObserved) -> Table | None:
    """The table, when it answered the newest look."""
    found = observed.kept.table
    return found.answer if found is not None and isinstance(found.answer, Table) else None


def table_failure_of(observed: TierObserved) -> CacheFailure | None:
    """Why it did not answer."""
    found = observed.kept.table
    return found.answer if found is not None and isinstance(found.answer, CacheFailure) else None
