"""Sizes that follow clients, with exact times."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.connection_pool_status import AutosizeStatus, PauseStatus, ReconnectPhase, ReconnectStatus
from sophia_operator.core.pool.autosize import resize
from sophia_operator.core.pool.shares import share
from tests.support.pool_scene import NAMES, at, console, failure, look, looks, observed, pool, server, spec

WISH = spec(size={"min": 4, "max": 40})


def sized(size: int, **changes: Any) -> AutosizeStatus:
    return AutosizeStatus(size=size, **changes)


def decide(
    before: AutosizeStatus | None, seconds: float, used: int, wish: Any = WISH, ceiling: int = 100, **of: Any
) -> AutosizeStatus:
    """`used` connections of each instance are in use."""
    size = before.size if before is not None else wish.size.min
    shown = {"pool_size": share(wish, size).size, "servers_active": used, **of.pop("shown", {})}
    seen = observed(of.pop("server", server()), of.pop("marks", looks(seconds, console=console(**shown))))
    view = pool(wish, autosize=before, size=size, **of)
    return resize(view, seen, ceiling, at(seconds))


def test_a_pool_begins_at_its_least_size() -> None:
    assert decide(None, 0, 0) == sized(4)
    assert decide(None, 0, 0, ceiling=2) == sized(2)
    assert decide(None, 0, 0, spec(autosize={"enabled": False})) == sized(20)
    assert decide(None, 0, 0, spec(autosize={"enabled": False}), ceiling=12) == sized(12)


@pytest.mark.parametrize(
    ("used", "waiting", "high"),
    [(7, 0, False), (8, 0, True), (10, 0, True), (0, 1, True), (6, 0, False)],
)
def test_what_clients_need_more_for(used: int, waiting: int, high: bool) -> None:
    state = decide(sized(20), 9, used, shown={"clients_waiting": waiting})
    assert state == (sized(20, high_since=at(9)) if high else sized(20))


@pytest.mark.parametrize(
    ("size", "grown", "ceiling"), [(20, 25, 100), (4, 6, 100), (38, 40, 100), (20, 22, 22), (10, 13, 100)]
)
def test_it_grows_by_a_quarter_after_two_looks(size: int, grown: int, ceiling: int) -> None:
    since = sized(size, high_since=at(9))
    assert decide(since, 13.9, 20, ceiling=ceiling) == since
    assert decide(since, 14, 20, ceiling=ceiling) == sized(grown, resized_at=at(14))


def test_at_its_most_it_stays_as_it_is() -> None:
    """And writes down nothing each time that clients need more, or no more."""
    full = sized(40)
    assert decide(full, 14, 20) == full
    assert decide(sized(22, high_since=at(9)), 14, 20, ceiling=22) == sized(22)


def test_it_shrinks_by_a_tenth_after_ten_minutes() -> None:
    assert decide(sized(40), 9, 9) == sized(40, low_since=at(9))  # 45 % of 40, below 48 %
    assert decide(sized(40, low_since=at(9)), 608.9, 9) == sized(40, low_since=at(9))
    assert decide(sized(40, low_since=at(9)), 609, 9) == sized(36, low_since=at(609), resized_at=at(609))
    assert decide(sized(40, low_since=at(9)), 609, 12) == sized(40)  # 60 %: neither
    between = sized(40, low_since=at(9))  # 55 %: too much to shrink, too little to say that it is needed
    assert decide(between, 609, 11) == between
    assert decide(sized(40), 609, 11) == sized(40)
    assert decide(sized(5, low_since=at(9)), 609, 0) == sized(4, low_since=at(609), resized_at=at(609))
    assert decide(sized(4), 609, 0) == sized(4)


def test_it_stays_between_its_bounds_when_those_change() -> None:
    assert decide(sized(60), 0, 12).size == 40
    assert decide(sized(2), 0, 1).size == 4
    assert decide(sized(40), 0, 12, ceiling=31).size == 31


RECONNECT = ReconnectStatus(phase=ReconnectPhase.WAITING, cause="x", started_at=at(0))


@pytest.mark.parametrize(
    "of",
    [
        {"marks": {NAMES[0]: look(14)}},  # one was not looked at
        {"marks": {NAMES[0]: look(14), NAMES[1]: look(14, console=failure())}},
        {"marks": looks(-20, console=console(pool_size=10, servers_active=20))},  # long ago
        {"shown": {"pool_size": 8}},  # the last size has not arrived yet
        {"server": failure()},
        {"reconnect": RECONNECT},
    ],
)
def test_what_it_does_not_grow_for(of: dict[str, Any]) -> None:
    assert decide(sized(20, high_since=at(9)), 14, 20, **of) == sized(20)


def test_it_does_not_grow_for_clients_that_were_told_to_wait() -> None:
    paused = spec(size={"min": 4, "max": 40}, paused=True)
    before = sized(20, high_since=at(9))
    over = PauseStatus(since=at(0), until=at(9), over=True)  # though nobody took the wish back
    assert decide(before, 14, 0, paused, shown={"clients_waiting": 5}, pause=over).size == 25
    pause = PauseStatus(since=at(0), until=at(120))
    assert decide(before, 14, 0, paused, shown={"clients_waiting": 5}, pause=pause) == sized(20)
