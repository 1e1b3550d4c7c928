"""What is known of each node in this pass, and what of it is new enough to act on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.cache_tier_status import CacheTierStatus, NodeRole
from sophia_operator.core.cache import names
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import Node, NodeCommandResult, NodeFinding, NodeVerb
from sophia_operator.core.cache.views import NodeView, TierObserved, TierView

#: A look that is older says nothing any more: neither that a node is there, nor that it is not.
FRESH_SECONDS: Final = 5.0
#: A primary that gave no answer for so long is lost, unless a replica hears from it.
LOST_SECONDS: Final = 3.0
#: A replica that heard from its primary so long ago hears from it. Redis sends something each second.
HEARD_SECONDS: Final = 3
#: Why a look fails at a node that is there: it answers, but not what the operator needs.
_ALIVE: Final = frozenset(
    {
        CacheFault.AUTHENTICATION_FAILED,
        CacheFault.NO_PERMISSION,
        CacheFault.TLS_REQUIRED,
        CacheFault.TLS_UNAVAILABLE,
        CacheFault.TLS_UNTRUSTED,
        CacheFault.LOADING,
    }
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One node as it is seen now."""

    view: NodeView
    ordinal: int
    #: The newest look at this very pod, when it is fresh.
    answer: Node | CacheFailure | None = None
    at: datetime | None = None
    #: What this pod answered last, and when, however long ago.
    last: Node | None = None
    last_at: datetime | None = None
    #: Run of the process of an earlier pod of that name.
    earlier_run: str | None = None
    told: Mapping[str, NodeCommandResult] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.view.name

    @property
    def node(self) -> Node | None:
        """What it says itself; None when it does not answer, or was not asked."""
        return self.answer if isinstance(self.answer, Node) else None

    @property
    def failure(self) -> CacheFailure | None:
        return self.answer if isinstance(self.answer, CacheFailure) else None

    @property
    def refused(self) -> bool:
        return self.failure is not None and self.failure.fault is CacheFault.REFUSED

    @property
    def silent(self) -> bool:
        """Whether nothing came back at all."""
        return self.failure is not None and self.failure.fault not in _ALIVE

    @property
    def is_primary(self) -> bool:
        return self.node is not None and self.node.role is NodeRole.PRIMARY

    @property
    def is_replica(self) -> bool:
        """Whether it says that it is a replica, and will not make itself a primary again."""
        return self.node is not None and self.node.role is NodeRole.REPLICA and not self.handing_over

    @property
    def handing_over(self) -> bool:
        return self.node is not None and self.node.failover_state != "no-failover"

    @property
    def min_replicas(self) -> int | None:
        """How many replicas it wants before it accepts a write, when that was asked. With a longer lag than agreed
        it is as if it wanted none."""
        if self.node is None or names.MIN_REPLICAS not in self.node.settings:
            return None
        lag = _number(self.node.settings.get(names.MIN_REPLICAS_LAG))
        wanted = _number(self.node.settings.get(names.MIN_REPLICAS))
        return wanted if lag is not None and 0 < lag <= names.MIN_REPLICAS_LAG_SECONDS else 0

    def told_since_look(self, verb: NodeVerb) -> bool:
        """Whether it was told that after the newest look, so that what came of it is not seen yet."""
        result = self.told.get(verb.value)
        return result is not None and (self.at is None or result.at >= self.at)


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that a plan is made from."""

    tier: TierView
    observed: TierObserved
    now: datetime
    jitter: float
    nodes: tuple[Seen, ...]
    #: Nodes that the spec asks for.
    wanted: int

    @property
    def status(self) -> CacheTierStatus:
        return self.tier.status

    @property
    def paused(self) -> bool:
        return self.tier.spec.paused

    def get(self, name: str | None) -> Seen | None:
        return next((n for n in self.nodes if n.name == name), None)

    def others(self, *but: str | None) -> tuple[Seen, ...]:
        return tuple(n for n in self.nodes if n.name not in but)

    def since(self, moment: datetime) -> float:
        return (self.now - moment).total_seconds()


def sight(tier: TierView, observed: TierObserved, now: datetime, jitter: float) -> Sight:
    """What is seen of a managed level."""
    managed = tier.spec.redis.managed if tier.spec.redis is not None else None
    seen = sorted((_seen(view, observed, now) for view in observed.nodes), key=lambda n: n.ordinal)
    return Sight(tier, observed, now, jitter, tuple(seen), (managed.replicas if managed is not None else 0) + 1)


def _seen(view: NodeView, observed: TierObserved, now: datetime) -> Seen:
    ordinal = int(view.name.rpartition("-")[2]) if view.name.rpartition("-")[2].isdigit() else 0
    told = {verb: result for (name, verb), result in observed.kept.commands.items() if name == view.name}
    found = observed.kept.nodes.get(view.name)
    if found is None:
        return Seen(view, ordinal, told=told)
    if found.uid != view.uid:
        earlier = _last(found)
        return Seen(view, ordinal, earlier_run=earlier.run_id if earlier is not None else None)
    fresh = now - found.at <= timedelta(seconds=FRESH_SECONDS)
    last_at = found.at if isinstance(found.answer, Node) else found.last_at
    return Seen(view, ordinal, found.answer if fresh else None, found.at, _last(found), last_at, told=told)


def _last(found: NodeFinding) -> Node | None:
    return found.answer if isinstance(found.answer, Node) else found.last


def follows(replica: Seen, primary: Seen) -> bool:
    """Whether it says that it follows that node."""
    node = replica.node
    address = primary.view.address
    if node is None or node.role is not NodeRole.REPLICA or address is None:
        return False
    return node.primary_host == address and node.primary_port != names.FENCE_PORT


def hears(replica: Seen, primary: Seen) -> bool:
    """Whether it hears from that node."""
    node = replica.node
    if node is None or not follows(replica, primary) or not node.link_up:
        return False
    return node.link_idle_seconds is None or node.link_idle_seconds <= HEARD_SECONDS


def heard(primary: Seen, nodes: Iterable[Seen]) -> bool:
    """Whether any node hears from it."""
    return any(hears(n, primary) for n in nodes if n.name != primary.name)


def synced(replica: Seen, primary: Seen) -> bool:
    """Whether it has all that the primary has, as both say."""
    node, head = replica.node, primary.node
    if node is None or head is None or not replica.is_replica or node.loading:
        return False
    online = any(link.online and link.address == replica.view.address for link in head.replicas)
    return follows(replica, primary) and node.link_up and online


def lost(primary: Seen, sight: Sight) -> bool:
    """Whether a primary is not there any more, for all that can be known."""
    if primary.view.ended:
        return True
    if not primary.silent or heard(primary, sight.nodes):
        return False
    return primary.refused or primary.last_at is None or sight.since(primary.last_at) >= LOST_SECONDS


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
