"""Which looks at the server and at the instances are due now, and when the next one is.

Whoever looks forgets what was found of a server when host, port, database or credentials change: a finding does not
say which server it speaks of.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.connection_pool import PoolMode
from sophia_operator.api.connection_pool_status import ReconnectPhase
from sophia_operator.core.pool import roles
from sophia_operator.core.pool.activity import LONG_SECONDS
from sophia_operator.core.pool.acts import awaits_look
from sophia_operator.core.pool.findings import Console, Failure, InstanceFinding, PoolNeeds, Server, Through
from sophia_operator.core.pool.pause import as_wanted, wants_pause
from sophia_operator.core.pool.reconnect import LONGEST_WAIT_SECONDS
from sophia_operator.core.pool.sight import client_connections, finding_of, reachable, server_of
from sophia_operator.core.pool.target import is_taken_over
from sophia_operator.core.pool.triggers import newer_than_server
from sophia_operator.core.pool.verdicts import LONG_WAIT_SECONDS
from sophia_operator.core.pool.verify import Standing, verdict
from sophia_operator.core.pool.views import InstanceView, PoolObserved, PoolView

#: Consoles are looked at that often, or as often as everything else.
CONSOLE_SECONDS: Final = 5.0
#: An instance that is being verified, or was told something, is looked at again so much later.
CLOSE_SECONDS: Final = 0.5
#: Two looks at one instance are never closer than that.
AT_ONCE_SECONDS: Final = 0.1
#: A sign of trouble makes the server be looked at once more, but not more often than that.
SIGN_SECONDS: Final = 1.0
#: Clients that wait for long may do so since connections hang, and it may be that they are just many.
LONG_SIGN_SECONDS: Final = 10.0
#: A server that never answered, or not to new credentials, is tried that often: it may just be starting.
FIRST_SECONDS: Final = 10.0
_INSIGHTS_SECONDS: Final = 300.0
_LONGEST_SECONDS: Final = 3600.0
#: While a statement stands in the status, or an instance shows that one may run for long, the server is looked at so
#: often.
STATEMENTS_SECONDS: Final = 5.0


def needs(pool: PoolView, observed: PoolObserved, now: datetime) -> PoolNeeds:
    """The looks that are due."""
    if observed.access is None:
        return PoolNeeds()
    return PoolNeeds(
        server=_server_due(pool, observed) <= now,
        instances={
            i.name: _full_due(pool, observed, i) <= now for i in reachable(observed) if _due(pool, observed, i) <= now
        },
        insights=_insights_due(pool, observed) <= now,
    )


def next_look(pool: PoolView, observed: PoolObserved, now: datetime) -> float:
    """Seconds until the next look is due; 0 when one is."""
    if observed.access is None:
        return _LONGEST_SECONDS
    times = [_server_due(pool, observed), _insights_due(pool, observed)]
    times += [_due(pool, observed, i) for i in reachable(observed)]
    return min(_LONGEST_SECONDS, max(0.0, (min(times) - now).total_seconds()))


def _later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


def _interval(pool: PoolView) -> float:
    return float(pool.spec.health_check.interval_seconds)


def _console_interval(pool: PoolView) -> float:
    return min(_interval(pool), CONSOLE_SECONDS)


#: Due since ever, and never.
_AT_ONCE: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
_NEVER: Final = datetime.fromisoformat("9000-01-01T00:00:00+00:00")


def _server_due(pool: PoolView, observed: PoolObserved) -> datetime:
    found = observed.kept.server
    if found is None:
        return _AT_ONCE
    due = [_later(found.at, _interval(pool))]
    broke = observed.kept.watch_broke_at
    if broke is not None and broke > found.at:
        due.append(_AT_ONCE)
    if _never_answered(pool, observed, found.answer):
        due.append(_later(found.at, FIRST_SECONDS))
    if awaits_look(pool, observed, found.at):
        due.append(_AT_ONCE)
    if pool.status.statements or any(_runs_long(pool, f) for f in _findings(observed)):
        due.append(_later(found.at, STATEMENTS_SECONDS))
    if any(_sign_of_trouble(pool, f) and f.at > found.at for f in _findings(observed)):
        due.append(_later(found.at, SIGN_SECONDS))
    if any(_waits_long(pool, f) for f in _findings(observed)):
        due.append(_later(found.at, LONG_SIGN_SECONDS))
    if any(_knows_another(pool, observed, f) for f in _findings(observed)):
        due.append(_AT_ONCE)
    return min(*due, _reconnect_due(pool, found.at))


def _never_answered(pool: PoolView, observed: PoolObserved, answer: Server | Failure) -> bool:
    taken_over = pool.status.server is not None and is_taken_over(pool.status, pool.spec.database, observed)
    return isinstance(answer, Failure) and not taken_over


def _reconnect_due(pool: PoolView, looked_at: datetime) -> datetime:
    reconnect = pool.status.reconnect
    if reconnect is None:
        return _later(looked_at, _interval(pool))
    if reconnect.phase is ReconnectPhase.WAITING and reconnect.next_at is not None and looked_at < reconnect.next_at:
        return reconnect.next_at
    return _later(looked_at, min(_interval(pool), LONGEST_WAIT_SECONDS))


def _findings(observed: PoolObserved) -> Iterator[InstanceFinding]:
    for instance in reachable(observed):
        found = finding_of(observed, instance)
        if found is not None:
            yield found


def _sign_of_trouble(pool: PoolView, finding: InstanceFinding) -> bool:
    """Clients wait while no server connection stands, or while one logs in for longer than a look takes."""
    console = finding.console
    if not isinstance(console, Console) or pool.status.reconnect is not None:
        return False
    standing = console.servers_active + console.servers_idle
    logging_in = console.servers_logging_in > 0 and console.longest_wait_seconds >= SIGN_SECONDS
    return console.clients_waiting > 0 and not console.paused and (standing == 0 or logging_in)


def _waits_long(pool: PoolView, finding: InstanceFinding) -> bool:
    """Whether a client waits for so long that the server connections may hang: no other sign would tell."""
    console = finding.console
    if not isinstance(console, Console) or pool.status.reconnect is not None:
        return False
    return console.clients_waiting > 0 and not console.paused and console.longest_wait_seconds >= LONG_WAIT_SECONDS


def _runs_long(pool: PoolView, finding: InstanceFinding) -> bool:
    """Whether a client has a connection on which nothing was asked for long: something runs on it, or its transaction
    is left open. In session mode it is that of a client that has nothing to do."""
    console = finding.console
    if pool.spec.mode is PoolMode.SESSION or not isinstance(console, Console):
        return False
    busy = (c.asked_at for c in client_connections(console) if c.state == "active")
    return any(at is not None and finding.at - at >= timedelta(seconds=LONG_SECONDS) for at in busy)


def _knows_another(pool: PoolView, observed: PoolObserved, finding: InstanceFinding) -> bool:
    """Whether the instance, looked through after the server was, reached something else."""
    server = server_of(observed)
    if server is None or not isinstance(finding.through, Through) or not newer_than_server(observed, finding):
        return False
    return roles.through_fault(pool.spec, server, finding.through) is not None


def _due(pool: PoolView, observed: PoolObserved, instance: InstanceView) -> datetime:
    """When the instance is to be looked at, in whichever way."""
    finding = finding_of(observed, instance)
    if finding is None:
        return _AT_ONCE
    if not instance.ready and not isinstance(finding.console, Console):
        # It says so when it is ready. Until then, trying it often helps nobody.
        return _later(finding.at, max(_interval(pool), CONSOLE_SECONDS))
    due = [_later(finding.at, _console_interval(pool)), _full_due(pool, observed, instance)]
    if _was_told(observed, instance, finding) or not _is_as_wanted(pool, observed, instance):
        due.append(_later(finding.at, CLOSE_SECONDS))
    return min(due)


def _was_told(observed: PoolObserved, instance: InstanceView, finding: InstanceFinding) -> bool:
    """Whether it was told something since it was looked at."""
    return any(name == instance.name and r.at >= finding.at for (name, _), r in observed.kept.commands.items())


def _is_as_wanted(pool: PoolView, observed: PoolObserved, instance: InstanceView) -> bool:
    """Whether nothing that the operator is bringing about is still open at this instance. Decided by what is found,
    never by the time of this pass: so that what is due, and when, are one answer."""
    finding, wanted = finding_of(observed, instance), pool.status.config_hash
    if finding is None or not isinstance(finding.console, Console):
        return True
    poked = instance.poked is not None and instance.poked == wanted
    reloading = poked and finding.console.config_hash != wanted
    return as_wanted(observed, instance, wants_pause(pool.spec, pool.status.pause, finding.at)) and not reloading


def _full_due(pool: PoolView, observed: PoolObserved, instance: InstanceView) -> datetime:
    """When the instance is to be looked through: not while there is no server, which would only hang."""
    reconnect = pool.status.reconnect
    if reconnect is not None and reconnect.phase is ReconnectPhase.WAITING:
        return _NEVER
    finding = finding_of(observed, instance)
    if finding is None or (finding.through_at is None and isinstance(finding.console, Console)):
        return _AT_ONCE if finding is None else _later(finding.at, CLOSE_SECONDS)
    looked_at = finding.through_at or finding.at
    due = _later(looked_at, _interval(pool))
    if not instance.ready:
        return due
    if _is_verified_now(pool, observed, instance):
        return min(due, _later(finding.at, CLOSE_SECONDS))
    if _is_unseen(pool, observed, instance):
        return _later(finding.at, AT_ONCE_SECONDS)
    if isinstance(finding.through, Failure):
        return min(due, _later(finding.at, _console_interval(pool)))
    if _waits_long(pool, finding):
        return min(due, _later(looked_at, LONG_SIGN_SECONDS))
    return due


def _standing(pool: PoolView, observed: PoolObserved, instance: InstanceView) -> Standing | None:
    reconnect, server = pool.status.reconnect, server_of(observed)
    if reconnect is None or reconnect.phase is ReconnectPhase.WAITING or server is None:
        return None
    return verdict(reconnect, pool.spec, server, observed, instance).standing


def _is_verified_now(pool: PoolView, observed: PoolObserved, instance: InstanceView) -> bool:
    """Looked at since it was told, and not right yet."""
    return _standing(pool, observed, instance) in (Standing.SILENT, Standing.WRONG, Standing.DRAINING)


def _is_unseen(pool: PoolView, observed: PoolObserved, instance: InstanceView) -> bool:
    return _standing(pool, observed, instance) is Standing.UNSEEN


def _insights_due(pool: PoolView, observed: PoolObserved) -> datetime:
    if server_of(observed) is None:
        return _NEVER
    if not observed.kept.insights:
        return _AT_ONCE
    return _later(observed.kept.insights[-1].at, max(_INSIGHTS_SECONDS, 5 * _interval(pool)))
