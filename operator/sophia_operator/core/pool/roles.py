"""What is right by role: of the server, and of what an instance holds.

A ReadWrite pool needs a primary that takes writes. A ReadOnly pool needs a standby: a primary would answer its
queries too, but the load of readers is what a standby is there to take off it.

Behind the name of a ReadWrite pool's server there is one server, so that another identity means another server.
Behind that of a ReadOnly pool there may be many standbys, and any will do: there the role is all that counts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.connection_pool import ConnectionPoolSpec, PoolRole
from sophia_operator.core.pool.findings import Console, InstanceFinding, Server, ServerRole, Through
from sophia_operator.core.pool.sight import client_connections

#: Clocks of nodes differ: a connection counts as stale only when it is older than the change by more.
CLOCK_SECONDS: Final = 2.0
ELSEWHERE: Final = "it holds connections to another address than"
_NEEDED: Final = {PoolRole.READ_WRITE: ServerRole.PRIMARY, PoolRole.READ_ONLY: ServerRole.STANDBY}
_WORDS: Final = {
    ServerRole.PRIMARY: "a primary",
    ServerRole.READ_ONLY_PRIMARY: "a primary whose transactions are read-only",
    ServerRole.STANDBY: "a standby",
}


def is_right(spec: ConnectionPoolSpec, role: ServerRole) -> bool:
    """Whether a server of that role is what the pool needs."""
    return role is _NEEDED[spec.role]


def one_server(spec: ConnectionPoolSpec) -> bool:
    """Whether there is one server behind the name, so that identities can be compared."""
    return spec.role is PoolRole.READ_WRITE


def wrong_role(spec: ConnectionPoolSpec, role: ServerRole) -> str | None:
    """What is wrong with the role, in words; None when it is right."""
    if is_right(spec, role):
        return None
    return f"is {_WORDS[role]}, and a {spec.role.value} pool needs {_WORDS[_NEEDED[spec.role]]}"


def server_fault(spec: ConnectionPoolSpec, server: Server) -> tuple[Reason, str] | None:
    """What keeps a server that answers from being what the pool needs."""
    where = f"{spec.database.host}:{spec.database.port}"
    wrong = wrong_role(spec, server.role)
    if wrong is not None:
        remedy = "point database.host at one, or promote it"
        if spec.role is PoolRole.READ_ONLY:
            remedy = "point database.host at one, or set role to ReadWrite"
        return Reason.WRONG_ROLE, f"{where} {wrong}: {remedy}"
    most = spec.health_check.max_replication_lag_seconds
    if spec.role is PoolRole.READ_ONLY and server.lag_seconds is not None and server.lag_seconds > most:
        # No seconds in the words: they would be others at every look.
        return Reason.REPLICATION_LAG, (
            f"the standby {where} trails behind its primary by more than {most} s "
            "(healthCheck.maxReplicationLagSeconds): see why replication is slow, or allow more"
        )
    return None


def through_fault(spec: ConnectionPoolSpec, server: Server, through: Through) -> str | None:
    """What is wrong with what a query through an instance reached."""
    wrong = wrong_role(spec, through.role)
    if wrong is not None:
        return f"the server behind it {wrong}"
    if one_server(spec) and through.identity != server.identity:
        return "it holds connections to another server than the one that was verified"
    return None


def stale_connections(spec: ConnectionPoolSpec, console: Console, since: datetime | None) -> int:
    """Connections that clients may still be given, from before the server became another one."""
    if since is None or not one_server(spec):
        return 0
    oldest = since - timedelta(seconds=CLOCK_SECONDS)
    return sum(1 for c in client_connections(console) if not c.closing and c.connected_at < oldest)


def old_connections(console: Console, before: datetime) -> int:
    """Connections that clients may still be given, and that may have been made before that time."""
    newest = before + timedelta(seconds=CLOCK_SECONDS)
    return sum(1 for c in client_connections(console) if not c.closing and c.connected_at <= newest)


def elsewhere(server: Server, console: Console, comparable: bool) -> int:
    """Connections that clients may still be given, to another address than the server's.

    Only when addresses are `comparable`: behind a Service or a proxy an instance sees that one's address.
    """
    if not comparable:
        return 0
    return sum(1 for c in client_connections(console) if not c.closing and c.address != server.address)


def instance_fault(
    spec: ConnectionPoolSpec, server: Server, finding: InstanceFinding, since: datetime | None, comparable: bool
) -> str | None:
    """What an instance holds that it should not, in words; None when nothing is, or when it is not known."""
    if isinstance(finding.through, Through):
        wrong = through_fault(spec, server, finding.through)
        if wrong is not None:
            return wrong
    if not isinstance(finding.console, Console):
        return None
    if stale_connections(spec, finding.console, since):
        return "it holds connections from before the server became another one"
    if one_server(spec) and elsewhere(server, finding.console, comparable):
        return f"{ELSEWHERE} {server.address}"
    return None
