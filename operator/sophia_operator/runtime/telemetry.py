"""The operator's own metrics. Every series about an object goes when the object does."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest

from sophia_operator.api.release import ReleaseState, ReleaseStatus, Verdict
from sophia_operator.runtime.telemetry_pools import PoolTelemetry
from sophia_operator.runtime.telemetry_recovery import RecoveryTelemetry
from sophia_operator.runtime.telemetry_routes import RouteTelemetry
from sophia_operator.runtime.telemetry_signals import SignalTelemetry
from sophia_operator.runtime.telemetry_tiers import TierTelemetry

_SERVICE: Final = ("namespace", "service")
_VERDICTS: Final = {Verdict.PASS: 1, Verdict.INCONCLUSIVE: 0, Verdict.FAIL: -1}
_ENDED: Final = frozenset(
    {ReleaseState.PROMOTED, ReleaseState.ROLLED_BACK, ReleaseState.FAILED, ReleaseState.SUPERSEDED}
)
_ROLLOUT_BUCKETS: Final = (15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200)
_PASS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# A `_created` series beside each counter would double their number and tell nobody anything.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Telemetry:
    """Metrics about rollouts, pools, tiers, routes, recovery, passes and API calls, in a registry of their own."""

    def __init__(self, *, process: bool = True) -> None:
        self.registry = registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
            GCCollector(registry=registry)
        self._rollouts = Counter(
            "sophia_rollouts", "Rollouts that ended, by outcome.", (*_SERVICE, "outcome"), registry=registry
        )
        self._stage = Gauge(
            "sophia_rollout_stage", "Stage of the rollout, from 1; 0 without one.", _SERVICE, registry=registry
        )
        self._weight = Gauge(
            "sophia_rollout_weight_percent",
            "Share of the traffic wanted for the new release.",
            _SERVICE,
            registry=registry,
        )
        self._duration = Histogram(
            "sophia_rollout_duration_seconds",
            "Time from the start of a rollout to its end.",
            (*_SERVICE, "outcome"),
            buckets=_ROLLOUT_BUCKETS,
            registry=registry,
        )
        self._verdict = Gauge(
            "sophia_gate_verdict",
            "Last verdict of a gate: 1 Pass, 0 Inconclusive, -1 Fail.",
            (*_SERVICE, "gate"),
            registry=registry,
        )
        self._passes = Histogram(
            "sophia_reconcile_duration_seconds",
            "Time that one pass over an object took, by the object's kind and the result.",
            ("kind", "result"),
            buckets=_PASS_BUCKETS,
            registry=registry,
        )
        self._requests = Counter(
            "sophia_api_requests", "Requests to the Kubernetes API.", ("verb", "kind", "code"), registry=registry
        )
        self._wakeups = Counter("sophia_wakeups", "Events that woke a loop, by kind.", ("cause",), registry=registry)
        self._services = Gauge("sophia_services", "ManagedServices that have a loop.", registry=registry)
        #: About ConnectionPools.
        self.pools = PoolTelemetry(registry)
        #: About CacheTiers.
        self.tiers = TierTelemetry(registry)
        #: About ModelRoutes.
        self.routes = RouteTelemetry(registry)
        #: About RecoveryPolicies and RecoveryActions.
        self.recovery = RecoveryTelemetry(registry)
        #: About signals of recovery.
        self.signals = SignalTelemetry(registry)
        self._leader = Gauge("sophia_leader", "1 while this process holds the Lease.", registry=registry)

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)

    def service_started(self) -> None:
        """A service has a loop now."""
        self._services.inc()

    def wakeup(self, cause: str) -> None:
        """An event of that kind woke a loop."""
        self._wakeups.labels(cause).inc()

    def api_request(self, verb: str, kind: str, code: str) -> None:
        """A request to the Kubernetes API was answered, or failed with code `error`."""
        self._requests.labels(verb, kind, code).inc()

    def pass_ended(self, seconds: float, kind: str, result: str) -> None:
        """A pass took that long; `result` is settled, changed or failed."""
        self._passes.labels(kind, result).observe(seconds)

    def leading(self, leads: bool) -> None:
        """Whether this process holds the Lease."""
        self._leader.set(1 if leads else 0)

    def release_changed(
        self, namespace: str, service: str, before: ReleaseStatus, after: ReleaseStatus, now: datetime
    ) -> None:
        """A Release's status was written."""
        place = (namespace, service)
        self.rollout_seen(namespace, service, after)
        if after.state is before.state or after.state not in _ENDED:
            return
        outcome = after.state.value
        self._rollouts.labels(*place, outcome).inc()
        if after.started_at is not None:
            ended = after.ended_at or now
            self._duration.labels(*place, outcome).observe(max(0.0, (ended - after.started_at).total_seconds()))
        if before.state.is_active:
            self._stage.labels(*place).set(0)
            self._weight.labels(*place).set(0)
            self._drop(self._verdict, place)

    def rollout_seen(self, namespace: str, service: str, status: ReleaseStatus) -> None:
        """A Release is as its status says, also when nobody has written it for long, as after a restart."""
        # Only of the release under way: those that ended keep the gates of their own time.
        if not status.state.is_active:
            return
        place = (namespace, service)
        self._stage.labels(*place).set(status.stage.index + 1 if status.stage is not None else 0)
        self._weight.labels(*place).set(status.weights.wanted_percent)
        for gate in status.gates:
            self._verdict.labels(*place, gate.name).set(_VERDICTS[gate.verdict])

    def forget(self, namespace: str, service: str) -> None:
        """The service is gone, and its series go with it."""
        self._services.dec()
        for metric in (self._rollouts, self._stage, self._weight, self._duration, self._verdict):
            self._drop(metric, (namespace, service))

    @staticmethod
    def _drop(metric: Counter | Gauge | Histogram, place: tuple[str, str]) -> None:
        metric.remove_by_labels({"namespace": place[0], "service": place[1]})
