"""What the demo measured of the pool: what became of its clients' transactions, and how long a failover kept them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hack.rig.api import Json
from hack.rig.failovers import Course, Failover
from hack.rig.pools import condition_of
from hack.rig.transactions import Books, Key, Record

#: The standby may not have had yet what the primary committed just before it died: it copies without being waited for.
_UNCOPIED_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Losses:
    """What clients lost, apart for the failover: nobody can finish a transaction on a server that died in it."""

    #: Transactions that failed once they had begun, that were committed and are gone, and refused connections.
    outside: int = 0
    #: Transactions that the death of the primary cost: those in flight, and those that the standby did not have yet.
    in_failover: int = 0
    refused_in_failover: int = 0
    #: What clients were told about those outside the failover, and how often.
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """The failover, in seconds since the epoch: from the crash until all was verified; None: that never was."""

    begin: float
    end: float | None

    @classmethod
    def of(cls, course: Course, failover: Failover | None) -> Span | None:
        """When it was; None when the primary did not die."""
        if course.died_at is None:
            return None
        if failover is None or course.promotion is None:
            return cls(course.died_at, None)
        return cls(course.died_at, course.promotion.promoted_at + max(failover.first_write, failover.verified))

    def has(self, record: Record, *, before: float = 0.0) -> bool:
        """Whether some of it was in the failover, or in so many seconds before."""
        return record.ended >= self.begin - before and (self.end is None or record.started <= self.end)


def losses(books: Books, rows: Collection[Key] | None, span: Span | None) -> Losses:
    """Who lost what. `rows` are those in the database at the end, None when nobody could look."""
    gone = set() if rows is None else set(books.missing(rows))
    missing = [record for record in books.records if record.key in gone]
    failed = {True: 0, False: 0}
    refused = {True: 0, False: 0}
    for record in books.lost:
        failed[span is not None and span.has(record)] += 1
    for record in missing:
        failed[span is not None and span.has(record, before=_UNCOPIED_SECONDS)] += 1
    for record in books.refused:
        refused[span is not None and span.has(record)] += 1
    return Losses(failed[False] + refused[False], failed[True], refused[True], _reasons(books, missing, span))


def _reasons(books: Books, missing: list[Record], span: Span | None) -> dict[str, int]:
    outside = [record for record in (*books.lost, *books.refused) if span is None or not span.has(record)]
    words = Counter(f"{record.outcome}: {record.error}" for record in outside)
    vanished = sum(span is None or not span.has(record, before=_UNCOPIED_SECONDS) for record in missing)
    return dict(words) | ({"committed, and gone": vanished} if vanished else {})


@dataclass(frozen=True)
class PoolFigures:
    """The figures of the pool. None stands for what was not measured; `skipped` says why nobody used the pool."""

    ready: bool = False
    #: What its condition Ready says.
    state: str = "it was not looked at"
    score: int | None = None
    committed: int | None = None
    losses: Losses | None = None
    failover: Failover | None = None
    skipped: str | None = None

    @classmethod
    def of(
        cls,
        pool: Json | None,
        *,
        books: Books | None,
        rows: Collection[Key] | None,
        course: Course,
        failover: Failover | None,
        skipped: str | None,
    ) -> PoolFigures:
        """Judge the pool as it is now, None when it is not there, and its clients' books, None when there were none."""
        ready = condition_of(pool or {}, "Ready") or {}
        return cls(
            ready=ready.get("status") == "True",
            state=f"{ready['reason']}: {ready['message']}" if ready else "the operator has not looked at it",
            score=((pool or {}).get("status") or {}).get("score"),
            committed=None if books is None else books.committed,
            losses=None if books is None else losses(books, rows, Span.of(course, failover)),
            failover=failover,
            skipped=skipped,
        )

    @property
    def is_good(self) -> bool:
        """Whether all was as it should be, as far as this machine can see."""
        if self.skipped is not None:
            return self.ready
        nothing_lost = bool(self.committed) and self.losses is not None and self.losses.outside == 0
        return self.ready and nothing_lost and self.failover is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        lost, failover = self.losses, self.failover
        return {
            "committed": self.committed,
            "lost": lost and lost.outside,
            "lostInFailover": lost and lost.in_failover,
            "refusedInFailover": lost and lost.refused_in_failover,
            "noticedSeconds": failover and failover.noticed,
            "firstWriteSeconds": failover and failover.first_write,
            "verifiedSeconds": failover and failover.verified,
            "score": self.score,
            "ready": self.ready,
            "skipped": self.skipped,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Rows of the table at the end, for people."""
        lost, failover = self.losses, self.failover
        score = "-" if self.score is None else f"{self.score} of 100"
        out = [("the pool at the end", self.state), ("its score", score)]
        if self.skipped is not None:
            out.append(("its clients and the failover", f"left out: {self.skipped}"))
        if lost is not None:
            out += [
                ("transactions committed through the pool", str(self.committed)),
                ("transactions lost outside the failover", str(lost.outside)),
                ("transactions lost with the primary that died", str(lost.in_failover)),
                ("connections refused during the failover", str(lost.refused_in_failover)),
            ]
        if self.skipped is None:
            times = (failover.noticed, failover.first_write, failover.verified) if failover else (None,) * 3
            words = (
                "from the primary's death until the pool noticed",
                "from the promotion to the first write through every instance",
                "from the promotion until every instance was verified",
            )
            out += [(name, "-" if it is None else f"{it:.1f} s") for name, it in zip(words, times, strict=True)]
        if lost is not None:
            out += [(f"LOST: {reason}", str(number)) for reason, number in lost.reasons.items()]
        return out
