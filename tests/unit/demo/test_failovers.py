"""A failover tells who looks on how far it is, and a database comes up also where nobody can speak to it."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

import pytest

from hack.rig import failovers
from hack.rig.databases import Database, Promotion
from hack.rig.failovers import Course, Failover, fail_over
from hack.rig.transactions import Transactions
from hack.rig.waiting import until
from tests.support import objects

PROMOTION = Promotion("pg-1", "192.0.2.7", 0.0, objects.NOW.timestamp(), objects.NOW.timestamp())
DIED = objects.NOW.timestamp() - 2.0


class FakeServers:
    """A primary and a standby, and the pool in front of them. `stuck`: the pool notices nothing."""

    def __init__(self, course: Course, *, stuck: bool = False) -> None:
        self.database = self
        self._course = course
        self._stuck = stuck
        self.seen: list[Course] = []

    def primary(self) -> str:
        return "pg-0"

    def standby(self) -> str:
        return "pg-1"

    def wait_replayed(self, standby: str) -> None:
        assert standby == "pg-1"

    def addresses(self) -> dict[str, str]:
        return {"orders-a": "192.0.2.1"}

    def address(self, _pod: str) -> str:
        return PROMOTION.address

    def conninfo(self, address: str) -> str:
        return f"host={address}"

    def kill(self, pod: str) -> float:
        assert pod == "pg-0"
        assert self._course.died_at is not None  # what is lost from now on is the failover's
        return DIED

    def wait(self, what: str, _look: Any, *, seconds: float) -> dict[str, Any]:
        assert (self._course.died_at, self._course.noticed_at) == (DIED, None)
        if self._stuck:
            raise TimeoutError(f"waited {seconds:.0f} s for orders {what}")
        return {"startedAt": objects.ago(1)}

    def promote(self, pod: str) -> Promotion:
        assert pod == "pg-1"
        assert (self._course.noticed_at, self._course.promotion) == (DIED + 1.0, None)
        return PROMOTION

    def wait_reconnected(self, _since: float, *, seconds: float) -> dict[str, Any]:
        assert seconds > 0
        return {"endedAt": objects.ago(-3), "attempts": 1, "cause": "lost"}


class FakeWrites:
    """Every write came through a second after the promotion."""

    def __init__(self, ways: dict[str, str], _address: str) -> None:
        self._ways = ways

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def wait(self, _seconds: float) -> dict[str, float]:
        return dict.fromkeys(self._ways, PROMOTION.promoted_at + 1.0)


@pytest.fixture(autouse=True)
def _writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failovers, "FirstWrites", FakeWrites)


def test_its_course_is_told_while_it_goes_on() -> None:
    course = Course()
    found, promotion = fail_over(FakeServers(course), course)  # type: ignore[arg-type]
    assert found == Failover(1.0, 0.0, {"orders-a": 1.0}, 3.0, 1, "lost")
    assert promotion == PROMOTION
    assert course == Course("pg-0", DIED, DIED + 1.0, PROMOTION)


def test_what_was_reached_is_known_when_it_fails() -> None:
    course = Course()
    with pytest.raises(TimeoutError, match="to begin a reconnect"):
        fail_over(FakeServers(course, stuck=True), course)  # type: ignore[arg-type]
    assert course == Course("pg-0", DIED)


class ReadyPods:
    """An API server on which every pod is ready, at an address where nobody answers."""

    def get(self, _kind: str, _namespace: str, _name: str) -> dict[str, Any]:
        return {"status": {"podIP": "192.0.2.1", "conditions": [{"type": "Ready", "status": "True"}]}}

    def apply(self, obj: dict[str, Any]) -> dict[str, Any]:
        return obj

    def until(self, what: str, look: Any, *, seconds: float) -> Any:
        return until(what, look, seconds=min(seconds, 1.0), every=0.01)


def test_a_server_that_nobody_here_can_speak_to_is_up_when_its_pod_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Database, "query", lambda *_: pytest.fail("somebody tried to connect"))
    database = Database(ReadyPods(), "demo", reachable=False)  # type: ignore[arg-type]
    assert [database.start("primary"), database.start()] == ["pg-0", "pg-1"]


def test_clients_that_are_asked_to_stop_end_by_themselves() -> None:
    clients = Transactions("host=127.0.0.1 port=1", clients=1)
    clients.start()
    until("an attempt", lambda: bool(clients.books().refused), seconds=10, every=0.01)
    began = time.monotonic()
    clients.ask_to_stop()
    assert time.monotonic() - began < 1
    until("the end", lambda: "transactions" not in {t.name for t in threading.enumerate()}, seconds=10, every=0.01)
