"""A ConnectionPool and what is seen of it, in short words: what tests of its decisions start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.conditions import Condition, find, violations
from sophia_operator.api.conditions import ConditionType as Type
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus, ServerStatus
from sophia_operator.core.pool.advance import advance
from sophia_operator.core.pool.decision import PoolDecision
from sophia_operator.core.pool.findings import (
    CommandResult,
    Console,
    Failure,
    Fault,
    InstanceFinding,
    Server,
    ServerConnection,
    ServerFinding,
    ServerRole,
    Through,
)
from sophia_operator.core.pool.views import Access, FleetView, InstanceView, Kept, PoolObserved, PoolView

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HASH: Final = "v1:" + "a" * 64
OLD_HASH: Final = "v1:" + "b" * 64
SERVER_ADDRESS: Final = "10.1.0.1"
NAMES: Final = ("orders-pool-1", "orders-pool-2")


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def spec(**changes: Any) -> ConnectionPoolSpec:
    """Of a pool of two instances; changes are as users write them."""
    database = {"host": "db", "name": "orders", "credentialsSecretRef": {"name": "db-user"}}
    return ConnectionPoolSpec.model_validate({"database": database, **changes})


def server(identity: str = "A1", role: ServerRole = ServerRole.PRIMARY, **changes: Any) -> Server:
    """A server that is as it should be."""
    values: dict[str, Any] = {
        "role": role,
        "address": SERVER_ADDRESS,
        "version": "15.5",
        "identity": identity,
        "max_connections": 100,
        "reserved_connections": 3,
        "backends": (),
        "lag_seconds": None,
        "connect_ms": 3.0,
        "query_ms": 1.0,
    }
    return Server(**{**values, **changes})


def failure(fault: Fault = Fault.UNREACHABLE, message: str = "connection refused") -> Failure:
    """No answer."""
    return Failure(fault, message)


def console(**changes: Any) -> Console:
    """Of an instance at rest, with the newest configuration."""
    values: dict[str, Any] = {
        "version": "1.22.0",
        "config_hash": HASH,
        "clients_active": 2,
        "clients_waiting": 0,
        "servers_active": 1,
        "servers_idle": 1,
        "servers_other": 0,
        "servers_logging_in": 0,
        "longest_wait_seconds": 0.0,
        "pool_size": 2,
        "paused": False,
    }
    return Console(**{**values, **changes})


def connection(connected: float, *, closing: bool = False, address: str = SERVER_ADDRESS) -> ServerConnection:
    """A connection that clients use."""
    return ServerConnection("orders", "active", address, at(connected), closing)


def through(identity: str = "A1", role: ServerRole = ServerRole.PRIMARY) -> Through:
    """What an instance reached."""
    return Through(role, SERVER_ADDRESS, identity, 3.0, 1.0)


def look(seconds: float, full: float | None = None, **changes: Any) -> InstanceFinding:
    """A look at an instance, `full` the time of the last one through it (as the look, without)."""
    values: dict[str, Any] = {
        "uid": "uid-1",
        "console": console(),
        "through": through(),
        "through_at": at(seconds if full is None else full),
    }
    return InstanceFinding(at=at(seconds), **{**values, **changes})


def instance(name: str = NAMES[0], **changes: Any) -> InstanceView:
    """A pod that is ready."""
    values: dict[str, Any] = {
        "uid": "uid-1",
        "address": f"10.2.0.{name[-1]}",
        "ready": True,
        "terminating": False,
        "current": True,
        "poked": HASH,
    }
    return InstanceView(name=name, **{**values, **changes})


def told(**when: float) -> dict[tuple[str, str], CommandResult]:
    """Commands to the first instance that were carried out, and when."""
    return {(NAMES[0], verb): CommandResult(at(seconds)) for verb, seconds in when.items()}


def observed(
    found: Server | Failure | None = None,
    looks: Mapping[str, InstanceFinding] | None = None,
    *,
    server_at: float = 0.0,
    instances: tuple[InstanceView, ...] | None = None,
    kept: Mapping[str, Any] | None = None,
    **changes: Any,
) -> PoolObserved:
    """What is seen of a pool of two instances. Without `found` the server was not looked at."""
    remembered = Kept(
        server=ServerFinding(at(server_at), found) if found is not None else None,
        instances=looks or {},
        **(kept or {}),
    )
    there = tuple(instance(name) for name in NAMES) if instances is None else instances
    values: dict[str, Any] = {
        "fleet": FleetView(len(there), len(there), sum(i.ready for i in there), True, "image"),
        "access": Access("app", "p", "orders", "q", "r"),
    }
    return PoolObserved(instances=there, kept=remembered, **{**values, **changes})


def looks(seconds: float, full: float | None = None, **changes: Any) -> dict[str, InstanceFinding]:
    """The same look at both instances."""
    return {name: look(seconds, full, **changes) for name in NAMES}


def well(seconds: float = 0.0, **changes: Any) -> PoolObserved:
    """Everything was looked at, and is as it should be."""
    return observed(server(), looks(seconds), server_at=seconds, **changes)


def with_first(mark: InstanceFinding) -> PoolObserved:
    """All is well after a second but for what was seen of the first instance."""
    return observed(server(), {**looks(1), NAMES[0]: mark}, server_at=1)


def pool(wish: ConnectionPoolSpec | None = None, status: ConnectionPoolStatus | None = None, **of: Any) -> PoolView:
    """A ConnectionPool; `of` are parts of its status."""
    known = (status or ConnectionPoolStatus()).model_copy(update=of)
    return PoolView("shop", "orders", "uid-0", 1, "1", START, wish or spec(), known)


def known(identity: str = "A1") -> ServerStatus:
    """A server that was seen before."""
    return ServerStatus(identity=identity, role="Primary", address=SERVER_ADDRESS)


def step(view: PoolView, seen: PoolObserved, seconds: float, wanted: str | None = HASH) -> PoolDecision:
    """One pass. Every status that it gives has lawful conditions and can be read back."""
    decision = advance(view, seen, at(seconds), 0.5, lambda _pool, _observed: wanted)
    assert violations(decision.status.conditions, view.generation) == []
    assert ConnectionPoolStatus.model_validate(decision.status.to_dict()) == decision.status
    return decision


def after(view: PoolView, decision: PoolDecision, wish: ConnectionPoolSpec | None = None) -> PoolView:
    """The pool once the decision was written down, with another wish of the user's."""
    return replace(view, status=decision.status, spec=wish or view.spec)


def healthy(wish: ConnectionPoolSpec | None = None) -> PoolView:
    """A pool that was checked at the start, and is as it should be."""
    view = pool(wish)
    for _ in range(2):
        view = after(view, step(view, well(), 0))
    return view


def condition(status: ConnectionPoolStatus, kind: Type) -> Condition:
    """The condition, which must be there."""
    found = find(status.conditions, kind)
    assert found is not None, kind
    return found


def says(status: ConnectionPoolStatus, kind: Type) -> tuple[str, str]:
    """Status and reason of the condition."""
    found = condition(status, kind)
    return found.status.value, found.reason


def reasons(decision: PoolDecision) -> list[tuple[str, str]]:
    """Type and reason of each event."""
    return [(n.type.value, n.reason) for n in decision.notices]
