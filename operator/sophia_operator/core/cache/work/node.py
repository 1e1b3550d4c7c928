"""Which node keys are worked on, and whether they can be now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache.findings import Node
from sophia_operator.core.cache.views import TierObserved, TierView


@dataclass(frozen=True, slots=True)
class Sight:
    """What planners of work look at."""

    tier: TierView
    observed: TierObserved
    #: The primary; None while there is none that can be worked on.
    node: Node | None
    now: datetime
    #: Of a PostgreSQL level, the table, once it can be worked on.
    table: str | None = None

    @property
    def run(self) -> str | None:
        """What a cursor is of: a run of the primary, or the table."""
        return self.table if self.node is None else self.node.run_id


def sight(tier: TierView, observed: TierObserved, now: datetime) -> Sight:
    """Of this pass."""
    return Sight(tier, observed, primary(tier, observed), now)


def primary(tier: TierView, observed: TierObserved) -> Node | None:
    """The primary, when it can be worked on: it said that it is one when it was looked at, and keeps being one."""
    name = tier.status.primary
    view = next((n for n in observed.nodes if n.name == name), None)
    finding = None if name is None else observed.kept.nodes.get(name)
    if view is None or view.terminating or finding is None or finding.uid != view.uid:
        return None
    if observed.access is None or tier.status.failover is not None or not isinstance(finding.answer, Node):
        return None
    node = finding.answer
    return node if node.role is NodeRole.PRIMARY and not node.loading else None
