"""Which names mean the same server, and where the operator finds it."""

from __future__ import annotations

import pytest

from sophia_operator.core.pool.servers import reachable_host, server_key


@pytest.mark.parametrize("host", ["db", "DB", "db.", "db.shop", "db.shop.svc", "db.shop.svc.cluster.local.", "db.SHOP"])
def test_every_way_to_name_a_service_of_the_namespace_is_one(host: str) -> None:
    assert server_key("shop", host, 5432) == server_key("shop", "db", 5432)


@pytest.mark.parametrize(
    ("other", "port"),
    [("db", 5433), ("db2", 5432), ("db.other", 5432), ("db.other.svc", 5432), ("db.example.com", 5432)],
)
def test_other_servers_are_told_apart(other: str, port: int) -> None:
    assert server_key("shop", other, port) != server_key("shop", "db", 5432)


def test_a_bare_name_is_another_server_in_another_namespace() -> None:
    assert server_key("shop", "db", 5432) != server_key("chat", "db", 5432)
    assert server_key("chat", "db.shop", 5432) == server_key("shop", "db", 5432)


def test_addresses_and_names_outside_are_the_same_from_everywhere() -> None:
    for host in ("10.0.0.7", "db.example.com", "localhost", "fd00::7"):
        assert server_key("shop", host, 5432) == server_key("chat", host, 5432)
    assert server_key("shop", "fd00::7", 5432) == server_key("shop", "FD00:0::7", 5432)


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("db", "db.shop.svc"),
        ("db.", "db.shop.svc"),
        ("db.other", "db.other"),
        ("db.example.com", "db.example.com"),
        ("10.0.0.7", "10.0.0.7"),
        ("fd00::7", "fd00::7"),
        ("localhost", "localhost"),
    ],
)
def test_the_operator_looks_for_a_bare_name_in_the_namespace_of_the_pool(host: str, reached: str) -> None:
    assert reachable_host("shop", host) == reached
