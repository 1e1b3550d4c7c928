"""What starts a reconnect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.pool import roles
from sophia_operator.core.pool.findings import Failure, Fault, InstanceFinding, Server
from sophia_operator.core.pool.sight import client_connections, console_of, finding_of, server_of, serving
from sophia_operator.core.pool.target import is_taken_over
from sophia_operator.core.pool.views import InstanceView, PoolObserved

#: A name may stand for several addresses of one server. Addresses alone start no second reconnect sooner than that.
ADDRESS_PAUSE_SECONDS: Final = 600.0
#: When one that began for that changed nothing, the name does stand for several.
_SEVERAL_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a reconnect is needed."""

    reason: Reason
    message: str


def cause_of(
    status: ConnectionPoolStatus, spec: ConnectionPoolSpec, observed: PoolObserved, now: datetime
) -> Cause | None:
    """What starts a reconnect now; None when nothing does.

    A pool whose server never answered has nothing to reconnect, and a server that has no connection left answers.
    """
    found = observed.kept.server
    if found is None or status.server is None or status.server.identity is None:
        return None
    if not is_taken_over(status, spec.database, observed):
        return None  # what was found is not what the instances use
    if isinstance(found.answer, Failure):
        if found.answer.fault is Fault.TOO_MANY_CONNECTIONS:
            return None
        return Cause(Reason.SERVER_LOST, f"the server did not answer ({found.answer.fault.value})")
    wrong = roles.wrong_role(spec, found.answer.role)
    if wrong is not None:
        return Cause(Reason.WRONG_ROLE, f"the server {wrong}")
    if roles.one_server(spec) and found.answer.identity != status.server.identity:
        return Cause(Reason.SERVER_REPLACED, "another server answers, or the server was restarted or promoted")
    return _instances(status, spec, observed, now)


def comparable(server: Server, observed: PoolObserved) -> bool:
    """Whether instances see the server under the address that the operator sees."""
    if server.address is None:
        return False
    consoles = (console_of(observed, i) for i in serving(observed))
    return any(c.address == server.address for found in consoles if found for c in client_connections(found))


def newer_than_server(observed: PoolObserved, finding: InstanceFinding) -> bool:
    """Whether the instance was looked through after the server was: it may know a newer server than we do."""
    found = observed.kept.server
    return found is None or (finding.through_at is not None and finding.through_at > found.at)


def _has_rested(status: ConnectionPoolStatus, now: datetime) -> bool:
    if not status.reconnects:
        return True
    last = status.reconnects[-1]
    seconds = _SEVERAL_SECONDS if roles.ELSEWHERE in last.cause else ADDRESS_PAUSE_SECONDS
    return now - last.ended_at >= timedelta(seconds=seconds)


def _instances(
    status: ConnectionPoolStatus, spec: ConnectionPoolSpec, observed: PoolObserved, now: datetime
) -> Cause | None:
    server, since = server_of(observed), status.server.identity_since if status.server is not None else None
    if server is None:
        return None
    ended = status.reconnects[-1].ended_at if status.reconnects else None
    compare = _has_rested(status, now) and comparable(server, observed)
    for instance in serving(observed):
        finding = finding_of(observed, instance)
        # What was found before the last reconnect ended, or before the server was looked at, says nothing about now.
        if finding is None or (ended is not None and finding.at <= ended) or newer_than_server(observed, finding):
            continue
        wrong = roles.instance_fault(spec, server, finding, since, compare) or was_missed(status, observed, instance)
        if wrong is not None:
            return Cause(Reason.RECONNECTING, f"instance {instance.name}: {wrong}")
    return None


def was_missed(status: ConnectionPoolStatus, observed: PoolObserved, instance: InstanceView) -> str | None:
    """An instance that was not ready in the last reconnect was told nothing, and what it held it holds still: also a
    connection from so shortly before the server became another one that its time alone does not tell."""
    last, console = status.reconnects[-1] if status.reconnects else None, console_of(observed, instance)
    if last is None or console is None or instance.name not in last.unverified:
        return None
    if not roles.old_connections(console, last.ended_at):
        return None
    return "it holds connections from before the last reconnect, in which it was not ready"
