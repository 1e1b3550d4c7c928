"""Requests of the operator to Redis servers of a rig."""

from __future__ import annotations

from typing import Any

from hack.rig.redis import RedisServer
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD
from sophia_operator.core.cache.faults import CacheFailure
from sophia_operator.core.cache.findings import Node, NodeRequest, NodeTls


def to(server: RedisServer, **changes: Any) -> NodeRequest:
    """A request to the server as its administrator; by TLS when it speaks that."""
    how: dict[str, Any] = {
        "name": "cache-0",
        "host": server.host,
        "port": server.port,
        "username": ADMIN,
        "password": ADMIN_PASSWORD,
        "tls": NodeTls("localhost", server.ca) if server.tls else None,
        # A busy machine is no fault.
        "timeout_seconds": 30.0,
    }
    return NodeRequest(**{**how, **changes})


def seen(answer: Node | CacheFailure) -> Node:
    """The node that answered."""
    assert isinstance(answer, Node), answer
    return answer


def failed(answer: Node | CacheFailure | None) -> CacheFailure:
    """Why there is no answer."""
    assert isinstance(answer, CacheFailure), answer
    return answer
