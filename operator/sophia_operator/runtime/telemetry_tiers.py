"""Metrics about cache tiers, from their statuses. Every series about a tier goes when the tier does."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import (
    CacheTierStatus,
    FlushPhase,
    NamespaceStatus,
    NodeRole,
    NodeStatus,
)
from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.runtime.telemetry_series import set_quantiles, set_value

_TIER: Final = ("namespace", "tier")
_NODE: Final = (*_TIER, "node")
_KEYS: Final = (*_TIER, "cache_namespace")
_FAILOVER_BUCKETS: Final = (0.5, 1, 2, 3, 5, 10, 15, 30, 60, 300, 1800)
_MEBIBYTE: Final = 1024 * 1024
#: Conditions that are told as 1 (True) or 0 (False); while one is Unknown there is no series.
_CONDITIONS: Final = {
    ConditionType.READY: ("sophia_cache_ready", "Whether the tier is ready."),
    ConditionType.HEALTHY: ("sophia_cache_healthy", "Whether the tier's checks pass."),
    ConditionType.WITHIN_QUOTA: ("sophia_cache_within_quota", "Whether every namespace keeps to its quota."),
    ConditionType.HIT_RATIO_ON_TARGET: ("sophia_cache_hit_ratio_on_target", "Whether the hit ratio is on target."),
    ConditionType.LIVE_CONFIG_APPLIED: ("sophia_cache_live_config_applied", "Whether nodes have their settings."),
}
_FIGURES: Final = {
    "keys": ("sophia_cache_keys", "Keys in all, as the last scan found them."),
    "unclaimed_keys": ("sophia_cache_unclaimed_keys", "Keys of no namespace, which are left alone."),
    "hit_ratio_percent": ("sophia_cache_hit_ratio_percent", "Hit ratio over the last checks."),
    "score": ("sophia_cache_score", "Health from 0 to 100."),
}
_OF_NAMESPACES: Final = {
    "keys": ("sophia_cache_namespace_keys", "Keys of a namespace."),
    "used_bytes": ("sophia_cache_namespace_used_bytes", "Memory of a namespace, estimated from a sample."),
    "quota_percent": ("sophia_cache_namespace_quota_percent", "Share of its quota that a namespace uses."),
    "without_ttl_keys": ("sophia_cache_namespace_keys_without_ttl", "Keys that had no TTL when they were found."),
    "hit_ratio_percent": ("sophia_cache_namespace_hit_ratio_percent", "Hit ratio of a namespace."),
    "generation": ("sophia_cache_namespace_generation", "Number of the generation in use."),
}

Place = tuple[str, str]


class TierTelemetry:
    """Metrics about tiers, in the operator's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Gauge("sophia_cache_tiers", "CacheTiers that have a loop.", registry=registry)
        self._conditions = {kind: Gauge(*text, _TIER, registry=registry) for kind, text in _CONDITIONS.items()}
        self._figures = {name: Gauge(*text, _TIER, registry=registry) for name, text in _FIGURES.items()}
        self._spaces = {name: Gauge(*text, _KEYS, registry=registry) for name, text in _OF_NAMESPACES.items()}
        self._primary = Gauge(
            "sophia_cache_has_primary", "Whether a node accepts writes; of managed levels.", _TIER, registry=registry
        )
        self._latency = Gauge(
            "sophia_cache_check_milliseconds", "Time of a check.", (*_TIER, "quantile"), registry=registry
        )
        self._up = Gauge("sophia_cache_node_ready", "Whether a node is ready.", _NODE, registry=registry)
        self._role = Gauge("sophia_cache_node_primary", "Whether a node is the primary.", _NODE, registry=registry)
        self._used = Gauge("sophia_cache_node_used_bytes", "Memory that a node uses.", _NODE, registry=registry)
        self._lag = Gauge("sophia_cache_node_lag_bytes", "How far a replica trails behind.", _NODE, registry=registry)
        self._most = Gauge(
            "sophia_cache_max_bytes", "Memory for entries in each node, as the spec says.", _TIER, registry=registry
        )
        self._failing_over = Gauge(
            "sophia_cache_failing_over", "1 while the primary changes.", _TIER, registry=registry
        )
        self._failovers = Counter(
            "sophia_cache_failovers", "Changes of the primary that ended.", (*_TIER, "planned"), registry=registry
        )
        self._durations = Histogram(
            "sophia_cache_failover_duration_seconds",
            "Time from the start of a change of the primary until the new one was seen.",
            (*_TIER, "planned"),
            buckets=_FAILOVER_BUCKETS,
            registry=registry,
        )
        self._flushing = Gauge("sophia_cache_flushing", "1 while a flush is under way.", _TIER, registry=registry)
        self._flush_paused = Gauge("sophia_cache_flush_paused", "1 while it is paused.", _TIER, registry=registry)
        self._flushed = Counter("sophia_cache_flushed_keys", "Keys that flushes deleted.", _TIER, registry=registry)
        #: When the newest failover ended that was counted, by tier; None: there was none.
        self._counted: dict[Place, datetime | None] = {}
        #: By tier: when each flush began that is known, and how much of it was counted.
        self._deleted: dict[Place, dict[datetime, int]] = {}
        #: Nodes and namespaces that have series, by tier. To look for them among those of all tiers would take long.
        self._nodes: dict[Place, set[str]] = {}
        self._names: dict[Place, set[str]] = {}

    def started(self) -> None:
        """A tier has a loop now."""
        self._count.inc()

    def seen(self, namespace: str, tier: str, spec: CacheTierSpec, status: CacheTierStatus) -> None:
        """A tier is as its status says."""
        place = (namespace, tier)
        for kind, gauge in self._conditions.items():
            found = find(status.conditions, kind)
            known = found is not None and found.status is not ConditionStatus.UNKNOWN
            value = float(found.status is ConditionStatus.TRUE) if found is not None and known else None
            set_value(gauge, place, value)
        for name, gauge in self._figures.items():
            set_value(gauge, place, getattr(status, name))
        managed = spec.redis.managed if spec.redis is not None else None
        set_value(self._primary, place, float(status.primary is not None) if managed is not None else None)
        set_value(self._most, place, managed.max_memory_megabytes * _MEBIBYTE if managed is not None else None)
        set_quantiles(self._latency, place, status.latency_ms)
        self._failing_over.labels(*place).set(status.failover is not None)
        self._flushing.labels(*place).set(status.flush is not None)
        self._flush_paused.labels(*place).set(status.flush is not None and status.flush.phase is FlushPhase.PAUSED)
        self._count_failovers(place, status)
        self._count_flushed(place, status)
        self._set_nodes(place, status.nodes)
        self._set_namespaces(place, status.namespaces)

    def forget(self, namespace: str, tier: str) -> None:
        """The tier is gone, and its series go with it."""
        self._count.dec()
        memories: tuple[dict[Place, datetime | None] | dict[Place, dict[datetime, int]] | dict[Place, set[str]], ...]
        memories = (self._counted, self._deleted, self._nodes, self._names)
        for memory in memories:
            memory.pop((namespace, tier), None)
        metrics: tuple[Gauge | Counter | Histogram, ...] = (
            *self._conditions.values(),
            *self._figures.values(),
            *self._spaces.values(),
            *(self._primary, self._latency, self._most, self._failing_over, self._failovers, self._durations),
            *(self._up, self._role, self._used, self._lag, self._flushing, self._flush_paused, self._flushed),
        )
        for metric in metrics:
            metric.remove_by_labels({"namespace": namespace, "tier": tier})

    def _count_failovers(self, place: Place, status: CacheTierStatus) -> None:
        newest = status.failovers[-1].ended_at if status.failovers else None
        for planned in ("true", "false"):
            # So that the first one is an increase.
            self._failovers.labels(*place, planned)
        # Those from before this process have been counted by another one.
        known = self._counted.setdefault(place, newest)
        for past in status.failovers:
            if known is None or past.ended_at > known:
                planned = str(past.planned).lower()
                self._failovers.labels(*place, planned).inc()
                duration = max(0.0, (past.ended_at - past.started_at).total_seconds())
                self._durations.labels(*place, planned).observe(duration)
        self._counted[place] = newest

    def _count_flushed(self, place: Place, status: CacheTierStatus) -> None:
        flushes = [*status.flushes, *([status.flush] if status.flush is not None else [])]
        counter, first = self._flushed.labels(*place), place not in self._deleted
        known = self._deleted.get(place, {})
        for flush in flushes:
            # What was deleted before this process has been counted by another one.
            more = 0 if first else flush.deleted - known.get(flush.started_at, 0)
            counter.inc(max(0, more))
        self._deleted[place] = {flush.started_at: flush.deleted for flush in flushes}

    def _set_nodes(self, place: Place, nodes: list[NodeStatus]) -> None:
        for gone in self._nodes.get(place, set()) - {node.name for node in nodes}:
            for gauge in (self._up, self._role, self._used, self._lag):
                set_value(gauge, (*place, gone), None)
        self._nodes[place] = {node.name for node in nodes}
        for node in nodes:
            labels, used = (*place, node.name), node.used_memory_megabytes
            set_value(self._up, labels, float(node.ready))
            set_value(self._role, labels, float(node.role is NodeRole.PRIMARY) if node.role is not None else None)
            set_value(self._used, labels, used * _MEBIBYTE if used is not None else None)
            set_value(self._lag, labels, node.lag_bytes)

    def _set_namespaces(self, place: Place, namespaces: list[NamespaceStatus]) -> None:
        for gone in self._names.get(place, set()) - {n.name for n in namespaces}:
            for gauge in self._spaces.values():
                set_value(gauge, (*place, gone), None)
        self._names[place] = {n.name for n in namespaces}
        for found in namespaces:
            for name, gauge in self._spaces.items():
                set_value(gauge, (*place, found.name), getattr(found, name))
