"""What a pool may take of its server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.connection_pool_status import BudgetStatus
from sophia_operator.core.pool.budget import effective_size, grant, is_within
from sophia_operator.core.pool.findings import Backends
from sophia_operator.core.pool.shares import could_open
from sophia_operator.core.pool.views import Claim
from tests.support.pool_scene import (
    NAMES,
    at,
    connection,
    console,
    failure,
    instance,
    looks,
    observed,
    pool,
    server,
    spec,
)

#: Two instances that could open (10 + 1) x (2 + 2) + 2.
WANTED = 46
OTHER_POOL = Claim("shop", "billing", "billing-user", 40, frozenset({"10.3.0.1"}))


def sessions(count: int, **changes: Any) -> Backends:
    values: dict[str, Any] = {"username": "x", "database": "y", "address": "10.9.0.9", "application": "psql"}
    return Backends(count=count, **{**values, **changes})


def seen(*backends: Backends, claims: tuple[Claim, ...] = (), most: int = 103) -> Any:
    return observed(server(backends=backends, max_connections=most), looks(0), claims=claims)


def granted(view: Any, what: Any, before: BudgetStatus | None = None) -> BudgetStatus:
    view = pool(view, budget=before) if before is not None else pool(view)
    return grant(view, what, view.spec.size.max, at(0))


@pytest.mark.parametrize(
    ("backends", "available"),
    [
        (sessions(7), 93),
        (sessions(7, address="10.2.0.1"), 100),  # the pool's own
        (sessions(7, address="10.3.0.1"), 100),  # the other pool's: its grant counts
        (sessions(7, application="sophia-operator"), 100),
        (sessions(7, address="10.2.0.1", application="sophia-operator"), 100),
        (sessions(7, address=None), 93),
        (sessions(7, address=None, username="app", database="orders"), 100),
        (sessions(7, address=None, username="app", database="else"), 93),
        (sessions(7, address=None, username="billing-user"), 100),
        (sessions(7, username="app", database="orders"), 93),  # seen, and from elsewhere
    ],
)
def test_whose_sessions_are_whose(backends: Backends, available: int) -> None:
    status = granted(spec(), seen(backends, claims=(OTHER_POOL,)))
    assert status.available == available - 40


def test_what_fits_is_granted_and_holders_are_named() -> None:
    status = granted(spec(), seen(sessions(50), sessions(3), claims=(OTHER_POOL,), most=203))
    assert (status.wanted, status.granted, status.available) == (WANTED, WANTED, 107)
    assert [(h.name, h.connections) for h in status.holders] == [("others", 53), ("shop/billing", 40)]
    assert is_within(status, spec(), server())


@pytest.mark.parametrize(
    ("others", "before", "expected", "size"),
    [
        (54, None, WANTED, 20),
        (55, None, 45, 18),
        (80, None, 20, 6),
        (80, 30, 30, 12),  # what serves keeps serving
        (80, WANTED, WANTED, 20),
        (0, 20, WANTED, 20),
        (95, None, 10, 2),  # one connection an instance
        (200, None, 10, 2),
    ],
)
def test_a_pool_is_held_to_what_fits(others: int, before: int | None, expected: int, size: int) -> None:
    old = None if before is None else BudgetStatus(wanted=WANTED, granted=before, available=before)
    status = granted(spec(), seen(sessions(others)), old)
    assert (status.granted, effective_size(spec(), 20, status.granted)) == (expected, size)
    assert is_within(status, spec(), server()) is (others <= 54)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"maxServerConnections": 20}, 20),
        ({"maxServerConnections": 500}, WANTED),
        ({"sharePercent": 30}, 30),
        ({"sharePercent": 1}, 10),
    ],
)
def test_the_user_sets_a_lower_limit(budget: dict[str, int], expected: int) -> None:
    old = BudgetStatus(wanted=WANTED, granted=WANTED, available=100)
    status = granted(spec(budget=budget), seen(), old)  # also of what serves
    assert status.granted == expected
    assert is_within(status, spec(budget=budget), server(max_connections=103)) is (expected == WANTED)


def test_while_the_server_is_not_known() -> None:
    nothing = observed(failure(), looks(0))
    new = granted(spec(), nothing)
    assert (new.granted, new.available, is_within(new, spec(), None)) == (could_open(spec(), 5), None, None)
    old = BudgetStatus(wanted=99, granted=30, available=31)
    assert granted(spec(), nothing, old) == old.model_copy(update={"wanted": WANTED})


def test_what_was_taken_before_the_server_was_seen_is_no_grant() -> None:
    """Six pools that were made while the server was down must not keep six times size.min of it."""
    wish = spec(size={"min": 1500, "max": 1500})
    first = granted(wish, observed(failure(), looks(0)))
    assert first.granted == could_open(wish, 1500)
    others = tuple(Claim("shop", f"pool-{i}", None, first.granted) for i in range(5))
    pools = granted(wish, seen(claims=others, most=5003), first)
    assert pools.granted == could_open(wish, 2)
    assert is_within(pools, wish, server()) is False


def test_all_pools_together_never_keep_more_than_the_server_has() -> None:
    """It was restarted with fewer connections: they give way one after the other, each in proportion."""
    wish = spec(size={"min": 5, "max": 100})
    before = {"a": 155, "b": 95, "c": 50}
    held = {name: BudgetStatus(wanted=155, granted=g, available=155) for name, g in before.items()}
    for name in ("a", "b", "c") * 5:
        rest = tuple(Claim("shop", other, None, h.granted) for other, h in held.items() if other != name)
        held[name] = granted(wish, seen(claims=rest, most=103), held[name])
    shares = [held[name].granted for name in ("a", "b", "c")]
    assert 95 <= sum(shares) <= 100
    assert min(shares) > 20


def test_sessions_that_come_from_a_translated_address_are_the_pools_by_their_user() -> None:
    holding = looks(0, console=console(connections=(connection(0),)))
    mine = sessions(20, username="app", database="orders", address="10.7.0.1", application="web")
    theirs, foreign = sessions(9, username="billing-user", address="10.7.0.1"), sessions(3, address="10.7.0.1")
    found = server(backends=(mine, theirs, foreign), max_connections=103)
    hidden = observed(found, holding, claims=(OTHER_POOL,))
    assert granted(spec(), hidden).available == 100 - 40 - 3
    plain = replace(found, backends=(*found.backends, sessions(2, address="10.2.0.1")))
    assert granted(spec(), observed(plain, holding, claims=(OTHER_POOL,))).available == 100 - 40 - 32


def test_without_instances_only_the_operators_own_count() -> None:
    assert granted(spec(instances=0), seen()).granted == 2


@pytest.mark.parametrize(
    ("others", "same"), [(10, True), (11, True), (12, False), (14, False), (0, False), (90, False)]
)
def test_sessions_that_come_and_go_change_nothing(others: int, same: bool) -> None:
    first = granted(spec(), seen(sessions(10)))
    second = granted(spec(), seen(*([sessions(others)] if others else [])), first)
    assert (second == first) is same


def test_addresses_of_instances_that_are_on_their_way_out_are_the_pools() -> None:
    there = (instance(), instance(NAMES[1], terminating=True, ready=False))
    found = server(backends=(sessions(7, address="10.2.0.2"),), max_connections=103)
    status = grant(pool(), observed(found, looks(0), instances=there), 20, at(0))
    assert status.available == 100
