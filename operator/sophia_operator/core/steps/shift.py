"""Shifting: write a weight, see it in the traffic, gather evidence, go on; or go back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import (
    Intent,
    PauseStatus,
    ReleaseState,
    ReleaseStatus,
    StageStatus,
    WeightStatus,
)
from sophia_operator.api.rollout_plan import OnFailure
from sophia_operator.core import sighting
from sophia_operator.core.evidence.gates import StageVerdict, StageVerdictKind, stage_verdict
from sophia_operator.core.looks import look_at_gates, next_look_in
from sophia_operator.core.placement import needed_ready, rollout_size
from sophia_operator.core.scene import Scene
from sophia_operator.core.steps import hold, warm
from sophia_operator.core.transition import Step, move, roll_back, seconds_since
from sophia_operator.core.views import ReleaseView


def begin(release: ReleaseView, status: ReleaseStatus, message: str, now: datetime, *, first: bool) -> Step:
    """Leave the smoke tests: to the first stage, or, when nothing serves yet, to all traffic at once."""
    ready = replace(release, status=status)
    if first:
        return promote(ready, Reason.FIRST_RELEASE, f"{message}; it is the first release and takes all traffic", now)
    return _enter(ready, 0, Reason.SMOKE_TESTS_PASSED, message, now)


def promote(release: ReleaseView, reason: Reason, message: str, now: datetime) -> Step:
    """The release becomes the stable one."""
    weights = release.status.weights.model_copy(update={"wanted_percent": 100})
    return move(
        release,
        ReleaseState.PROMOTED,
        reason,
        message,
        now,
        state_since=now,
        promoted_at=now,
        ended_at=now,
        pause=None,
        outcome=None,
        without_traffic_since=None,
        weights=weights,
    )


def _enter(release: ReleaseView, index: int, reason: Reason, message: str, now: datetime) -> Step:
    stages = release.spec.snapshot.plan.stages
    before = release.status.stage.weight_percent if release.status.stage is not None else 0
    weight = stages[index].weight_percent
    return move(
        release,
        ReleaseState.SHIFTING,
        reason,
        f"{message}; stage {index + 1} of {len(stages)} gives {release.name} {weight} % of the traffic",
        now,
        state_since=now,
        stage=StageStatus(index=index, weight_percent=weight, previous_weight_percent=before, started_at=now),
        weights=WeightStatus(wanted_percent=weight),
        gates=[],
        not_ready_since=None,
    )


def step(release: ReleaseView, scene: Scene) -> Step:
    """One look at a release that has, or is about to get, a share of the traffic."""
    danger = _short_of_pods(release, scene)
    if danger is not None and danger.moved:
        return danger
    current = release if danger is None else replace(release, status=danger.status)
    stage = current.status.stage
    assert stage is not None
    done = _await_effect(current, stage, scene) if stage.effective_at is None else _gather(current, scene)
    if done.moved:
        return done
    return _decide(replace(current, status=done.status), done, scene, danger)


def _short_of_pods(release: ReleaseView, scene: Scene) -> Step | None:
    """None when enough pods are ready; else a hold, or the way back."""
    plan, status = release.spec.snapshot.plan, release.status
    assert status.color is not None
    size = rollout_size(scene.service, release)
    ready, needed = scene.observed.ready(status.color, release.name), needed_ready(plan, size)
    if ready >= needed:
        return None if status.not_ready_since is None else Step(status.model_copy(update={"not_ready_since": None}))
    deployment = scene.observed.deployments.get(release.name)
    problem = deployment.problem if deployment is not None else None
    why = f"{ready} of {size} pods of {release.name} are ready, {needed} needed"
    if problem is not None:
        why = f"{why}: {problem.message}"
    since = status.not_ready_since or scene.now
    left = plan.progress_deadline_seconds - seconds_since(since, scene.now)
    reason = problem.reason if problem is not None else Reason.GREEN_NOT_READY
    if left <= 0 or (ready == 0 and _stable_is_ready(scene)):
        if left <= 0 and ready > 0:
            reason = problem.reason if problem is not None else Reason.PROGRESS_DEADLINE_EXCEEDED
        return roll_back(release, ReleaseState.ROLLED_BACK, reason, why, scene.now)
    return Step(status.model_copy(update={"not_ready_since": since}), wait=left, held_by=(reason, why))


def _stable_is_ready(scene: Scene) -> bool:
    stable = scene.roles.stable
    return (
        stable is not None
        and stable.status.color is not None
        and scene.observed.ready(stable.status.color, stable.name) > 0
    )


def _await_effect(release: ReleaseView, stage: StageStatus, scene: Scene) -> Step:
    """The clock of a stage starts when its weight is observed in the traffic; a failure counts from the first look."""
    judged, verdict = _look(release, scene)
    failed = _failed(judged, verdict, scene.now)
    if failed is not None:
        return failed
    plan, status = release.spec.snapshot.plan, judged.status
    assert status.color is not None
    seen = sighting.look(status.color, stage.weight_percent, stage.previous_weight_percent, scene, status.weights)
    status = status.model_copy(update={"weights": seen.weights})
    if seen.agrees:
        return _effective(replace(release, status=status), stage, seen.message, scene.now)
    route = scene.observed.route
    if seen.blind and release.spec.intent is Intent.PROMOTE and route is not None and route.in_effect:
        # A person who wants no further evidence takes the gateway's word, where there is nothing else.
        return _effective(replace(release, status=status), stage, f"asked to promote; {seen.message}", scene.now)
    elapsed = seconds_since(stage.started_at, scene.now)
    # An outage is no disagreement: it holds. What fails is a look that saw something else, or an unsettled route.
    if elapsed >= plan.route_deadline_seconds and not seen.blind and not seen.waiting:
        message = (
            f"weight {stage.weight_percent} % was not observed within {plan.route_deadline_seconds} s: {seen.message}"
        )
        reason = Reason.ROUTE_REFUSED if seen.refused else Reason.ROUTE_NOT_PROGRAMMED
        return roll_back(replace(release, status=status), ReleaseState.ROLLED_BACK, reason, message, scene.now)
    wait = sighting.look_interval_seconds(elapsed)
    return Step(status, wait=wait, held_by=(Reason.AWAITING_OBSERVATION, seen.message))


def _effective(release: ReleaseView, stage: StageStatus, message: str, now: datetime) -> Step:
    plan = release.spec.snapshot.plan
    started = stage.model_copy(update={"effective_at": now})
    return move(
        release,
        ReleaseState.SHIFTING,
        Reason.WEIGHT_OBSERVED,
        message,
        now,
        stage=started,
        gates=next_look_in(plan, now),
    )


def _look(release: ReleaseView, scene: Scene) -> tuple[ReleaseView, StageVerdict]:
    """The release with the answers that came in folded into its gates, and what they say together."""
    assert release.status.color is not None
    written = scene.observed.written_weight(release.status.color)
    status = release.status.model_copy(
        update={
            "gates": look_at_gates(release, scene),
            "weights": release.status.weights.model_copy(update={"written_percent": written}),
        }
    )
    return replace(release, status=status), stage_verdict(status.gates, release.spec.snapshot.plan.gates)


def _failed(release: ReleaseView, verdict: StageVerdict, now: datetime) -> Step | None:
    """The way back, or the hold, that a failed gate means; None when none failed."""
    if verdict.kind is not StageVerdictKind.FAIL or release.spec.intent is Intent.PROMOTE:
        return None
    message = f"gate {verdict.gate} failed: {verdict.message}"
    if release.spec.snapshot.plan.on_failure is OnFailure.ROLLBACK:
        return roll_back(release, ReleaseState.ROLLED_BACK, Reason.GATE_FAILED, message, now)
    return _pause(release, Reason.GATE_FAILED_PAUSE, message, now, _next_look(release, now))


def _next_look(release: ReleaseView, now: datetime) -> float | None:
    """Seconds until the next look at a gate."""
    ahead = [seconds_since(now, g.next_look_at) for g in release.status.gates if g.next_look_at is not None]
    return max(0.0, min(ahead)) if ahead else None


def _gather(release: ReleaseView, scene: Scene) -> Step:
    """Weigh the evidence of a stage that has taken effect."""
    judged, verdict = _look(release, scene)
    failed = _failed(judged, verdict, scene.now)
    if failed is not None:
        return failed
    wait = _next_look(judged, scene.now)
    if verdict.kind is StageVerdictKind.EXHAUSTED and release.spec.intent is not Intent.PROMOTE:
        return _pause(judged, Reason.INCONCLUSIVE_LIMIT, f"gate {verdict.gate}: {verdict.message}", scene.now, wait)
    return Step(judged.status, wait=wait, held_by=_waiting_for(judged, verdict, scene.now))


def _pause(release: ReleaseView, reason: Reason, message: str, now: datetime, wait: float | None) -> Step:
    """The operator itself holds the rollout until a person says how to go on. The gates are looked at all the while:
    a failure that shows up meanwhile still ends the rollout."""
    held = release.status.pause
    if held is not None:
        return Step(release.status, wait=wait, held_by=(Reason(held.reason), held.message))
    pause = PauseStatus(since=now, reason=reason.value, message=message, generation=release.generation)
    return move(release, ReleaseState.SHIFTING, reason, message, now, pause=pause)


def _waiting_for(release: ReleaseView, verdict: StageVerdict, now: datetime) -> tuple[Reason, str] | None:
    stage = release.status.stage
    assert stage is not None
    if verdict.kind is StageVerdictKind.PASS and _time_left(release, now) <= 0:
        return None
    until = now + timedelta(seconds=_time_left(release, now))
    words = f"stage {stage.index + 1} ({stage.weight_percent} %) is watched until {until:%H:%M:%S} UTC"
    return Reason.SHIFTING, words if verdict.kind is StageVerdictKind.PASS else f"{words}; {verdict.message}"


def _time_left(release: ReleaseView, now: datetime) -> float:
    stage = release.status.stage
    assert stage is not None
    assert stage.effective_at is not None
    observe = release.spec.snapshot.plan.stages[stage.index].observe_seconds
    return (stage.effective_at + timedelta(seconds=observe) - now).total_seconds()


def _decide(release: ReleaseView, done: Step, scene: Scene, danger: Step | None) -> Step:
    """Holds, then the next stage."""
    status, plan = release.status, release.spec.snapshot.plan
    stage = status.stage
    assert stage is not None
    if status.pause is not None:
        if release.generation > status.pause.generation and release.spec.intent in (Intent.PROCEED, Intent.PROMOTE):
            return _resume(release, scene.now)
        return Step(status, wait=done.wait, held_by=(Reason(status.pause.reason), status.pause.message))
    held = hold.asked(release, scene)
    if held is not None:
        return Step(status, wait=done.wait, held_by=held)
    if danger is not None and danger.held_by is not None:
        return Step(status, wait=_soonest(done.wait, danger.wait), held_by=danger.held_by)
    if stage.effective_at is not None and not _is_in_effect(stage, release, scene):
        words = f"{release.name} lost its {stage.weight_percent} %: something was edited, or the gateway lags"
        return Step(status, wait=done.wait, held_by=(Reason.AWAITING_OBSERVATION, words))
    last = stage.index == len(plan.stages) - 1
    if release.spec.intent is Intent.PROMOTE:
        return _hasten(release, done, last, scene.now)
    if stage.effective_at is None:
        return done
    verdict, left = stage_verdict(status.gates, plan.gates), _time_left(release, scene.now)
    if verdict.kind is not StageVerdictKind.PASS or left > 0:
        return Step(status, wait=_soonest(done.wait, left if left > 0 else None), held_by=done.held_by)
    if last:
        return promote(release, Reason.PROMOTED, f"all {len(plan.stages)} stages of {release.name} passed", scene.now)
    cold = warm.missing(release, stage.index + 1, scene)
    if cold is not None:
        return warm.hold(status, cold, done.wait)
    return _enter(release, stage.index + 1, Reason.STAGE_PASSED, f"stage {stage.index + 1} passed", scene.now)


def _is_in_effect(stage: StageStatus, release: ReleaseView, scene: Scene) -> bool:
    """Whether the weight that was observed still stands: somebody may have edited the route, or a Service, since."""
    route, color, stable = scene.observed.route, release.status.color, scene.roles.stable
    if route is None or color is None or not route.in_effect or route.weights[color] != stage.weight_percent:
        return False
    homes = {color: release.name, color.other: stable.name if stable is not None else None}
    selected = {c: seen.release for c, seen in scene.observed.endpoints.items()}
    return route.plain or all(selected.get(c, name) == name for c, name in homes.items() if name is not None)


def _hasten(release: ReleaseView, done: Step, last: bool, now: datetime) -> Step:
    """A person wants no further evidence: all traffic, and, once it is there, promotion."""
    stage, plan = release.status.stage, release.spec.snapshot.plan
    assert stage is not None
    why = f"asked to promote: {release.spec.reason or 'no reason given'}"
    if not last:
        return _enter(release, len(plan.stages) - 1, Reason.PROMOTED_BY_INTENT, why, now)
    if stage.effective_at is not None:
        return promote(release, Reason.PROMOTED_BY_INTENT, why, now)
    return done


def _resume(release: ReleaseView, now: datetime) -> Step:
    gates = [
        g.model_copy(update={"failures": 0, "inconclusives": 0, "next_look_at": now}) for g in release.status.gates
    ]
    why = f"resumed: {release.spec.reason or 'no reason given'}"
    return move(release, ReleaseState.SHIFTING, Reason.PROGRESSING, why, now, pause=None, gates=gates)


def _soonest(*waits: float | None) -> float | None:
    known = [w for w in waits if w is not None]
    return min(known) if known else None
