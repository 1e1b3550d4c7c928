"""A database whose failover is over at once, a pool that is as the test says, and clients whose books are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pytest

from hack.demo import orders, ways
from hack.rig import databases, failovers, pools
from hack.rig.databases import Promotion
from hack.rig.failovers import Course, Failover
from hack.rig.transactions import Books, Key, Outcome, Record
from tests.support import objects

Json = dict[str, Any]
#: Epoch seconds at which the primary dies; the failover is over five seconds later.
DIED: Final = objects.NOW.timestamp()
OVER: Final = DIED + 5.0
#: After every moment at which a test runs.
_LATER: Final = 10_000_000_000.0
FAILOVER: Final = Failover(0.5, 0.1, {"orders-a": 1.0, "orders-b": 1.5}, 2.5, 1, "the server was lost")
PROMOTION: Final = Promotion("pg-1", "192.0.2.7", DIED + 2.4, DIED + 2.5, DIED + 2.6)


def done(at: float, outcome: Outcome = Outcome.COMMITTED, *, client: int = 0, error: str = "") -> Record:
    """A transaction that took a tenth of a second and ended so many seconds after the primary died."""
    ended = DIED + at
    return Record(client, round(at * 1000), ended - 0.1, ended, outcome, error)


def pool(*conditions: Json, **status: Any) -> Json:
    """The ConnectionPool `orders`, as the rig applies it, and what the operator says of it."""
    made = pools.pool("orders", databases.Database(None, "sophia-demo"))  # type: ignore[arg-type]
    made["metadata"]["generation"] = 1
    made["status"] = {
        "observedGeneration": 1,
        "score": 97,
        "server": {"address": "192.0.2.7", "role": "Primary"},
        "conditions": list(conditions) or [objects.condition("Ready", "True", "PoolReady", "clients are served")],
        **status,
    }
    return made


#: Two of each client, before the failover.
RECORDS: Final = tuple(done(-20 + at, client=at % 10) for at in range(20))


class FakeRig:
    """What the demo asks of the database, the pool and the clients. `api` holds what is said of the pool."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.pool: Json = pool()
        self.records: Sequence[Record] = RECORDS
        #: Rows that are not there at the end, though they were committed.
        self.gone: set[Key] = set()
        self.done: list[str] = []
        self.coming: Callable[[], object] = lambda: None
        self.failing: Callable[[], object] = lambda: None
        self.no_pods: str | None = None
        self.no_service: str | None = None

    # -- The database and the pool ------------------------------------------------------------------------------------

    def up(self) -> None:
        self.done.append("database up")
        self.coming()

    def start(self) -> None:
        self.done.append("standby up")

    def apply(self) -> None:
        self.done.append("apply")
        self.api.pool = self.pool

    def wait_ready(self, *, seconds: float) -> None:
        assert seconds > 0
        self.done.append("ready")

    def service_address(self) -> str:
        return "192.0.2.9"

    def conninfo(self) -> str:
        return "host=192.0.2.9"

    @contextmanager
    def connect(self) -> Iterator[FakeRig]:
        yield self

    def execute(self, _statement: bytes) -> None:
        """What the fault that heals itself is prepared with."""

    def fail_over(self, _pool: object, course: Course) -> tuple[Failover, Promotion]:
        self.done.append("fail over")
        course.old, course.died_at = "pg-0", DIED
        self.failing()
        course.noticed_at, course.promotion = DIED + 0.5, PROMOTION
        return FAILOVER, PROMOTION

    # -- The clients --------------------------------------------------------------------------------------------------

    def books(self) -> Books:
        again = [Record(n, 0, _LATER, _LATER + 0.1, Outcome.COMMITTED) for n in range(orders.CLIENTS)]
        return Books([*self.records, *(again if "fail over" in self.done else ())])

    def ask_to_stop(self) -> None:
        self.done.append("ask clients to stop")

    def stop(self) -> None:
        self.done.append("stop clients")

    def rows(self, _connection: object) -> list[Key]:
        return [record.key for record in self.books().records if record.key not in self.gone]

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put it in the place of the real ones."""

        def database(*_: object, reachable: bool) -> FakeRig:
            self.done.append("reachable" if reachable else "not reachable")
            return self

        patch.setattr(orders, "Database", database)
        patch.setattr(orders, "Pool", lambda *_: self)
        patch.setattr(orders, "Transactions", FakeClients(self))
        patch.setattr(orders, "prepare", lambda _connection: self.done.append("table"))
        patch.setattr(orders, "rows_of", self.rows)
        patch.setattr(failovers, "prepare", lambda _pool: None)
        patch.setattr(failovers, "fail_over", self.fail_over)
        patch.setattr(ways, "why_no_pods", lambda _api: self.no_pods)
        patch.setattr(ways, "why_no_service", lambda *_: self.no_service)


class FakeClients:
    """The clients of a rig. They start once."""

    def __init__(self, rig: FakeRig) -> None:
        self._rig = rig

    def __call__(self, conninfo: str, **_: float) -> FakeClients:
        assert conninfo == self._rig.conninfo()
        return self

    def start(self) -> None:
        self._rig.done.append("start clients")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rig, name)
