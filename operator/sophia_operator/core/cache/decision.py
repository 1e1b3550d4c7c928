"""What a pass over a CacheTier decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.core.cache.findings import NodeCommand, Task
from sophia_operator.core.decision import Done, Next, Notice


@dataclass(frozen=True, slots=True)
class NodeToDelete:
    """A pod that is to be made anew."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class TierDecision:
    """The status is persisted before any command is given, any pod is touched, any task is begun, and before
    anything is rendered from it."""

    status: CacheTierStatus
    commands: tuple[NodeCommand, ...] = ()
    #: Value of the role label for each pod whose label is to change; None takes it away. Done after the commands,
    #: but labels that are taken away before them.
    labels: Mapping[str, str | None] = field(default_factory=dict)
    delete: tuple[NodeToDelete, ...] = ()
    #: Parts of work to begin, by kind as in Kept.tasks; one that is under way is not begun again.
    tasks: Mapping[str, Task] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    next: Next = field(default_factory=Done)
