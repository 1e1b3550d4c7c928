"""Requests of the operator to servers of a rig."""

from __future__ import annotations

from typing import Any

from hack.rig.pgbouncer import ADMIN, ADMIN_PASSWORD, CHECK_DATABASE, PgBouncer
from hack.rig.postgres import Postgres
from sophia_operator.api.connection_pool import SslMode
from sophia_operator.core.pool.findings import Failure, InstanceRequest, ServerRequest


def to(server: Postgres, **changes: Any) -> ServerRequest:
    """A request to the server as the application's user."""
    how = {
        "host": server.host,
        "port": server.port,
        "database": server.database,
        "ssl_mode": SslMode.PREFER,
        "username": server.user,
        "password": server.password,
    }
    return ServerRequest(**{**how, **changes})


def at(instance: PgBouncer, **changes: Any) -> InstanceRequest:
    """A request to the PgBouncer as the operator's user."""
    how = {
        "name": "pool-1",
        "address": instance.host,
        "port": instance.port,
        "database": "app",
        "check_database": CHECK_DATABASE,
        "admin_username": ADMIN,
        "admin_password": ADMIN_PASSWORD,
    }
    return InstanceRequest(**{**how, **changes})


def answered(answer: Any) -> Any:
    """The answer, which has to be one."""
    assert answer is not None
    assert not isinstance(answer, Failure), answer
    return answer


def failed(answer: Any) -> Failure:
    """The failure, which has to be one."""
    assert isinstance(answer, Failure), answer
    return answer
