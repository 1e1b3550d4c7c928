"""What people see of the pool while the demo plays, on a terminal and without one."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from hack.demo import looking, show
from hack.rig.cache_writes import Books as CacheBooks
from hack.rig.failovers import Course
from hack.rig.services import Service
from hack.rig.transactions import Books, Outcome
from tests.support import objects
from tests.unit.demo.fake_orders import DIED, PROMOTION, done, pool
from tests.unit.demo.fake_shelf import BOOKS, tier
from tests.unit.demo.fakes import RECORDS, FakeApi, FakeLoad

Json = dict[str, Any]


class FakeOrders:
    """A pool that is something else at each look."""

    name = "orders"

    def __init__(self, *looks: Json | None) -> None:
        self.course = Course()
        self.looks = list(looks)

    def object(self) -> Json | None:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def books(self) -> Books:
        return Books([done(-1), done(-2), done(1, Outcome.LOST)])

    def is_over(self) -> bool:
        return len(self.looks) == 1


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.0)


def seen(orders: FakeOrders, *, terminal: bool, seconds: float = 20.0) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120, color_system=None)
    show.watch_pool(console, orders, orders.is_over, seconds=seconds)  # type: ignore[arg-type]
    return file.getvalue()


def test_without_a_terminal_there_is_a_line_for_each_change() -> None:
    waiting = pool(reconnect={"phase": "Waiting", "cause": "the server was lost", "startedAt": objects.ago(2)})
    lines = seen(FakeOrders(None, None, waiting, waiting, pool(score=12), pool(score=13)), terminal=False).splitlines()
    assert [line[12:] for line in lines if line.strip()] == [
        "pool orders: the operator has not looked at it yet",
        "pool orders Waiting: the server was lost",
        "pool orders PoolReady: clients are served by 192.0.2.7, Primary",
    ]


def test_on_a_terminal_it_is_drawn_whole_with_the_clients_books() -> None:
    said = seen(FakeOrders(None, pool()), terminal=True)
    assert "orders  in sophia-demo, ReadWrite, shop at pg.sophia-demo.svc:5432" in said
    assert "192.0.2.7, Primary" in said
    assert "clients of the pool: 2 transactions committed, 1 failed" in said


@pytest.mark.parametrize("terminal", [True, False])
def test_each_step_of_a_failover_is_told_once(terminal: bool) -> None:
    orders = FakeOrders(pool(), pool(), pool())
    orders.course = Course("pg-0", DIED, DIED + 0.5, PROMOTION)
    said = seen(orders, terminal=terminal)
    for step in ("pg-0, the primary, is killed", "the pool noticed, after 0.5 s", "pg-1, the standby, was promoted"):
        assert said.count(step) == 1


def test_steps_that_are_not_reached_are_not_told() -> None:
    assert show.steps_of(Course("pg-0")) == []
    assert len(show.steps_of(Course("pg-0", DIED))) == 1


def test_a_pool_that_is_never_over_is_told_with_how_it_is() -> None:
    wrong = pool(objects.condition("Ready", "False", "WrongRole", "no writes"))
    with pytest.raises(TimeoutError, match="orders took longer than -1 s: pool orders WrongRole: no writes"):
        seen(FakeOrders(wrong, pool()), terminal=False, seconds=-1.0)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_pool_stands_beside_a_rollout(terminal: bool) -> None:
    api, file = FakeApi(), io.StringIO()
    api.revisions = 2
    service = Service(api, "shop", "sophia-demo")  # type: ignore[arg-type]
    console = Console(file=file, force_terminal=terminal, width=120, color_system=None)
    load, orders = FakeLoad(RECORDS), FakeOrders(pool())
    show.watch(console, service, load, orders, lambda _: True, seconds=1.0)  # type: ignore[arg-type]
    said = file.getvalue()
    assert "pool orders PoolReady: clients are served by 192.0.2.7, Primary" in said
    assert ("clients of the pool: 2 transactions committed" in said) is terminal


class FakeShelf:
    """A cache that is something else at each look."""

    name = "hot"

    def __init__(self, *looks: Json | None, steps: list[tuple[float, str]] | None = None) -> None:
        self.looks = list(looks)
        self.done = steps or []

    def object(self) -> Json | None:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def books(self) -> CacheBooks | None:
        return BOOKS

    def steps(self) -> list[tuple[float, str]]:
        return self.done

    def is_over(self) -> bool:
        return len(self.looks) == 1


def cache_seen(shelf: FakeShelf, *, terminal: bool, seconds: float = 20.0) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120, color_system=None)
    show.watch_cache(console, shelf, shelf.is_over, seconds=seconds)  # type: ignore[arg-type]
    return file.getvalue()


def flushing(deleted: int, **status: Any) -> Json:
    flush = {"name": "old-pages", "what": "namespace pages", "phase": "Running", "deleted": deleted}
    return tier(flush={**flush, "keysPerSecond": 1000, "startedAt": objects.ago(3), **status})


def test_the_cache_has_a_line_for_each_change() -> None:
    cause = "the pod of hot-cache-0 is on its way out"
    switching = tier(failover={"phase": "Switching", "cause": cause, "planned": True, "startedAt": objects.ago(1)})
    busy = flushing(900, phase="Paused", keysPerSecond=0, message="paused: the origin is at 90 %")
    shelf = FakeShelf(None, None, switching, tier(), flushing(500), flushing(500), busy, tier())
    lines = cache_seen(shelf, terminal=False).splitlines()
    assert [line[12:] for line in lines if line.strip()] == [
        "cache hot: the operator has not looked at it yet",
        "cache hot Switching: the pod of hot-cache-0 is on its way out",
        "cache hot TierReady: clients are served by hot-cache-1, 2/2 nodes ready",
        "flush running: 500 of 4000 keys gone, at 1000 keys a second",
        "flush paused: 900 of 4000 keys gone, at 0 keys a second: paused: the origin is at 90 %",
    ]


def test_on_a_terminal_the_cache_is_drawn_whole_with_the_writers_books() -> None:
    said = cache_seen(FakeShelf(None, tier(), flushing(500), tier()), terminal=True)
    assert "hot  in sophia-demo, level Redis" in said
    assert "namespace pages" in said
    assert "writes to the cache: 1000 acknowledged, 3 refused" in said


def test_each_step_is_told_once() -> None:
    said = cache_seen(FakeShelf(tier(), tier(), steps=[(DIED, "it is evicted")]), terminal=False)
    assert said.count("it is evicted") == 1


def test_a_cache_that_is_never_over_is_told_with_how_it_is() -> None:
    wrong = tier(objects.condition("Ready", "False", "NoPrimary", "no node is the primary yet"))
    with pytest.raises(TimeoutError, match="hot took longer than -1 s: cache hot NoPrimary: no node is the primary"):
        cache_seen(FakeShelf(wrong, tier()), terminal=False, seconds=-1.0)
