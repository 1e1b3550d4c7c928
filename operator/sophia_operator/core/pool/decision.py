"""What a pass over a ConnectionPool decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.decision import Done, Next, Notice
from sophia_operator.core.pool.findings import Command
from sophia_operator.core.pool.tasks import ServerTask


@dataclass(frozen=True, slots=True)
class PoolDecision:
    """The status is persisted before any command or task is carried out, and before anything is rendered from it."""

    status: ConnectionPoolStatus
    commands: tuple[Command, ...] = ()
    #: What acts do at the server.
    tasks: tuple[ServerTask, ...] = ()
    notices: tuple[Notice, ...] = ()
    next: Next = field(default_factory=Done)
