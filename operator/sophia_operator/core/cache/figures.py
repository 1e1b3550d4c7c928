"""What a status says in numbers: of each node, and of the level as a whole.

Figures that change all the time are written down only when they say something else than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sophia_operator.api.cache_tier import CacheLevel, CacheTierSpec
from sophia_operator.api.cache_tier_status import (
    MAX_NODES,
    NodeRole,
    NodeStatus,
)
from sophia_operator.api.connection_pool_status import Percentiles
from sophia_operator.core import latencies
from sophia_operator.core.cache import remedies
from sophia_operator.core.cache.findings import Node
from sophia_operator.core.cache.live_config import is_current
from sophia_operator.core.cache.sight import failure_of, finding_of, is_synced, node_of, primary_of, table_of, view_of
from sophia_operator.core.cache.views import NodeView, TierObserved, TierView
from sophia_operator.core.steady import differs

MEBIBYTE: Final = 1024 * 1024
_MEMORY_STEP: Final = 4.0
_LAG_STEP: Final = float(MEBIBYTE)
_LAG_SHARE: Final = 0.2
#: A check that takes longer is slow, in milliseconds, where the spec does not say.
_SLOW: Final = {CacheLevel.REDIS: 5, CacheLevel.POSTGRESQL: 20}


def slow_ms(spec: CacheTierSpec) -> int:
    """A check that takes longer is slow."""
    return spec.health_check.max_latency_ms or _SLOW.get(spec.level, 1)


def nodes(tier: TierView, observed: TierObserved, primary: str | None) -> list[NodeStatus]:
    """Each node, by name."""
    old = {n.name: n for n in tier.status.nodes}
    there = sorted(observed.nodes, key=lambda n: n.name)[:MAX_NODES]
    return [_node(tier, observed, view, primary, old.get(view.name)) for view in there]


def _node(
    tier: TierView, observed: TierObserved, view: NodeView, primary: str | None, old: NodeStatus | None
) -> NodeStatus:
    before = old if old is not None else NodeStatus(name=view.name, ready=view.ready)
    if finding_of(observed, view) is None:
        same = old is not None and old.ready
        return before.model_copy(update={"ready": view.ready, **({} if same else {"synced": None})})
    node = node_of(observed, view)
    if node is None:
        update = {"ready": view.ready, "role": None, "synced": None, "message": _trouble(tier, observed, view)}
        return before.model_copy(update=update)
    return before.model_copy(
        update={
            "ready": view.ready,
            "role": node.role,
            "synced": is_synced(observed, view, primary),
            "version": node.version[:64],
            "run_id": node.run_id[:64],
            "config_current": is_current(tier, node),
            "used_memory_megabytes": _memory(before.used_memory_megabytes, node),
            "lag_bytes": _lag(observed, view, node, primary, before.lag_bytes),
            "message": _trouble(tier, observed, view),
        }
    )


def _trouble(tier: TierView, observed: TierObserved, view: NodeView) -> str | None:
    failure, node = failure_of(observed, view), node_of(observed, view)
    if failure is None and node is not None:
        failure = node.check_failure
    return remedies.of_node(tier, view.name, failure)[1][:512] if failure is not None else None


def _memory(old: int | None, node: Node) -> int:
    """Memory in MiB. Near its limit every few percent say something else: somebody may have to act."""
    new = round(node.used_memory / MEBIBYTE)
    limit = node.max_memory // MEBIBYTE
    if old is not None and limit and _share(new, limit) != _share(old, limit):
        return new
    return _steady(old, new, _MEMORY_STEP)


def _share(megabytes: int, limit: int) -> int:
    """The share of the limit in steps of 5 %, below 70 % as one."""
    return max(14, 100 * megabytes // limit // 5)


def _steady(old: int | None, new: int, least: float) -> int:
    return new if old is None or differs(old, new, least) else old


def _lag(observed: TierObserved, view: NodeView, node: Node, primary: str | None, old: int | None) -> int | None:
    """As both see it, at one moment. The primary hears of a replica once in a second, and is sent much meanwhile."""
    leader = view_of(observed, primary)
    head = primary_of(observed, primary)
    if node.role is not NodeRole.REPLICA:
        return None
    link = next((n for n in head.replicas if n.address == view.address), None) if head is not None else None
    if head is None or leader is None or link is None:
        return old
    mine, its = finding_of(observed, view), finding_of(observed, leader)
    at_once = mine is not None and its is not None and mine.at == its.at and node.replication_id == head.replication_id
    lag = max(0, head.offset - max(link.offset, node.offset if at_once else 0))
    if old is not None and abs(lag - old) < max(_LAG_STEP, _LAG_SHARE * old):
        return old
    return 0 if lag < _LAG_STEP else lag


def used(tier: TierView, observed: TierObserved, members: Sequence[NodeStatus], primary: str | None) -> str | None:
    """Memory in use of that allowed; what was known before while nothing newer is."""
    before, table = tier.status.used, table_of(observed)
    if tier.spec.level is CacheLevel.POSTGRESQL:
        return before if table is None else f"{_steady(_megabytes(before), round(table.used_bytes / MEBIBYTE), 1.0)}Mi"
    head = primary_of(observed, primary)
    mine = next((n for n in members if n.name == primary), None)
    if head is None or mine is None or mine.used_memory_megabytes is None:
        return before
    allowed = f"/{head.max_memory // MEBIBYTE}Mi" if head.max_memory else ""
    return f"{mine.used_memory_megabytes}Mi{allowed}"


def _megabytes(text: str | None) -> int | None:
    number = (text or "").removesuffix("Mi")
    return int(number) if number.isdigit() else None


def latency(tier: TierView, observed: TierObserved, primary: str | None) -> Percentiles | None:
    """How long checks take."""
    view, table = view_of(observed, primary), table_of(observed)
    head = node_of(observed, view) if view is not None else None
    fresh = (head is not None and head.check_ms is not None) or (table is not None and table.check_ms is not None)
    return latencies.percentiles(tier.status.latency_ms, observed.kept.latencies_ms, fresh, float(slow_ms(tier.spec)))
