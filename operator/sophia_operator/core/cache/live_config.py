"""Settings that nodes take live: which differ from what is wanted, and who is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.core.cache.findings import Node, NodeCommand, NodeVerb
from sophia_operator.core.cache.settings import DEFAULTS, live_settings
from sophia_operator.core.cache.sight import finding_of, node_of, reachable
from sophia_operator.core.cache.views import NodeView, TierObserved, TierView

#: A node is told at most so often; one that refused, less often.
AGAIN_SECONDS: Final = 1.0
REFUSED_SECONDS: Final = 10.0


def differing(wanted: Mapping[str, str], node: Node) -> dict[str, str]:
    """What the node has otherwise than wanted. What it does not know is not among it: it would refuse all."""
    return {name: value for name, value in wanted.items() if node.settings.get(name, value) != value}


def unknown(wanted: Mapping[str, str], node: Node) -> list[str]:
    """Settings that the node does not have; empty when it was not asked for any. Servers come and go with settings:
    one that nobody asked for, and that would only be put back to its default, is none to miss."""
    asked = {name for name, value in wanted.items() if DEFAULTS.get(name) != value}
    return sorted(asked - node.settings.keys()) if node.settings else []


def is_current(tier: TierView, node: Node) -> bool | None:
    """Whether it has every setting as wanted; None when nothing is wanted, or it was not asked."""
    wanted = live_settings(tier)
    if not wanted or not node.settings:
        return None
    return not differing(wanted, node) and not unknown(wanted, node)


def configure(
    tier: TierView, observed: TierObserved, now: datetime, busy: Collection[str] = ()
) -> tuple[NodeCommand, ...]:
    """One command to each node that has something otherwise; not to those that are `busy` with other settings."""
    wanted = live_settings(tier)
    out: list[NodeCommand] = []
    for view in reachable(observed):
        node = node_of(observed, view)
        if node is None or view.name in busy or not _may_tell(observed, view, now):
            continue
        settings = differing(wanted, node)
        if settings:
            out.append(NodeCommand(view.name, NodeVerb.CONFIGURE, settings=tuple(sorted(settings.items()))))
    return tuple(out)


def _may_tell(observed: TierObserved, view: NodeView, now: datetime) -> bool:
    """Not until it was looked at again, and not more often than helps."""
    finding, told = finding_of(observed, view), observed.kept.commands.get((view.name, NodeVerb.CONFIGURE.value))
    if finding is None or told is None:
        return finding is not None
    wait = AGAIN_SECONDS if told.failure is None else REFUSED_SECONDS
    return finding.at > told.at and now - told.at >= timedelta(seconds=wait)
