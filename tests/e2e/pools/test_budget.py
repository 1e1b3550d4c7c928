"""All pools of one server stay inside what it allows, and who wants more hears who holds the rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg

from hack.rig.api import Json
from hack.rig.pools import Pool

Make = Callable[..., Pool]
_FIXED: dict[str, Any] = {"autosize": {"enabled": False}}


def wanted(instances: int, size: int) -> int:
    """What a pool could open at most, as docs/design/connection-pool.md says."""
    return (size // instances + 1) * (instances + 2) + 2


#: Kept for superusers.
_RESERVED = 3
#: Room for a large pool and a small one, not for two large ones; and for a few sessions of others.
MAX_CONNECTIONS = wanted(2, 8) + wanted(2, 2) + 4 + _RESERVED


def test_second_pool_gets_what_the_first_one_leaves(pooled: Make) -> None:
    first = pooled(server={"max_connections": MAX_CONNECTIONS}, size={"min": 2, "max": 8}, **_FIXED)
    second = Pool(first.database, "reports")
    second.apply(size={"min": 2, "max": 8}, **_FIXED)
    over = second.wait_condition("WithinBudget", "False", "OverBudget")
    assert f"{first.namespace}/orders" in over["message"], over["message"]
    budget = second.status()["budget"]
    assert budget["wanted"] == wanted(2, 8)
    assert budget["granted"] < budget["wanted"]
    held = {holder["name"]: holder["connections"] for holder in budget["holders"]}
    assert held[f"{first.namespace}/orders"] == first.status()["budget"]["granted"] == wanted(2, 8)
    assert len(second.wait_events("OverBudget")) == 1
    assert (first.condition("WithinBudget") or {}).get("status") == "True"
    second.wait_ready()
    serves_with_all_it_has(first, second)
    first.patch(size={"min": 2, "max": 2})
    second.wait_condition("WithinBudget", "True", seconds=60)
    assert second.wait_ready()["size"] == 8


def test_pool_that_wants_more_than_there_is_keeps_what_it_had(pooled: Make) -> None:
    pool = pooled(server={"max_connections": MAX_CONNECTIONS}, size={"min": 2, "max": 8}, **_FIXED)
    uids = pool.uids()
    pool.patch(size={"min": 2, "max": 100})
    over = pool.wait_condition("WithinBudget", "False", "OverBudget")
    assert "max_connections" in over["message"], over["message"]
    status = pool.wait("to be held to what fits", held_back, seconds=30)
    assert 8 <= status["size"] < 100
    assert status["budget"]["granted"] <= MAX_CONNECTIONS - _RESERVED
    assert pool.uids() == uids
    serves_with_all_it_has(pool)


def test_budget_of_a_pool_is_a_lower_limit(pooled: Make) -> None:
    pool = pooled(size={"min": 2, "max": 8}, budget={"maxServerConnections": wanted(2, 4)}, **_FIXED)
    pool.wait_condition("WithinBudget", "False", "OverBudget")
    assert pool.wait("to be held", lambda found: found["status"].get("size") == 4 and found["status"])["size"] == 4
    pool.patch(budget={"maxServerConnections": wanted(2, 8)})
    pool.wait_condition("WithinBudget", "True")
    assert pool.wait_ready()["size"] == 8


def held_back(found: Json) -> Json | None:
    """The status, when instances show the size that was granted."""
    status: Json = found["status"]
    return status if status.get("size") == sum(m["size"] for m in status["members"]) else None


def serves_with_all_it_has(*pools: Pool) -> None:
    """Every server connection of every pool at the same time: the server refuses nobody, nor the superuser."""
    with ExitStack() as open_ones:
        for pool in pools:
            for member in pool.status()["members"]:
                for _ in range(member["size"]):
                    connection: psycopg.Connection[Any] = open_ones.enter_context(
                        pool.connect(pool.addresses()[member["name"]])
                    )
                    connection.execute("BEGIN")
                    connection.execute("SELECT 1")
        database = pools[0].database
        ((sessions,),) = database.query(database.primary(), "SELECT count(*) FROM pg_stat_activity WHERE datid > 0")
        assert sessions <= MAX_CONNECTIONS
