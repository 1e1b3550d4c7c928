"""Nodes of a Redis level as a pass sees them, made in a line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus, FailoverPhase, FailoverStatus, NodeRole
from sophia_operator.core.cache import names
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import Node, NodeCommandResult, NodeFinding, ReplicaLink
from sophia_operator.core.cache.topology import TopologyPlan, plan_topology
from sophia_operator.core.cache.topology.sight import Sight, sight
from sophia_operator.core.cache.views import Kept, NodesView, NodeView, TierObserved, TierView

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED: Final = CacheFailure(CacheFault.REFUSED, "connection refused")
SILENT: Final = CacheFailure(CacheFault.TIMEOUT, "no answer within 2 s")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def name(index: int) -> str:
    return f"shop-cache-{index}"


def address(index: int) -> str:
    return f"10.0.0.{index + 10}"


def view(index: int, **more: Any) -> NodeView:
    label = {"role_label": names.ROLE_PRIMARY if index == 0 else names.ROLE_REPLICA}
    given = {"uid": f"u{index}", "address": address(index), "ready": True, "terminating": False, "current": True}
    return NodeView(name(index), **{**given, "started_at": START, **label, **more})


def node(index: int, role: NodeRole, **more: Any) -> Node:
    given: dict[str, Any] = {
        "role": role,
        "version": "redis 7.0.15",
        "run_id": f"run{index}",
        "replication_id": "h1",
        "offset": 100,
        "primary_host": None,
        "primary_port": None,
        "link_up": False,
        "link_down_seconds": None,
        "replicas": (),
        "failover_state": "no-failover",
        "loading": False,
        "used_memory": 1,
        "max_memory": 100,
        "keys": 10,
        "hits": 0,
        "misses": 0,
        "evicted": 0,
        "clients": 1,
        "settings": guarding(1),
    }
    return Node(**{**given, **more})


def guarding(replicas: int, lag: int = 5) -> dict[str, str]:
    return {names.MIN_REPLICAS: str(replicas), names.MIN_REPLICAS_LAG: str(lag)}


def head(index: int = 0, replicas: tuple[int, ...] = (1,), **more: Any) -> Node:
    """A primary with those replicas."""
    links = tuple(ReplicaLink(address(i), names.PORT, True, 100, 0) for i in replicas)
    return node(index, NodeRole.PRIMARY, replicas=links, **more)


def replica(index: int, of: int | None = 0, **more: Any) -> Node:
    """A replica of that node, in sync; of None: one that was just started."""
    if of is None:
        start = {"primary_host": names.FENCE_HOST, "primary_port": names.FENCE_PORT, "link_down_seconds": 1}
        return node(index, NodeRole.REPLICA, **{**start, "replication_id": f"own{index}", "offset": 0, **more})
    follows = {"primary_host": address(of), "primary_port": names.PORT, "link_up": True, "link_idle_seconds": 0}
    return node(index, NodeRole.REPLICA, **{**follows, **more})


class Scene:
    """A primary and its replicas, all well; tests change what they need."""

    def __init__(self, nodes: int = 2, **managed: Any) -> None:
        self.managed: dict[str, Any] = {"replicas": nodes - 1, **managed}
        self.paused = False
        self.now = at(100)
        self.views = {i: view(i) for i in range(nodes)}
        others = tuple(range(1, nodes))
        self.answers: dict[int, Node | CacheFailure] = {0: head(0, others), **{i: replica(i) for i in others}}
        self.last: dict[int, tuple[Node, float]] = {}
        self.told: dict[tuple[str, str], NodeCommandResult] = {}
        self.looked = at(100)
        self.count = nodes
        self.caught_up = True
        self.status = CacheTierStatus(primary=name(0), primary_run_id="run0", guarded=nodes > 1, scale=nodes)

    def change(self, index: int, **more: Any) -> Scene:
        self.views[index] = replace(self.views[index], **more)
        return self

    def says(self, index: int, answer: Node | CacheFailure, last: Node | None = None, seconds_ago: float = 4) -> Scene:
        """What a node answers; and, when that is no answer, what it answered last."""
        before = last if last is not None else self.answers.get(index)
        if isinstance(answer, CacheFailure) and isinstance(before, Node):
            self.last[index] = (before, seconds_ago)
        self.answers[index] = answer
        return self

    def failover(self, phase: FailoverPhase, *, planned: bool = False, ago: float = 10, **more: Any) -> Scene:
        state = FailoverStatus(
            phase=phase,
            cause="the process of shop-cache-0 ended",
            planned=planned,
            started_at=self.now - timedelta(seconds=ago),
            **{"from_node": name(0), **more},
        )
        primary = name(0) if planned else None
        self.status = self.status.model_copy(update={"failover": state, "primary": primary})
        return self

    def set(self, **more: Any) -> Scene:
        self.status = self.status.model_copy(update=more)
        return self

    def parts(self) -> tuple[TierView, TierObserved]:
        found: dict[str, NodeFinding] = {}
        for index, answer in self.answers.items():
            if index not in self.views:
                continue
            last, ago = self.last.get(index, (None, 0.0))
            last_at = self.now - timedelta(seconds=ago) if last is not None else None
            uid = self.views[index].uid
            found[name(index)] = NodeFinding(self.looked, uid, answer, last, last_at)
        spec = CacheTierSpec.model_validate(
            {"level": "Redis", "redis": {"managed": self.managed}, "paused": self.paused}
        )
        tier = TierView("shop", "shop", "u", 1, "1", START, spec, self.status)
        views = tuple(self.views.values())
        sts = NodesView(self.count, len(views), len(views), self.caught_up, None)
        return tier, TierObserved(stateful_set=sts, nodes=views, kept=Kept(nodes=found, commands=self.told))

    def sight(self) -> Sight:
        return sight(*self.parts(), self.now, 0.5)

    def plan(self) -> TopologyPlan:
        return plan_topology(*self.parts(), self.now, 0.5)


def told(plan: TopologyPlan) -> list[str]:
    """The commands in short, as in `0 Follow 1`."""
    out = []
    for command in plan.commands:
        settings = [dict(command.settings)[names.MIN_REPLICAS]] if command.settings else []
        target = [command.target[-1]] if command.target is not None else []
        out.append(" ".join([command.node[-1], command.verb.value, *target, *settings]))
    return out
