"""Which node of a Redis level is the primary, and how that changes. See docs/design/cache-tier.md."""

from sophia_operator.core.cache.topology.plan import TopologyPlan, plan_topology

__all__ = ["TopologyPlan", "plan_topology"]
