"""A tier and what is seen of it, as a test wants it: a settled one, and what differs from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus, NodeRole
from sophia_operator.api.conditions import Condition, ConditionType, find, violations
from sophia_operator.core.cache import names
from sophia_operator.core.cache.advance import advance
from sophia_operator.core.cache.decision import TierDecision
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import Node, NodeFinding, ReplicaLink
from sophia_operator.core.cache.settings import live_settings
from sophia_operator.core.cache.table import Table, TableFinding
from sophia_operator.core.cache.views import Kept, NodesView, NodeView, TierAccess, TierObserved, TierView

NOW: Final = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
MEBIBYTE: Final = 1024 * 1024
PRIMARY, REPLICA = "hot-cache-0", "hot-cache-1"
MANAGED: Final[Mapping[str, Any]] = {"level": "Redis", "redis": {"managed": {"replicas": 1}}}
EXTERNAL: Final[Mapping[str, Any]] = {
    "level": "Redis",
    "redis": {"external": {"host": "redis.example.com", "credentialsSecretRef": {"name": "redis-user"}}},
}
TABLE: Final[Mapping[str, Any]] = {"level": "PostgreSQL", "postgresql": {"poolRef": {"name": "orders"}}}
MEMORY: Final[Mapping[str, Any]] = {"level": "Memory"}


def tier(spec: Mapping[str, Any] = MANAGED, status: CacheTierStatus | None = None, **fields: Any) -> TierView:
    """A tier with that spec; `fields` are further ones, as users write them."""
    return TierView(
        namespace="shop",
        name="hot",
        uid="tier-1",
        generation=1,
        resource_version="1",
        created_at=NOW - timedelta(days=1),
        spec=CacheTierSpec.model_validate({**spec, **fields}),
        status=status or CacheTierStatus(),
    )


def view(number: int, **fields: Any) -> NodeView:
    """A node's pod, as it is when all is well."""
    label = names.ROLE_PRIMARY if number == 0 else names.ROLE_REPLICA
    whole: dict[str, Any] = {
        "name": f"hot-cache-{number}",
        "uid": f"pod-{number}",
        "address": f"192.0.2.{number + 1}",
        "ready": True,
        "terminating": False,
        "current": True,
        "role_label": label,
        "started_at": NOW - timedelta(hours=1),
    }
    return NodeView(**{**whole, **fields})


def node(of: TierView, number: int = 0, **fields: Any) -> Node:
    """What it says when all is well."""
    leads = number == 0
    link = ReplicaLink("192.0.2.2", 6379, online=True, offset=1000, lag_seconds=0)
    managed = of.spec.redis is not None and of.spec.redis.managed is not None
    own = {names.MIN_REPLICAS: "1", names.MIN_REPLICAS_LAG: str(names.MIN_REPLICAS_LAG_SECONDS)}
    whole: dict[str, Any] = {
        "role": NodeRole.PRIMARY if leads else NodeRole.REPLICA,
        "version": "redis 7.0.15",
        "run_id": f"run-{number}",
        "replication_id": "history",
        "offset": 1000,
        "primary_host": None if leads else "192.0.2.1",
        "primary_port": None if leads else 6379,
        "link_up": not leads,
        "link_down_seconds": None,
        "replicas": (link,) if leads and managed else (),
        "failover_state": "no-failover",
        "loading": False,
        "used_memory": 12 * MEBIBYTE,
        "max_memory": 256 * MEBIBYTE,
        "keys": 10,
        "hits": 0,
        "misses": 0,
        "evicted": 0,
        "clients": 1,
        "settings": {**live_settings(of), **(own if managed else {})},
        "ping_ms": 0.2,
        "check_ms": 0.5 if leads else None,
        "link_idle_seconds": None if leads else 0,
    }
    return Node(**{**whole, **fields})


def finding(at: datetime, uid: str, answer: Node | CacheFailure, last: Node | None = None) -> NodeFinding:
    """A full look at that time; one that failed comes a minute after one that did not."""
    known = answer if isinstance(answer, Node) else last
    last_at = at if isinstance(answer, Node) else at - timedelta(minutes=2) if last is not None else None
    return NodeFinding(at, uid, answer, known, last_at, full_at=at)


def access(of: TierView) -> TierAccess:
    """All Secrets are there."""
    binding = {"host": "orders-pool", "port": "6432", "database": "orders", "username": "app", "password": "secret"}
    table = of.spec.postgresql is not None
    return TierAccess("hot-client", "secret", "secret", "secret", "secret", pool_binding=binding if table else None)


def observed(of: TierView, at: datetime = NOW, **kept: Any) -> TierObserved:
    """What is seen of a tier when all is well."""
    redis = of.spec.redis
    if redis is None:
        table = TableFinding(at, Table(1, 10, 12 * MEBIBYTE, 0, True, ping_ms=1.0, check_ms=2.0))
        known = Kept(table=table if of.spec.postgresql is not None else None)
        return TierObserved(access=access(of), kept=replace(known, **kept))
    if redis.external is not None:
        seen = NodeView(names.EXTERNAL, "tier-1", redis.external.host, ready=True, terminating=False, current=True)
        known = Kept(nodes={names.EXTERNAL: finding(at, "tier-1", node(of))})
        return TierObserved(nodes=(seen,), access=access(of), kept=replace(known, **kept))
    views = (view(0), view(1))
    found = {v.name: finding(at, v.uid, node(of, number)) for number, v in enumerate(views)}
    return TierObserved(
        stateful_set=NodesView(spec_replicas=2, pods=2, ready_pods=2, caught_up=True, image="localhost/redis:dev"),
        nodes=views,
        access=access(of),
        kept=replace(Kept(nodes=found), **kept),
    )


def answers(seen: TierObserved, name: str, answer: Node | CacheFailure) -> TierObserved:
    """The same, but that node gave this answer to the newest look."""
    before = seen.kept.nodes[name]
    found = {**seen.kept.nodes, name: finding(before.at, before.uid, answer, before.last)}
    return replace(seen, kept=replace(seen.kept, nodes=found))


def failing(seen: TierObserved, name: str, fault: CacheFault, message: str = "its words") -> TierObserved:
    """The same, but that node does not answer."""
    return answers(seen, name, CacheFailure(fault, message))


def later(seen: TierObserved, seconds: float) -> TierObserved:
    """The same, found again so much later."""
    moved = {
        name: replace(f, at=f.at + timedelta(seconds=seconds), full_at=f.at + timedelta(seconds=seconds))
        for name, f in seen.kept.nodes.items()
    }
    return replace(seen, kept=replace(seen.kept, nodes=moved))


def decide(of: TierView, seen: TierObserved, now: datetime = NOW) -> TierDecision:
    """A pass; its conditions keep the rules."""
    decision = advance(of, seen, now, 0.5)
    assert violations(decision.status.conditions, of.generation) == []
    return decision


def settled(spec: Mapping[str, Any] = MANAGED, **fields: Any) -> TierView:
    """A tier of which everything was seen, more than once: `status` has all of it."""
    found = tier(spec, **fields)
    for _ in range(4):
        found = replace(found, status=decide(found, observed(found)).status)
    return found


def condition(decision: TierDecision, kind: ConditionType) -> Condition:
    """That condition."""
    found = find(decision.status.conditions, kind)
    assert found is not None, [c.type for c in decision.status.conditions]
    return found
