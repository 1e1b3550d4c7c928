"""Which instances are told to read their configuration anew.

One whose time limit for logging in is not that of its file is so as well: RECONNECT makes it short for a moment, and
may have been interrupted there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sophia_operator.core.pool.findings import Command, Console, Verb
from sophia_operator.core.pool.sight import finding_of, may_tell, reachable, told_at
from sophia_operator.core.pool.views import InstanceView, PoolObserved, PoolView

_LIMIT: Final = "server_connect_timeout"


def reloads(pool: PoolView, observed: PoolObserved, now: datetime) -> tuple[Command, ...]:
    """Those whose volume was made to look at the newest configuration, and whose console shows another one."""
    wanted = pool.status.config_hash
    if wanted is None:
        return ()
    limit = pool.spec.connect_timeout_seconds
    due = (i for i in reachable(observed) if _should_reload(observed, i, wanted, limit, now))
    return tuple(Command(i.name, Verb.RELOAD) for i in due)


def _should_reload(observed: PoolObserved, instance: InstanceView, wanted: str, limit: int, now: datetime) -> bool:
    finding = finding_of(observed, instance)
    if instance.poked != wanted or finding is None or not isinstance(finding.console, Console):
        return False
    hurried = float(finding.console.settings.get(_LIMIT, limit)) != limit
    as_wanted = finding.console.config_hash == wanted and not hurried
    if as_wanted or not may_tell(observed, instance.name, Verb.RELOAD, now):
        return False
    told = told_at(observed, instance.name, Verb.RELOAD)
    return told is None or told < finding.at  # else it is looked at first
