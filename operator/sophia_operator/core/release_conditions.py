"""Conditions and the printed phase of a Release."""

from __future__ import annotations

from datetime import datetime

from sophia_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason, drop, put
from sophia_operator.api.release import Intent, ReleaseState, ReleaseStatus
from sophia_operator.core.findings import MetricsOutage
from sophia_operator.core.roles import Roles
from sophia_operator.core.transition import Step
from sophia_operator.core.views import Observed, ReleaseView, ServiceView

_HOLDS = frozenset(
    {Reason.PAUSED_BY_INTENT, Reason.PAUSED_BY_SERVICE, Reason.INCONCLUSIVE_LIMIT, Reason.GATE_FAILED_PAUSE}
)
_STALLS = frozenset(
    {
        Reason.GATEWAY_NOT_FOUND,
        Reason.HOSTNAME_TAKEN,
        Reason.NOT_OWNED,
        Reason.SNAPSHOT_ALTERED,
        Reason.CONFIG_NOT_FOUND,
        Reason.INVALID_TEMPLATE,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        Reason.CRASH_LOOP,
        Reason.IMAGE_PULL_FAILED,
        Reason.QUOTA_EXCEEDED,
    }
)


def refresh(
    release: ReleaseView,
    status: ReleaseStatus,
    step: Step | None,
    service: ServiceView,
    roles: Roles,
    observed: Observed,
    now: datetime,
) -> ReleaseStatus:
    """The status with its conditions, phase and observed generation brought up to date."""
    if step is None and status == release.status and status.observed_generation == release.generation:
        if status.conditions:
            return status  # nobody looked at it in this pass
    held = step.held_by if step is not None else None
    conditions = _progress(release, status, held, now)
    conditions = _paused(release, status, held, conditions, service, now)
    conditions = _metrics(release, status, observed, conditions, now)
    return status.model_copy(
        update={
            "conditions": conditions,
            "phase": phase(release, status, service),
            "observed_generation": release.generation,
        }
    )


def phase(release: ReleaseView, status: ReleaseStatus, service: ServiceView) -> str:
    """Where the release is, for people: the state, with the weight or "Paused" where that says more."""
    if status.state is ReleaseState.SHIFTING and status.stage is not None:
        paused = status.pause is not None or release.spec.intent is Intent.PAUSE or service.spec.paused
        return f"{'Paused' if paused else 'Shifting'} {status.stage.weight_percent}%"
    return status.state.value


def _progress(
    release: ReleaseView, status: ReleaseStatus, held: tuple[Reason, str] | None, now: datetime
) -> list[Condition]:
    generation, state = release.generation, status.state
    conditions = drop(drop(status.conditions, ConditionType.RECONCILING), ConditionType.STALLED)
    last = status.transitions[-1] if status.transitions else None
    told = (Reason(last.reason), last.message) if last is not None else (Reason.PROGRESSING, "just made")
    if state is ReleaseState.PROMOTED:
        return _put(conditions, status, ConditionType.READY, ConditionStatus.TRUE, *told, generation, now)
    reason, message = held or told
    ready = _put(conditions, status, ConditionType.READY, ConditionStatus.FALSE, reason, message, generation, now)
    if state.is_latched:
        return _put(ready, status, ConditionType.STALLED, ConditionStatus.TRUE, *told, generation, now)
    if state is ReleaseState.SUPERSEDED:
        return ready
    stalled = (
        held is not None and held[0] in _STALLS and (state is ReleaseState.PENDING or "not ready within" in held[1])
    )
    kind = ConditionType.STALLED if stalled else ConditionType.RECONCILING
    return _put(ready, status, kind, ConditionStatus.TRUE, reason, message, generation, now)


def _put(
    conditions: list[Condition],
    status: ReleaseStatus,
    kind: ConditionType,
    value: ConditionStatus,
    reason: Reason,
    message: str,
    generation: int,
    now: datetime,
) -> list[Condition]:
    """Like `put`, but the time of a condition that was dropped and set again is the old one."""
    old = [c for c in status.conditions if c.type == kind.value]
    return put([*drop(conditions, kind), *old], kind, value, reason, message, generation=generation, now=now)


def _paused(
    release: ReleaseView,
    status: ReleaseStatus,
    held: tuple[Reason, str] | None,
    conditions: list[Condition],
    service: ServiceView,
    now: datetime,
) -> list[Condition]:
    if held is None or held[0] not in _HOLDS:
        return drop(conditions, ConditionType.PAUSED)
    return put(
        conditions, ConditionType.PAUSED, ConditionStatus.TRUE, held[0], held[1], generation=release.generation, now=now
    )


def _metrics(
    release: ReleaseView, status: ReleaseStatus, observed: Observed, conditions: list[Condition], now: datetime
) -> list[Condition]:
    """Whether Prometheus answers; kept as it was while nobody asks."""
    if not status.state.is_active:
        return drop(conditions, ConditionType.METRICS_AVAILABLE)
    answers = observed.findings.metrics.values()
    if not answers:
        return conditions
    outage = next((a for a in answers if isinstance(a, MetricsOutage)), None)
    if outage is None:
        return put(
            conditions,
            ConditionType.METRICS_AVAILABLE,
            ConditionStatus.TRUE,
            Reason.AVAILABLE,
            "Prometheus answers",
            generation=release.generation,
            now=now,
        )
    return put(
        conditions,
        ConditionType.METRICS_AVAILABLE,
        ConditionStatus.FALSE,
        Reason.METRICS_UNAVAILABLE,
        f"{outage.message}; the rollout holds until it answers",
        generation=release.generation,
        now=now,
    )
