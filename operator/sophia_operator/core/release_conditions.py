"""Conditions and the printed phase of a Release."""

from __future__ import annotations

from sophia_operator.api.conditions import PAUSES, Author, Condition, ConditionStatus, ConditionType, Reason, drop
from sophia_operator.api.release import Intent, ReleaseState, ReleaseStatus
from sophia_operator.core.findings import MetricsOutage
from sophia_operator.core.render.drain import drain_warnings
from sophia_operator.core.scene import Scene
from sophia_operator.core.transition import Step
from sophia_operator.core.views import ReleaseView, ServiceView


def refresh(release: ReleaseView, status: ReleaseStatus, step: Step | None, scene: Scene) -> ReleaseStatus:
    """The status with its conditions, phase and observed generation brought up to date."""
    untouched = step is None and status == release.status and status.observed_generation == release.generation
    if untouched and status.conditions:
        return status  # nobody looked at it in this pass
    author = Author(status.conditions, release.generation, scene.now)
    conditions = _progress(status, step, author)
    held = step.held_by if step is not None else None
    if held is not None and held[0] in PAUSES:
        conditions = author.put(conditions, ConditionType.PAUSED, held)
    conditions = _metrics(status, scene, author, conditions)
    conditions = _traffic(status, author, conditions)
    conditions = _drain(release, author, conditions)
    return status.model_copy(
        update={
            "conditions": conditions,
            "phase": phase(release, status, scene.service),
            "observed_generation": release.generation,
        }
    )


def phase(release: ReleaseView, status: ReleaseStatus, service: ServiceView) -> str:
    """Where the release is, for people: the state, with the weight or "Paused" where that says more."""
    if status.state is ReleaseState.SHIFTING and status.stage is not None:
        paused = status.pause is not None or release.spec.intent is Intent.PAUSE or service.spec.paused
        return f"{'Paused' if paused else 'Shifting'} {status.stage.weight_percent}%"
    return status.state.value


def _progress(status: ReleaseStatus, step: Step | None, author: Author) -> list[Condition]:
    conditions = list(status.conditions)
    for kind in (ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.PAUSED):
        conditions = drop(conditions, kind)
    last = status.transitions[-1] if status.transitions else None
    told = (Reason(last.reason), last.message) if last is not None else (Reason.PROGRESSING, "just made")
    if status.state is ReleaseState.PROMOTED:
        return author.put(conditions, ConditionType.READY, told)
    why = step.held_by if step is not None and step.held_by is not None else told
    conditions = author.put(conditions, ConditionType.READY, why, ConditionStatus.FALSE)
    if status.state.is_latched:
        return author.put(conditions, ConditionType.STALLED, told)
    if status.state is ReleaseState.SUPERSEDED:
        return conditions
    stalled = step is not None and step.stalls
    return author.put(conditions, ConditionType.STALLED if stalled else ConditionType.RECONCILING, why)


def _traffic(status: ReleaseStatus, author: Author, conditions: list[Condition]) -> list[Condition]:
    """Whether the weight of the stage was seen in the traffic; there only while the release is being shifted to."""
    if status.state is not ReleaseState.SHIFTING or status.stage is None:
        return drop(conditions, ConditionType.TRAFFIC_VERIFIED)
    message = status.weights.message or "the weight was just decided"
    if status.stage.effective_at is None:
        why = (Reason.AWAITING_OBSERVATION, message)
        return author.put(conditions, ConditionType.TRAFFIC_VERIFIED, why, ConditionStatus.UNKNOWN)
    return author.put(conditions, ConditionType.TRAFFIC_VERIFIED, (Reason.VERIFIED, message))


def _drain(release: ReleaseView, author: Author, conditions: list[Condition]) -> list[Condition]:
    """Whether pods go on serving until they have left the endpoints; there only while something is wrong."""
    warnings = drain_warnings(release.spec.snapshot)
    if not warnings:
        return drop(conditions, ConditionType.DRAIN_SAFE)
    why = (Reason.GRACE_TOO_SHORT, "; ".join(warnings))
    return author.put(conditions, ConditionType.DRAIN_SAFE, why, ConditionStatus.FALSE)


def _metrics(status: ReleaseStatus, scene: Scene, author: Author, conditions: list[Condition]) -> list[Condition]:
    """Whether Prometheus answers; kept as it was while nobody asks."""
    if not status.state.is_active:
        return drop(conditions, ConditionType.METRICS_AVAILABLE)
    answers = scene.observed.findings.metrics.values()
    if not answers:
        return conditions
    outage = next((a for a in answers if isinstance(a, MetricsOutage)), None)
    if outage is None:
        return author.put(conditions, ConditionType.METRICS_AVAILABLE, (Reason.AVAILABLE, "Prometheus answers"))
    why = (Reason.METRICS_UNAVAILABLE, f"{outage.message}; the rollout holds until it answers")
    return author.put(conditions, ConditionType.METRICS_AVAILABLE, why, ConditionStatus.FALSE)
