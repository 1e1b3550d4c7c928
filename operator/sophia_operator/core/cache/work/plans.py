"""What the planners of work decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sophia_operator.api.cache_tier_status import FlushStatus, NamespaceStatus, WarmUpStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import Task
from sophia_operator.core.decision import Notice

#: Of Kept.tasks.
SCAN: Final = "scan"
FLUSH: Final = "flush"
WARM: Final = "warm:"
#: A part takes about so long: a stop, a pause and a new primary are heeded after that at the latest.
PART_SECONDS: Final = 1.0

#: A reason for a condition, and a message.
Why = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class WorkPlan:
    """The next parts of work, and what the status says of it from now on. The status is written before they begin."""

    namespaces: tuple[NamespaceStatus, ...]
    #: Generation that a namespace begins with when it is added.
    first_generation: int
    flush: FlushStatus | None
    flushes: tuple[FlushStatus, ...]
    warm_ups: tuple[WarmUpStatus, ...]
    scanned_at: datetime | None
    keys: int | None
    unclaimed_keys: int | None
    tasks: Mapping[str, Task] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    #: Seconds until the planner wants to be asked again; None: nothing to wait for but findings and changes.
    wait: float | None = None
    #: Why a flush, and a warm-up, is under way, held, refused or failed; None while there is nothing to say.
    flush_why: Why | None = None
    warm_why: Why | None = None
    #: Why there is no scan, or none to the end.
    scan_why: Why | None = None
    #: Why a namespace is above its quota and stays so, by its name.
    quota_why: Mapping[str, str] = field(default_factory=dict)


def soonest(*waits: float | None) -> float | None:
    """The shortest of those that are waits at all."""
    return min((w for w in waits if w is not None), default=None)
