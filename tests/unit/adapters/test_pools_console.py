"""Consoles of several versions of PgBouncer, read by the names of columns."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from sophia_operator.adapters.pgbouncer_console import console_of, time_of
from sophia_operator.core.pool.findings import InstanceRequest, ServerConnection

_REQUEST = InstanceRequest("pool-1", "10.0.0.3", 5432, "shop", "sophia-check", "sophia-admin", "x")
_TIME = "2026-11-27 02:00:00 UTC"


def _shown(**changes: Any) -> dict[str, Any]:
    return {"VERSION": [{"version": "PgBouncer 1.25.0"}], "POOLS": [], "SERVERS": [], "DATABASES": [], **changes}


def test_pools_of_all_users_of_the_database_are_added_up() -> None:
    pools: list[dict[str, Any]] = [
        {"database": "shop", "user": "a", "cl_active": 1, "cl_waiting": 2, "sv_active": 3, "sv_idle": 4, "sv_used": 1,
         "sv_tested": 0, "sv_login": 1, "maxwait": 1, "maxwait_us": 500_000},
        {"database": "shop", "user": "b", "cl_active": 10, "cl_waiting": 0, "sv_active": 10, "sv_idle": 0,
         "sv_being_canceled": 2, "maxwait": 0, "maxwait_us": 0},
        {"database": "sophia-check", "user": "a", "cl_active": 7, "cl_waiting": 7, "sv_active": 7, "maxwait": 9},
    ]  # fmt: skip
    seen = console_of(_shown(POOLS=pools), _REQUEST)
    assert (seen.clients_active, seen.clients_waiting) == (11, 2)
    assert (seen.servers_active, seen.servers_idle, seen.servers_other, seen.servers_logging_in) == (13, 4, 4, 1)
    assert seen.longest_wait_seconds == 1.5
    assert seen.version == "1.25.0"


def test_a_console_that_shows_nothing_yet() -> None:
    seen = console_of(_shown(VERSION=[]), _REQUEST)
    assert (seen.version, seen.config_hash, seen.pool_size, seen.paused) == ("unknown", None, 0, False)
    assert seen.longest_wait_seconds == 0
    assert seen.transactions is None


@pytest.mark.parametrize(("paused", "expected"), [(0, False), (1, True), ("1", True), (None, False), ("no", False)])
def test_databases(paused: Any, expected: bool) -> None:
    databases = [
        {"name": "shop", "database": "shop", "pool_size": 8, "paused": paused, "server_lifetime": 3600},
        {"name": "sophia-check", "database": "shop", "pool_size": 1, "paused": 0},
        {"name": "sophia-config", "database": "0f3a", "pool_size": 1, "paused": 1},
    ]
    seen = console_of(_shown(DATABASES=databases), _REQUEST)
    assert (seen.pool_size, seen.paused, seen.config_hash) == (8, expected, "0f3a")


def test_servers_of_the_database_and_of_checks() -> None:
    servers = [
        {"database": "shop", "state": "active", "addr": "10.0.0.7", "connect_time": _TIME, "close_needed": 1},
        {"database": "sophia-check", "state": "idle", "addr": "10.0.0.8", "connect_time": _TIME, "close_needed": 0},
        {"database": "pgbouncer", "state": "idle", "addr": "10.0.0.9", "connect_time": _TIME},
    ]
    moment = datetime(2026, 11, 27, 2, tzinfo=UTC)
    assert console_of(_shown(SERVERS=servers), _REQUEST).connections == (
        ServerConnection("shop", "active", "10.0.0.7", moment, closing=True),
        ServerConnection("sophia-check", "idle", "10.0.0.8", moment, closing=False),
    )


def test_a_full_look() -> None:
    seen = console_of(
        _shown(
            STATS=[
                {"database": "pgbouncer", "total_xact_count": Decimal(99), "total_query_count": Decimal(99)},
                {"database": "shop", "total_xact_count": Decimal(5), "total_query_count": Decimal(9)},
            ],
            LISTS=[{"list": "free_clients", "items": 40}, {"list": "used_clients", "items": 12}],
            CONFIG=[{"key": "auth_user", "value": None}, {"key": "pool_mode", "value": "transaction", "new": 1}],
        ),
        _REQUEST,
    )
    assert (seen.transactions, seen.queries, seen.clients) == (5, 9, 12)
    assert seen.settings == {"auth_user": "", "pool_mode": "transaction"}


@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [
        ("2026-11-27 02:00:00 UTC", 2, 0),
        ("2026-11-27 02:00:00", 2, 0),
        ("2026-11-27 02:00:00 GMT", 2, 0),
        ("2026-11-27 02:00:00 CET", 1, 0),
        ("2026-11-27 02:00:00 +01", 1, 0),
        ("2026-11-27 02:00:00.123456 UTC", 2, 0),
        ("2026-11-27 08:00:00 +0530", 2, 30),
        ("2026-11-27 02:00:00 -03:30", 5, 30),
        ("2026-11-27 02:00:00 NOWHERE", 2, 0),
        ("2026-11-27 02:00:00 ../../x", 2, 0),
    ],
)
def test_times(text: str, hour: int, minute: int) -> None:
    assert time_of(text) == datetime(2026, 11, 27, hour, minute, tzinfo=UTC)


def test_a_time_that_is_none_is_older_than_everything() -> None:
    assert time_of("never") == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2026-13-45 02:00:00 UTC", "0001-01-01 00:00:00 +14:00", "2026-01-01 02:00:00 +99:99", "soon", ""]
)
def test_a_time_that_no_clock_shows_is_long_ago(text: str) -> None:
    assert time_of(text) == datetime.fromtimestamp(0, UTC)
