"""Whether an instance reaches the server that was verified, after it was told to reconnect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ReconnectStatus
from sophia_operator.core.pool import roles
from sophia_operator.core.pool.findings import Console, Failure, InstanceFinding, Server, Through, Verb
from sophia_operator.core.pool.sight import client_connections, finding_of, told_at
from sophia_operator.core.pool.views import InstanceView, PoolObserved


class Standing(StrEnum):
    """How far an instance is."""

    UNTOLD = "Untold"  # it is not known to have carried out the command
    UNSEEN = "Unseen"  # not looked at since
    SILENT = "Silent"  # it, or the server through it, does not answer
    WRONG = "Wrong"  # what it holds is not the server that was verified
    DRAINING = "Draining"  # right, but transactions still run on connections from before
    RIGHT = "Right"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far an instance is, and what is wrong with it."""

    standing: Standing
    why: str = ""


def verdict(
    reconnect: ReconnectStatus,
    spec: ConnectionPoolSpec,
    server: Server,
    observed: PoolObserved,
    instance: InstanceView,
) -> Verdict:
    """How far the instance is.

    Once it carried out RECONNECT or KILL, PgBouncer itself tells old connections from new ones: the old ones are
    closing. So nothing here compares the clocks of two machines.
    """
    since = _since(reconnect, observed, instance)
    if since is None:
        return Verdict(Standing.UNTOLD, "it did not carry out RECONNECT yet")
    finding = finding_of(observed, instance)
    if finding is not None and finding.at > since and isinstance(finding.console, Failure):
        return Verdict(Standing.SILENT, _words(finding.console))
    if finding is None or finding.through_at is None or finding.through_at <= since:
        return Verdict(Standing.UNSEEN, "it was not looked through yet")
    return _seen(spec, server, finding)


def _since(reconnect: ReconnectStatus, observed: PoolObserved, instance: InstanceView) -> datetime | None:
    """A look counts when it is newer."""
    if reconnect.told_at is None:
        return reconnect.server_at
    base = reconnect.confirmed_at or reconnect.server_at
    told = told_at(observed, instance.name, Verb.RECONNECT, Verb.KILL)
    return told if told is not None and (base is None or told >= base) else None


def _seen(spec: ConnectionPoolSpec, server: Server, finding: InstanceFinding) -> Verdict:
    if isinstance(finding.through, Failure):
        return Verdict(Standing.SILENT, _words(finding.through))
    if not isinstance(finding.through, Through) or not isinstance(finding.console, Console):
        return Verdict(Standing.UNSEEN, "it was not looked through yet")
    wrong = roles.through_fault(spec, server, finding.through)
    if wrong is not None:
        return Verdict(Standing.WRONG, wrong)
    closing = sum(1 for c in client_connections(finding.console) if c.closing)
    if closing:
        return Verdict(Standing.DRAINING, f"transactions still run on {closing} connections from before")
    return Verdict(Standing.RIGHT)


def _words(failure: Failure) -> str:
    return f"{failure.fault.value}: {failure.message}"
