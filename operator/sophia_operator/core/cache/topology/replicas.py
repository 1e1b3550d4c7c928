"""What replicas, and nodes that should be replicas, are told; and what the primary is told about having none."""

from __future__ import annotations

from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import NodeCommand, NodeVerb
from sophia_operator.core.cache.topology.guard import guard_command
from sophia_operator.core.cache.topology.sight import Seen, Sight, follows


def follow(sight: Sight, primary: Seen) -> tuple[NodeCommand, ...]:
    """Every other node follows the primary, and would as a primary of its own want a replica."""
    out: list[NodeCommand] = []
    for seen in sight.others(primary.name):
        if seen.node is None or seen.handing_over:
            continue
        strays = seen.is_primary or not follows(seen, primary)
        if strays and not seen.told_since_look(NodeVerb.FOLLOW):
            out.append(NodeCommand(seen.name, NodeVerb.FOLLOW, primary.name))
            if seen.is_primary:
                out.append(NodeCommand(seen.name, NodeVerb.DISCONNECT_CLIENTS))
        elif seen.is_replica and seen.min_replicas not in (None, 1) and not seen.told_since_look(NodeVerb.CONFIGURE):
            out.append(guard_command(seen.name, 1))
    return tuple(out)


def strangers(sight: Sight, primary: Seen) -> tuple[Reason, str] | None:
    """Others that say that they are primaries."""
    others = [n.name for n in sight.others(primary.name) if n.is_primary]
    if not others:
        return None
    who = ", ".join(others)
    message = f"{who} says that it is a primary beside {primary.name}, which stays; it is made a replica, with its data"
    return Reason.TWO_PRIMARIES, message
