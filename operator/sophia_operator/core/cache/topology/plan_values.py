"""What a plan of the topology says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sophia_operator.api.cache_tier_status import FailoverStatus, PastFailover
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.decision import NodeToDelete
from sophia_operator.core.cache.findings import NodeCommand
from sophia_operator.core.decision import Notice


@dataclass(frozen=True, slots=True)
class TopologyPlan:
    """What the status is to say, and what is to be done once it does. Commands to one node are given in order, and
    those after one that failed are not given."""

    primary: str | None
    primary_run_id: str | None
    #: For the status, all three: `guarded` is to be written before the commands are given.
    guarded: bool
    scale: int | None
    failover: FailoverStatus | None = None
    past: PastFailover | None = None
    commands: tuple[NodeCommand, ...] = ()
    labels: Mapping[str, str | None] = field(default_factory=dict)
    delete: tuple[NodeToDelete, ...] = ()
    notices: tuple[Notice, ...] = ()
    #: When to look again; None: when something changes.
    wait: float | None = None
    #: What it waits for, or what is wrong.
    reason: tuple[Reason, str] | None = None
