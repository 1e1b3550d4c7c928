"""What becomes of the primary in a pass, before anything else follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sophia_operator.api.cache_tier_status import FailoverStatus, PastFailover
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import NodeCommand
from sophia_operator.core.cache.topology.sight import Seen, Sight
from sophia_operator.core.decision import Notice


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who is the primary, which change of it is under way, and what is to be done about that."""

    primary: str | None
    run_id: str | None
    guarded: bool
    failover: FailoverStatus | None
    past: PastFailover | None = None
    commands: tuple[NodeCommand, ...] = ()
    notices: tuple[Notice, ...] = ()
    wait: float | None = None
    reason: tuple[Reason, str] | None = None

    def with_notice(self, notice: Notice) -> Outcome:
        return replace(self, notices=(*self.notices, notice))

    def with_past(self, past: PastFailover, notice: Notice) -> Outcome:
        return replace(self, past=past, notices=(*self.notices, notice))


def settled(sight: Sight, primary: Seen) -> Outcome:
    """That node is the primary, and nothing is under way. Of a new primary it is known that it is guarded when it says
    so; of the one in the status the planner of guards says."""
    assert primary.node is not None
    same = primary.node.run_id == sight.status.primary_run_id and sight.status.failover is None
    guarded = (sight.status.guarded or not same) and (primary.min_replicas or 0) >= 1
    return Outcome(primary.name, primary.node.run_id, guarded, None)


def held(sight: Sight, reason: Reason, message: str, wait: float | None) -> Outcome:
    """Nothing is changed."""
    status = sight.status
    return Outcome(
        status.primary, status.primary_run_id, status.guarded, status.failover, wait=wait, reason=(reason, message)
    )
