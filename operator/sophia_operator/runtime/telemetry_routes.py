"""Metrics about model routes, from their statuses and probes. Every series about a route goes when the route does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.api.model_route_status import (
    ModelRouteStatus,
    ModelStatus,
    PastSwitch,
    SwitchKind,
    SwitchResult,
    SwitchStatus,
)
from sophia_operator.core.model.findings import ModelFailure, ModelFinding
from sophia_operator.runtime.telemetry_series import set_value

_ROUTE: Final = ("namespace", "route")
_MODEL: Final = (*_ROUTE, "model")
_KIND: Final = (*_ROUTE, "kind")
_SECONDS: Final = (0.5, 1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 300, 1800)
#: Conditions that are told as 1 (True) or 0 (False); while one is Unknown there is no series.
_CONDITIONS: Final = {
    ConditionType.READY: ("sophia_model_ready", "Whether the route is ready."),
    ConditionType.AVAILABLE: ("sophia_model_available", "Whether a model serves that may be chosen."),
    ConditionType.HEALTHY: ("sophia_model_healthy", "Whether the model that serves is healthy."),
    ConditionType.ON_BEST_MODEL: ("sophia_model_on_best", "Whether the best model serves."),
    ConditionType.TRAFFIC_VERIFIED: ("sophia_model_traffic_verified", "Whether every replica serves as told."),
    ConditionType.CREDENTIALS_VALID: ("sophia_model_credentials_valid", "Whether no provider refuses its key."),
    ConditionType.METRICS_AVAILABLE: ("sophia_model_metrics_available", "Whether Prometheus answers."),
}
_OF_MODELS: Final = {
    "p95_ms": ("sophia_model_p95_milliseconds", "95 % of a model's answers took at most so long."),
    "first_token_ms": ("sophia_model_first_token_milliseconds", "Time to the first token, median."),
    "tokens_per_second": ("sophia_model_tokens_per_second", "Tokens a second, median."),
    "requests": ("sophia_model_window_requests", "Requests in the window, probes and users' ones."),
    "failures": ("sophia_model_window_failures", "Those of them that failed."),
    "rank": ("sophia_model_rank", "1 for the best; none while it may not be chosen."),
    "score": ("sophia_model_score", "Score from 0 to 1."),
}
#: How a switch of each kind may end that is no mishap, and failbacks both ways: so that the first one is an increase.
_FIRST: Final = (
    *((kind, SwitchResult.SWITCHED) for kind in SwitchKind),
    (SwitchKind.FAILBACK, SwitchResult.REVERTED),
    (SwitchKind.BETTER, SwitchResult.REVERTED),
)

Place = tuple[str, str]


class RouteTelemetry:
    """Metrics about routes, in the operator's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Gauge("sophia_model_routes", "ModelRoutes that have a loop.", registry=registry)
        self._conditions = {kind: Gauge(*text, _ROUTE, registry=registry) for kind, text in _CONDITIONS.items()}
        self._figures = {name: Gauge(*text, _MODEL, registry=registry) for name, text in _OF_MODELS.items()}
        self._active = Gauge(
            "sophia_model_active", "Whether a model is the one that serves.", _MODEL, registry=registry
        )
        self._share = Gauge(
            "sophia_model_share_percent", "Share of the requests that the gateway is told.", _MODEL, registry=registry
        )
        self._state = Gauge(
            "sophia_model_state", "1 for the state that a model is in.", (*_MODEL, "state"), registry=registry
        )
        self._probes = Counter(
            "sophia_model_probes",
            "Probes of a model, by how they ended: Answered, or what was wrong.",
            (*_MODEL, "result"),
            registry=registry,
        )
        self._lagging = Gauge(
            "sophia_model_lagging_replicas", "Replicas not seen to serve as told.", _ROUTE, registry=registry
        )
        self._replicas = Gauge("sophia_model_replicas", "Replicas of the gateway.", _ROUTE, registry=registry)
        self._switching = Gauge("sophia_model_switching", "1 while a switch is under way.", _ROUTE, registry=registry)
        self._switches = Counter("sophia_model_switches", "Switches that ended.", (*_KIND, "result"), registry=registry)
        self._acted = Histogram(
            "sophia_model_failover_decision_seconds",
            "Time from the first broken limit of a model until another one was to take over.",
            _ROUTE,
            buckets=_SECONDS,
            registry=registry,
        )
        self._proved = Histogram(
            "sophia_model_switch_proof_seconds",
            "Time from a decision until every replica was seen to serve by it.",
            _KIND,
            buckets=_SECONDS,
            registry=registry,
        )
        #: When the newest switch ended that was counted, by route; None: there was none.
        self._counted: dict[Place, datetime | None] = {}
        #: When the switch was decided that was under way at the last look, by route; None: there was none.
        self._decided: dict[Place, datetime | None] = {}
        #: Models that have series and the state of each, by route. To look for them among all would take long.
        self._models: dict[Place, dict[str, str]] = {}

    def started(self) -> None:
        """A route has a loop now."""
        self._count.inc()

    def probed(self, namespace: str, route: str, model: str, finding: ModelFinding) -> None:
        """A probe of a model ended."""
        answer = finding.answer
        result = answer.fault.value if isinstance(answer, ModelFailure) else "Answered"
        self._probes.labels(namespace, route, model, result).inc()

    def seen(self, namespace: str, route: str, status: ModelRouteStatus) -> None:
        """A route is as its status says."""
        place = (namespace, route)
        for kind, gauge in self._conditions.items():
            found = find(status.conditions, kind)
            known = found is not None and found.status is not ConditionStatus.UNKNOWN
            set_value(
                gauge, place, float(found.status is ConditionStatus.TRUE) if found is not None and known else None
            )
        lagging = sum(r.revision != status.revision for r in status.replicas)
        self._lagging.labels(*place).set(lagging)
        self._replicas.labels(*place).set(len(status.replicas))
        self._switching.labels(*place).set(status.switch is not None)
        self._note_decision(place, status.switch, status.models)
        self._count_switches(place, status.switches)
        self._set_models(place, status)

    def forget(self, namespace: str, route: str) -> None:
        """The route is gone, and its series go with it."""
        self._count.dec()
        place = (namespace, route)
        self._counted.pop(place, None)
        self._decided.pop(place, None)
        self._models.pop(place, None)
        metrics: tuple[Gauge | Counter | Histogram, ...] = (
            *self._conditions.values(),
            *self._figures.values(),
            *(self._active, self._share, self._state, self._probes, self._lagging, self._replicas),
            *(self._switching, self._switches, self._acted, self._proved),
        )
        for metric in metrics:
            metric.remove_by_labels({"namespace": namespace, "route": route})

    def _note_decision(self, place: Place, switch: SwitchStatus | None, models: Sequence[ModelStatus]) -> None:
        """What a failover was decided by is in the status in which it first appears, and in no later one for sure."""
        decided = switch.started_at if switch is not None else None
        # One from before this process has been noted by another one.
        before = self._decided.setdefault(place, decided)
        self._decided[place] = decided
        if switch is None or decided == before or switch.kind is not SwitchKind.FAILOVER:
            return
        left = next((m for m in models if m.name == switch.from_model), None)
        if left is not None and left.failing_since is not None:
            seconds = (switch.started_at - left.failing_since).total_seconds()
            self._acted.labels(*place).observe(max(0.0, seconds))

    def _count_switches(self, place: Place, switches: Sequence[PastSwitch]) -> None:
        newest = switches[-1].ended_at if switches else None
        for kind, result in _FIRST:
            self._switches.labels(*place, kind.value, result.value)
        # Those from before this process have been counted by another one.
        known = self._counted.setdefault(place, newest)
        for past in switches:
            if known is not None and past.ended_at <= known:
                continue
            self._switches.labels(*place, past.kind.value, past.result.value).inc()
            if past.proved_at is not None:
                seconds = (past.proved_at - past.started_at).total_seconds()
                self._proved.labels(*place, past.kind.value).observe(max(0.0, seconds))
        self._counted[place] = newest

    def _set_models(self, place: Place, status: ModelRouteStatus) -> None:
        known, shares = self._models.get(place, {}), {s.name: s.percent for s in status.shares}
        there = {m.name for m in status.models}
        for gone in known.keys() - there:
            for gauge in (*self._figures.values(), self._active, self._share):
                set_value(gauge, (*place, gone), None)
            set_value(self._state, (*place, gone, known[gone]), None)
            self._probes.remove_by_labels({"namespace": place[0], "route": place[1], "model": gone})
        for model in status.models:
            labels, state = (*place, model.name), model.state.value
            for name, gauge in self._figures.items():
                value = getattr(model, name)
                set_value(gauge, labels, float(value) if value is not None else None)
            set_value(self._active, labels, float(model.name == status.active))
            set_value(self._share, labels, float(shares.get(model.name, 0)))
            if known.get(model.name, state) != state:
                set_value(self._state, (*labels, known[model.name]), None)
            set_value(self._state, (*labels, state), 1.0)
        self._models[place] = {m.name: m.state.value for m in status.models}
