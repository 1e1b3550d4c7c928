"""What is seen of a pool, picked out: which instances count, and what is known of each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sophia_operator.core.pool.findings import Console, Failure, InstanceFinding, Server, ServerConnection, Verb
from sophia_operator.core.pool.names import CHECK_DATABASE
from sophia_operator.core.pool.views import InstanceView, PoolObserved

#: A command that was not carried out, or did not do what it should, is given again so much later.
AGAIN_SECONDS: Final = 1.0


def reachable(observed: PoolObserved) -> tuple[InstanceView, ...]:
    """Instances that can be looked at and told something: none that is on its way out."""
    return tuple(i for i in observed.instances if i.address is not None and not i.terminating)


def serving(observed: PoolObserved) -> tuple[InstanceView, ...]:
    """Instances that the Service sends clients to."""
    return tuple(i for i in reachable(observed) if i.ready)


def finding_of(observed: PoolObserved, instance: InstanceView) -> InstanceFinding | None:
    """What was found at this very pod; of another pod of the same name nothing counts."""
    found = observed.kept.instances.get(instance.name)
    return found if found is not None and found.uid == instance.uid else None


def console_of(observed: PoolObserved, instance: InstanceView) -> Console | None:
    """What its console showed last; None when it was not seen, or did not answer."""
    found = finding_of(observed, instance)
    return found.console if found is not None and isinstance(found.console, Console) else None


def server_of(observed: PoolObserved) -> Server | None:
    """The server, when it answered the newest check."""
    found = observed.kept.server
    return found.answer if found is not None and isinstance(found.answer, Server) else None


def failure_of(observed: PoolObserved) -> Failure | None:
    """Why the server did not answer the newest check."""
    found = observed.kept.server
    return found.answer if found is not None and isinstance(found.answer, Failure) else None


def client_connections(console: Console) -> tuple[ServerConnection, ...]:
    """The server connections that clients use: not the one for checks."""
    return tuple(c for c in console.connections if c.database != CHECK_DATABASE)


def told_at(observed: PoolObserved, instance: str, *verbs: Verb) -> datetime | None:
    """When the instance last carried out one of the commands; None when it is not known to have."""
    results = (observed.kept.commands.get((instance, verb.value)) for verb in verbs)
    return max((r.at for r in results if r is not None and r.failure is None), default=None)


def may_tell(observed: PoolObserved, instance: str, verb: Verb, now: datetime) -> bool:
    """Whether the command was not given within the last second."""
    result = observed.kept.commands.get((instance, verb.value))
    return result is None or now - result.at >= timedelta(seconds=AGAIN_SECONDS)
