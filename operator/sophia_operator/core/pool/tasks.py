"""What acts do at the server of a pool: what is asked, and answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from sophia_operator.core.pool.findings import Failure

#: All tables together get so long, and a lock is waited for so long.
ANALYZE_SECONDS: Final = 60.0
ANALYZE_LOCK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class CancelTask:
    """Ends one statement, or a session between two statements; nothing when it is another one by now."""

    #: Uid of the act that it is done for.
    act: str
    pid: int
    started_at: datetime
    since: datetime
    #: Whether the session is between two statements, and is ended with its transaction.
    idle: bool = False

    @property
    def command(self) -> str:
        """As people read it."""
        return f"pg_{'terminate' if self.idle else 'cancel'}_backend({self.pid})"


class Cancelled(StrEnum):
    """What came of it."""

    TOLD = "Told"  # it was there, and was told to end
    GONE = "Gone"  # it is not there any more
    FORBIDDEN = "Forbidden"  # the pool's user may not


@dataclass(frozen=True, slots=True)
class CancelResult:
    """What came of the newest try, and when."""

    at: datetime
    answer: Cancelled | Failure
    #: Whether this try, or one before it, told it to end.
    told: bool = False


@dataclass(frozen=True, slots=True)
class AnalyzeTask:
    """Collects statistics of tables anew. Done once."""

    act: str
    #: One table, with its schema or without; None: all that the user may analyze.
    table: str | None = None
    seconds: float = ANALYZE_SECONDS


@dataclass(frozen=True, slots=True)
class Analyzed:
    """What came of it."""

    #: Tables as SQL names them, in the order in which they were done.
    tables: tuple[str, ...] = ()
    #: Why others were left out, by table.
    left: tuple[str, ...] = ()
    #: How many there was no time for.
    late: int = 0
    #: Why nothing can be done at all, and what to do.
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class AnalyzeFinding:
    """An ANALYZE that this process began. `answer` is None while it is under way."""

    at: datetime
    answer: Analyzed | Failure | None = None


ServerTask = CancelTask | AnalyzeTask


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of tasks at the server, by the uid of their act. A restart of the operator forgets it."""

    cancels: Mapping[str, CancelResult] = field(default_factory=dict)
    analyses: Mapping[str, AnalyzeFinding] = field(default_factory=dict)
