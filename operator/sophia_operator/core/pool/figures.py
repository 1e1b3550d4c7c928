"""What a status says in numbers: of the server, of each instance, and of all together.

Figures that change all the time are taken at full looks only, and only when they say something else than before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import (
    MAX_INSTANCES,
    ConnectionPoolStatus,
    InstanceStatus,
    ServerStatus,
)
from sophia_operator.core.pool import roles
from sophia_operator.core.pool.findings import Console, Failure, InstanceFinding, Server, Through
from sophia_operator.core.pool.sight import finding_of, server_of, serving
from sophia_operator.core.pool.views import InstanceView, PoolObserved
from sophia_operator.core.steady import steady

#: Figures change all the time: they are written down no more often than that, however short the interval is.
_FIGURES_SECONDS: Final = 60
#: A console look and a query through the instance belong together when they are no further apart.
_TOGETHER: Final = timedelta(seconds=1)


def server_status(
    spec: ConnectionPoolSpec, before: ServerStatus | None, observed: PoolObserved, now: datetime, *, changing: bool
) -> ServerStatus | None:
    """The server, as seen last; one that does not answer stays as it was. `changing`: a reconnect is under way."""
    server = server_of(observed)
    if server is None:
        return before
    if not roles.one_server(spec) and before is not None and before.role == server.role.value and not changing:
        # Another of many standbys, at each look: the first one stands for them all.
        return before.model_copy(update={"replication_lag_seconds": _lag(before, server)})
    since = before.identity_since if before is not None else None
    known = before.identity if before is not None else None
    if known is not None and known != server.identity:
        since = now if roles.one_server(spec) else None
    return ServerStatus(
        address=server.address,
        role=server.role.value,
        version=server.version[:64],
        identity=server.identity,
        identity_since=since,
        max_connections=server.max_connections,
        replication_lag_seconds=_lag(before, server),
    )


def _lag(before: ServerStatus | None, server: Server) -> int | None:
    if server.lag_seconds is None:
        return None
    old, lag = before.replication_lag_seconds if before is not None else None, math.ceil(server.lag_seconds)
    if old is not None and max(old, lag) <= 1:
        return old  # a standby that is busy has caught up at one look, and almost at the next
    return steady(old, lag)


def members(
    spec: ConnectionPoolSpec, status: ConnectionPoolStatus, observed: PoolObserved, wanted: str | None
) -> list[InstanceStatus]:
    """Each PgBouncer that is not on its way out, by name."""
    old = {m.name: m for m in status.members}
    staying = sorted((i for i in observed.instances if not i.terminating), key=lambda i: i.name)
    return [_member(spec, old.get(i.name), observed, i, wanted) for i in staying[:MAX_INSTANCES]]


def _member(
    spec: ConnectionPoolSpec,
    old: InstanceStatus | None,
    observed: PoolObserved,
    instance: InstanceView,
    wanted: str | None,
) -> InstanceStatus:
    before = old if old is not None else InstanceStatus(name=instance.name, ready=instance.ready)
    finding = finding_of(observed, instance)
    if finding is None:
        return before.model_copy(update={"ready": instance.ready})
    server = server_of(observed)
    update: dict[str, object] = {
        "ready": instance.ready,
        "role_correct": _role_correct(spec, server, finding),
        "message": _trouble(spec, server, finding),
    }
    if isinstance(finding.console, Console):
        console = finding.console
        update |= {"version": console.version[:32], "size": console.pool_size}
        update["config_current"] = None if wanted is None else console.config_hash == wanted
        if old is None or _counts(spec, finding):
            update |= {
                "in_use": steady(old.in_use if old else None, console.servers_active),
                "waiting": steady(old.waiting if old else None, console.clients_waiting),
                "clients": steady(old.clients if old else None, _clients(console)),
            }
    return before.model_copy(update=update)


def _clients(console: Console) -> int:
    return console.clients if console.clients is not None else console.clients_active + console.clients_waiting


def is_full(finding: InstanceFinding) -> bool:
    """Whether the newest look at the instance was a full one."""
    return finding.through_at is not None and finding.at - finding.through_at <= _TOGETHER


def _counts(spec: ConnectionPoolSpec, finding: InstanceFinding) -> bool:
    """Whether figures are taken from the look: a full one, and with a short interval the first of each minute or so."""
    if finding.through_at is None or not is_full(finding):
        return False
    return finding.through_at.timestamp() % _FIGURES_SECONDS < 1.5 * spec.health_check.interval_seconds


def _role_correct(spec: ConnectionPoolSpec, server: Server | None, finding: InstanceFinding) -> bool | None:
    if not isinstance(finding.through, Through):
        return None
    if server is None or not roles.is_right(spec, server.role):
        return roles.is_right(spec, finding.through.role)
    return roles.through_fault(spec, server, finding.through) is None


def _trouble(spec: ConnectionPoolSpec, server: Server | None, finding: InstanceFinding) -> str | None:
    if isinstance(finding.console, Failure):
        return f"its console does not answer: {finding.console.message or finding.console.fault.value}"[:512]
    if isinstance(finding.through, Failure):
        return f"the server does not answer through it: {finding.through.message or finding.through.fault.value}"[:512]
    if server is not None and isinstance(finding.through, Through):
        return roles.through_fault(spec, server, finding.through)
    return None


def full_findings(spec: ConnectionPoolSpec, observed: PoolObserved) -> Iterator[InstanceFinding]:
    """Findings of serving instances whose newest look was a full one, of which figures are taken."""
    for instance in serving(observed):
        found = finding_of(observed, instance)
        if found is not None and _counts(spec, found):
            yield found


def hit_percent(spec: ConnectionPoolSpec, before: int | None, observed: PoolObserved) -> int | None:
    """Share of the requests that were served without opening a server connection, since the full look before."""
    requests = opened = 0
    for finding in full_findings(spec, observed):
        console = finding.console
        if isinstance(console, Console) and None not in (console.transactions, finding.transactions_before):
            requests += max(0, (console.transactions or 0) - (finding.transactions_before or 0))
            opened += finding.opened or 0
    if requests == 0:
        return before
    return steady(before, max(0, min(100, round(100 * (1 - opened / requests)))))
