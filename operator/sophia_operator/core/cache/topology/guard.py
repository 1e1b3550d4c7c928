"""Whether the primary accepts writes while it has no replica, and what the status says of that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sophia_operator.core.cache import names
from sophia_operator.core.cache.findings import NodeCommand, NodeVerb
from sophia_operator.core.cache.topology.sight import Seen, Sight, synced

#: After a command of which it is not known whether it was carried out, looks are believed again from then on.
_DOUBT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Guard:
    """What the status says from now on, and what the primary is told then."""

    guarded: bool
    command: NodeCommand | None = None


def guard_command(node: str, replicas: int) -> NodeCommand:
    """Accept writes only with so many replicas."""
    lag = str(names.MIN_REPLICAS_LAG_SECONDS)
    return NodeCommand(
        node, NodeVerb.CONFIGURE, settings=((names.MIN_REPLICAS, str(replicas)), (names.MIN_REPLICAS_LAG, lag))
    )


def stays(sight: Sight, seen: Seen) -> bool:
    """Whether the node is to be there for longer."""
    return not seen.view.terminating and (seen.ordinal < sight.wanted or sight.paused)


def wanted_replicas(sight: Sight, primary: Seen, going: Collection[str] = ()) -> int:
    """1 while there is a replica in sync that stays, else 0."""
    return int(any(synced(n, primary) and stays(sight, n) and n.name not in going for n in sight.others(primary.name)))


def guard(sight: Sight, primary: Seen, guarded: bool, wanted: int) -> Guard:
    """`guarded` becomes true after a look says so, and false before the primary is told 0."""
    has = primary.min_replicas
    if has is None:
        return Guard(guarded)  # not asked for in this look
    unseen = primary.told_since_look(NodeVerb.CONFIGURE)
    command = None if has == wanted or unseen else guard_command(primary.name, wanted)
    if wanted == 0 or has == 0:
        return Guard(False, command)
    return Guard(guarded or not (unseen or _in_doubt(sight, primary)), command)


def _in_doubt(sight: Sight, primary: Seen) -> bool:
    result = primary.told.get(NodeVerb.CONFIGURE.value)
    if result is None or result.failure is None:
        return False
    return sight.now - result.at < timedelta(seconds=_DOUBT_SECONDS)
