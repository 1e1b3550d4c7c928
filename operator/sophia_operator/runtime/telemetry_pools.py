"""Metrics about pools, from their statuses. Every series about a pool goes when the pool does."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus, InstanceStatus
from sophia_operator.runtime.telemetry_series import set_quantiles, set_value

_POOL: Final = ("namespace", "pool")
_INSTANCE: Final = (*_POOL, "instance")
_RECONNECT_BUCKETS: Final = (0.5, 1, 2, 3, 5, 10, 30, 60, 300, 1800)
#: Conditions that are told as 1 (True) or 0 (False); while one is Unknown there is no series.
_CONDITIONS: Final = {
    ConditionType.READY: ("sophia_pool_ready", "Whether the pool is ready."),
    ConditionType.HEALTHY: ("sophia_pool_healthy", "Whether the pool's checks pass."),
    ConditionType.ROLE_CORRECT: ("sophia_pool_role_correct", "Whether the server has the role that clients need."),
    ConditionType.WITHIN_BUDGET: ("sophia_pool_within_budget", "Whether the pool has the connections that it wants."),
    ConditionType.CONFIG_APPLIED: ("sophia_pool_config_applied", "Whether every instance runs with its configuration."),
}
_FIGURES: Final = {
    "size": ("sophia_pool_size_connections", "Server connections that all instances together may open."),
    "in_use": ("sophia_pool_in_use_connections", "Server connections that serve clients."),
    "waiting": ("sophia_pool_waiting_clients", "Clients that wait for a server connection."),
    "ready_instances": ("sophia_pool_ready_instances", "Instances that are ready."),
    "utilization_percent": ("sophia_pool_utilization_percent", "Share of the server connections in use."),
    "hit_percent": ("sophia_pool_hit_percent", "Share of the requests served without opening a connection."),
    "score": ("sophia_pool_score", "Health from 0 to 100."),
}


class PoolTelemetry:
    """Metrics about pools, in the operator's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Gauge("sophia_pools", "ConnectionPools that have a loop.", registry=registry)
        self._conditions = {kind: Gauge(*text, _POOL, registry=registry) for kind, text in _CONDITIONS.items()}
        self._figures = {name: Gauge(*text, _POOL, registry=registry) for name, text in _FIGURES.items()}
        self._granted = Gauge(
            "sophia_pool_granted_connections", "Connections that the pool is held to.", _POOL, registry=registry
        )
        self._connect = Gauge(
            "sophia_pool_connect_milliseconds",
            "Time to connect through the instances.",
            (*_POOL, "quantile"),
            registry=registry,
        )
        self._query = Gauge(
            "sophia_pool_query_milliseconds",
            "Time of a query through the instances.",
            (*_POOL, "quantile"),
            registry=registry,
        )
        self._statements = Gauge(
            "sophia_pool_statements",
            "Statements that stand out: slow, or repeated as by N+1 queries.",
            (*_POOL, "kind"),
            registry=registry,
        )
        self._reconnecting = Gauge(
            "sophia_pool_reconnecting", "1 while a reconnect is under way.", _POOL, registry=registry
        )
        self._reconnects = Counter("sophia_pool_reconnects", "Reconnects that ended.", _POOL, registry=registry)
        self._durations = Histogram(
            "sophia_pool_reconnect_duration_seconds",
            "Time from the start of a reconnect until every instance was verified.",
            _POOL,
            buckets=_RECONNECT_BUCKETS,
            registry=registry,
        )
        self._in_use = Gauge(
            "sophia_pool_instance_in_use_connections",
            "Server connections of an instance that serve clients.",
            _INSTANCE,
            registry=registry,
        )
        self._role = Gauge(
            "sophia_pool_instance_role_correct",
            "Whether the server behind an instance has the pool's role.",
            _INSTANCE,
            registry=registry,
        )
        #: When the newest reconnect ended that was counted, by pool; None: there was none.
        self._counted: dict[tuple[str, str], datetime | None] = {}
        #: The instances that have series, by pool. To look for them among those of all pools would take long.
        self._members: dict[tuple[str, str], set[str]] = {}

    def started(self) -> None:
        """A pool has a loop now."""
        self._count.inc()

    def seen(self, namespace: str, pool: str, status: ConnectionPoolStatus) -> None:
        """A pool is as its status says."""
        place = (namespace, pool)
        for kind, gauge in self._conditions.items():
            found = find(status.conditions, kind)
            known = found is not None and found.status is not ConditionStatus.UNKNOWN
            set_value(
                gauge, place, float(found.status is ConditionStatus.TRUE) if found is not None and known else None
            )
        for name, gauge in self._figures.items():
            set_value(gauge, place, getattr(status, name))
        set_value(self._granted, place, status.budget.granted if status.budget is not None else None)
        set_quantiles(self._connect, place, status.connect_ms)
        set_quantiles(self._query, place, status.query_ms)
        insights = status.insights if status.insights is not None and status.insights.available else None
        set_value(self._statements, (*place, "slow"), len(insights.slow) if insights is not None else None)
        set_value(self._statements, (*place, "repeated"), len(insights.repeated) if insights is not None else None)
        self._reconnecting.labels(*place).set(status.reconnect is not None)
        self._count_reconnects(place, status)
        self._set_members(place, status.members)

    def forget(self, namespace: str, pool: str) -> None:
        """The pool is gone, and its series go with it."""
        self._count.dec()
        self._counted.pop((namespace, pool), None)
        self._members.pop((namespace, pool), None)
        metrics: tuple[Gauge | Counter | Histogram, ...] = (
            *self._conditions.values(),
            *self._figures.values(),
            *(self._granted, self._connect, self._query, self._statements, self._reconnecting),
            *(self._reconnects, self._durations, self._in_use, self._role),
        )
        for metric in metrics:
            metric.remove_by_labels({"namespace": namespace, "pool": pool})

    def _count_reconnects(self, place: tuple[str, str], status: ConnectionPoolStatus) -> None:
        newest = status.reconnects[-1].ended_at if status.reconnects else None
        counter = self._reconnects.labels(*place)
        # Those from before this process have been counted by another one.
        known = self._counted.setdefault(place, newest)
        for past in status.reconnects:
            if known is None or past.ended_at > known:
                counter.inc()
                duration = max(0.0, (past.ended_at - past.started_at).total_seconds())
                self._durations.labels(*place).observe(duration)
        self._counted[place] = newest

    def _set_members(self, place: tuple[str, str], members: list[InstanceStatus]) -> None:
        there = {member.name for member in members}
        for gone in self._members.get(place, set()) - there:
            set_value(self._in_use, (*place, gone), None)
            set_value(self._role, (*place, gone), None)
        self._members[place] = there
        for member in members:
            set_value(self._in_use, (*place, member.name), member.in_use)
            set_value(self._role, (*place, member.name), member.role_correct)
