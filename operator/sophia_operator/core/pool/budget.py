"""The pool's part of the connections that its server allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import BudgetHolder, BudgetStatus
from sophia_operator.core.pool.findings import Backends, Server
from sophia_operator.core.pool.names import APPLICATION
from sophia_operator.core.pool.shares import could_open, size_within
from sophia_operator.core.pool.sight import client_connections, console_of, server_of
from sophia_operator.core.pool.views import PoolObserved, PoolView
from sophia_operator.core.steady import differs

OTHERS: Final = "others"
_MAX_HOLDERS: Final = 16


def grant(pool: PoolView, observed: PoolObserved, wanted_size: int, now: datetime) -> BudgetStatus:  # noqa: ARG001
    """What the pool may take of the server, when it wants `wanted_size` connections for clients.

    While the server is not known the last grant stands; a new pool gets its `size.min` until then, so that it serves
    at once without taking what may be somebody else's. An instance always keeps one connection: a pool of which not
    even that fits is over budget, and says so.
    """
    spec, before = pool.spec, pool.status.budget
    wanted, server = could_open(spec, wanted_size), server_of(observed)
    if server is None:
        return _unseen(spec, before, wanted)
    available, holders = _left(pool, observed, server)
    limit = _limit(spec, server)
    kept = _kept(before, server, sum(c.granted for c in observed.claims))
    granted = min(wanted, max(available, kept), limit if limit is not None else wanted)
    granted = max(granted, could_open(spec, max(1, spec.instances)))
    after = BudgetStatus(wanted=wanted, granted=granted, available=available, holders=holders)
    return _steady(before, after, limit)


def effective_size(spec: ConnectionPoolSpec, needed: int, granted: int) -> int:
    """The size that clients need, within the grant: the same for each instance, and at least one."""
    instances = max(1, spec.instances)
    size = min(needed, size_within(spec, granted))
    return max(instances, size - size % instances)


def most(spec: ConnectionPoolSpec, granted: int) -> int:
    """The largest size within the grant."""
    return max(1, spec.instances, size_within(spec, granted))


def is_within(status: BudgetStatus, spec: ConnectionPoolSpec, server: Server | None) -> bool | None:
    """Whether everything that the pool wants fits; None while the server is not known."""
    if status.available is None:
        return None
    limit = _limit(spec, server) if server is not None else None
    fits = status.available if limit is None else min(status.available, limit)
    return status.wanted <= fits and status.granted >= status.wanted


def has_room(status: BudgetStatus) -> bool:
    """Whether so much more is left that the next session of others will not change it again."""
    others = sum(h.connections for h in status.holders if h.name == OTHERS)
    return (status.available or 0) - status.wanted >= (max(2, others // 10) if others else 0)


def _kept(before: BudgetStatus | None, server: Server, claimed: int) -> int:
    """What serves keeps serving when others take more, except for what the user takes back.

    What was taken while no server was seen was granted by nobody. And all pools together never keep more than a server
    has, as when it allows fewer connections than before: each gives way in proportion to what it holds.
    """
    if before is None or before.available is None:
        return 0
    held, most_ = before.granted + claimed, _ordinary(server)
    return before.granted if held <= most_ else before.granted * most_ // held


def _unseen(spec: ConnectionPoolSpec, before: BudgetStatus | None, wanted: int) -> BudgetStatus:
    if before is not None:
        return before.model_copy(update={"wanted": wanted})
    return BudgetStatus(wanted=wanted, granted=could_open(spec, max(spec.size.min, spec.instances)))


def _limit(spec: ConnectionPoolSpec, server: Server) -> int | None:
    if spec.budget is None:
        return None
    if spec.budget.max_server_connections is not None:
        return spec.budget.max_server_connections
    return _ordinary(server) * (spec.budget.share_percent or 0) // 100


def _ordinary(server: Server) -> int:
    return max(0, server.max_connections - server.reserved_connections)


def _left(pool: PoolView, observed: PoolObserved, server: Server) -> tuple[int, list[BudgetHolder]]:
    """What is left for the pool, and who holds the rest, the largest first."""
    own = frozenset(i.address for i in observed.instances if i.address is not None)
    if _is_hidden(observed, server, own):
        own = frozenset()
        server = replace(server, backends=tuple(replace(b, address=None) for b in server.backends))
    others = sum(b.count for b in server.backends if _is_others(b, pool, observed, own))
    held = others + sum(c.granted for c in observed.claims)
    holders = [BudgetHolder(name=f"{c.namespace}/{c.name}", connections=c.granted) for c in observed.claims]
    holders += [BudgetHolder(name=OTHERS, connections=others)] if others else []
    holders.sort(key=lambda h: (-h.connections, h.name))
    return max(0, _ordinary(server) - held), holders[:_MAX_HOLDERS]


def _is_hidden(observed: PoolObserved, server: Server, own: frozenset[str]) -> bool:
    """Whether the server sees other addresses than the instances have, as behind a proxy or with translated addresses:
    instances hold connections, and none comes from any of them."""
    if any(b.address in own for b in server.backends):
        return False
    consoles = (console_of(observed, i) for i in observed.instances)
    return any(client_connections(c) for c in consoles if c is not None)


def _is_others(backends: Backends, pool: PoolView, observed: PoolObserved, own: frozenset[str]) -> bool:
    """Whether the sessions are neither the operator's nor a pool's."""
    if backends.address is not None:
        if backends.address in own or any(backends.address in c.addresses for c in observed.claims):
            return False
        return backends.application != APPLICATION
    if backends.application == APPLICATION:
        return False
    mine = observed.access is not None and backends.username == observed.access.username
    if mine and backends.database == pool.spec.database.name:
        return False
    return all(backends.username != c.username for c in observed.claims)


def _steady(before: BudgetStatus | None, after: BudgetStatus, limit: int | None) -> BudgetStatus:
    """Others' sessions come and go: as long as nothing else changes, the old figures stand."""
    if before is None or before.available is None or after.available is None:
        return after
    fits = [min(b.available or 0, limit if limit is not None else b.wanted) for b in (before, after)]
    same = (before.wanted, before.granted) == (after.wanted, after.granted)
    same = same and (fits[0] >= before.wanted) == (fits[1] >= after.wanted)
    same = same and not differs(before.available, after.available)
    old = {h.name: h.connections for h in before.holders}
    new = {h.name: h.connections for h in after.holders}
    same = same and old.keys() == new.keys() and not any(differs(old[name], new[name]) for name in new)
    return before if same else after
