"""What sessions of the pool's database do for long.

A session is told from every other one by its process and by when it began; its statement by when that began.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

#: What takes less is calm: nobody is told of it.
LONG_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Session:
    """A client's session that runs a statement for long, or that others wait for."""

    pid: int
    username: str
    #: None when it cannot be seen, or for a local connection.
    address: str | None
    started_at: datetime
    #: When its statement began; of one that is idle, its last statement.
    since: datetime
    #: Between two statements: as in a transaction that somebody left open.
    idle: bool
    #: Whether it waits for a lock itself.
    waits: bool
    #: How many others wait for it, by themselves or through others.
    blocks: int
    #: The statement without values and comments.
    text: str
    #: Of pg_stat_statements, or a hash of the text without values.
    query_id: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """A session that others wait for, and of which the pool's user may see nothing else."""

    #: 0 for a prepared transaction, which has no session.
    pid: int
    #: None when it is not at this database.
    username: str | None
    blocks: int


@dataclass(frozen=True, slots=True)
class Activity:
    """What runs for long, or is waited for, in the pool's database."""

    sessions: tuple[Session, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    #: How many sessions of other users there are whose statements the pool's user may not see.
    hidden: int = 0
    #: Why nothing can be told, in the server's words.
    missing: str | None = None
