"""One failover under a pool, from the crash of the primary to the first write through every instance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hack.demo.figures import seconds_of
from hack.rig.api import Json
from hack.rig.databases import Promotion
from hack.rig.first_writes import CREATE, FirstWrites
from hack.rig.pools import Pool

_NOTICE_SECONDS: Final = 20.0
_WRITE_SECONDS: Final = 60.0


@dataclass
class Course:
    """How far a failover has come, for who looks on or sees it fail. Times are seconds since the epoch."""

    #: Pod of the primary that is killed.
    old: str = ""
    died_at: float | None = None
    #: When the pool had begun to reconnect, as its status says.
    noticed_at: float | None = None
    promotion: Promotion | None = None


@dataclass(frozen=True)
class Failover:
    """How long it took, in seconds. The pool's own times are those of its status."""

    #: From the crash until the pool had begun to reconnect.
    noticed: float
    #: From the promotion until the Service was told to lead to the new primary: no pool could know it before.
    moved: float
    #: From the promotion to the first write by a client, by instance.
    writes: Mapping[str, float]
    #: From the promotion until the pool had verified every instance by itself.
    verified: float
    attempts: int
    cause: str

    @property
    def first_write(self) -> float:
        """From the promotion until a client had written through every instance."""
        return max(self.writes.values())


def prepare(pool: Pool) -> None:
    """Make the table that is written to, as the pool's user; it reaches the standby with the rest."""
    with pool.connect() as connection:
        connection.execute(CREATE)


def fail_over(pool: Pool, course: Course | None = None) -> tuple[Failover, Promotion]:
    """Kill the primary, promote the standby once the pool says that it reconnects, and see what comes through.

    The pool must be Ready, and `prepare` have been called. `course` is filled in meanwhile. Raises TimeoutError, which
    says what did not come.
    """
    course = course or Course()
    database = pool.database
    old, new = database.primary(), database.standby()
    database.wait_replayed(new)
    ways = {name: pool.conninfo(address) for name, address in pool.addresses().items()}
    with FirstWrites(ways, database.address(new)) as writes:
        course.old, course.died_at = old, time.time()
        died = course.died_at = database.kill(old)
        begun = pool.wait("to begin a reconnect", under_way, seconds=_NOTICE_SECONDS)
        course.noticed_at = seconds_of(begun["startedAt"])
        promotion = course.promotion = database.promote(new)
        first = writes.wait(_WRITE_SECONDS)
    past = pool.wait_reconnected(promotion.promoted_at, seconds=_WRITE_SECONDS)
    return split(died, begun, promotion, first, past), promotion


def under_way(found: Json) -> Json | None:
    """The reconnect that is under way."""
    status = found.get("status") or {}
    reconnect: Json | None = status.get("reconnect")
    return reconnect


def split(
    died: float,
    begun: Mapping[str, Any],
    promotion: Promotion,
    first: Mapping[str, float],
    past: Mapping[str, Any],
) -> Failover:
    """The parts, from times since the epoch and from what the pool's status said while it went on and at its end."""
    return Failover(
        noticed=round(seconds_of(begun["startedAt"]) - died, 3),
        moved=round(promotion.moved_at - promotion.promoted_at, 3),
        writes={way: round(at - promotion.promoted_at, 3) for way, at in first.items()},
        verified=round(seconds_of(past["endedAt"]) - promotion.promoted_at, 3),
        attempts=int(past["attempts"]),
        cause=str(past["cause"]),
    )
