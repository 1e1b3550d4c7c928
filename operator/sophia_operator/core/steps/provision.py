"""Provisioning and smoke testing: the new release must stand and answer well before it gets any traffic."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sophia_operator.api.conditions import Reason
from sophia_operator.api.gates import Gate
from sophia_operator.api.release import GateStatus, ReleaseState, SmokeTestStatus, Verdict
from sophia_operator.api.smoke import SmokeTest, SmokeVia
from sophia_operator.core.findings import QueryRefused
from sophia_operator.core.placement import needed_ready, rollout_size
from sophia_operator.core.scene import Scene
from sophia_operator.core.steps import hold, shift, warm
from sophia_operator.core.transition import Step, move, roll_back, seconds_since
from sophia_operator.core.views import Observed, ReleaseView

SMOKE_PAUSE_SECONDS = 1.0


def provision(release: ReleaseView, scene: Scene) -> Step:
    """Wait until the release is ready in its EndpointSlice, or its deadline is over."""
    plan, status = release.spec.snapshot.plan, release.status
    size = rollout_size(scene.service, release)
    refused = _refused_query(release, scene.observed)
    if refused is not None:
        return roll_back(release, ReleaseState.FAILED, Reason.INVALID_QUERY, refused, scene.now)
    if size == 0:
        return shift.promote(
            release, Reason.SCALED_TO_ZERO, f"{scene.service.name} is scaled to zero: nothing to prove", scene.now
        )
    assert status.color is not None
    ready, needed = scene.observed.ready(status.color, release.name), needed_ready(plan, size)
    deployment = scene.observed.deployments.get(release.name)
    if deployment is not None and deployment.current and ready >= needed and deployment.ready_pods >= needed:
        message = f"{ready} of {size} pods of {release.name} are ready behind {status.color.value}"
        tests = [SmokeTestStatus(name=t.name, passed=False) for t in plan.smoke_tests]
        return move(
            release,
            ReleaseState.SMOKE_TESTING,
            Reason.AVAILABLE,
            message,
            scene.now,
            smoke_tests=tests,
            state_since=scene.now,
        )
    problem = deployment.problem if deployment is not None else None
    why = f"{ready} of {size} pods of {release.name} are ready, {needed} needed"
    if problem is not None:
        why = f"{why}: {problem.message}"
    left = plan.progress_deadline_seconds - seconds_since(status.state_since, scene.now)
    if left <= 0:
        reason = problem.reason if problem is not None else Reason.PROGRESS_DEADLINE_EXCEEDED
        message = f"not ready within {plan.progress_deadline_seconds} s: {why}"
        if scene.roles.stable is None:
            # Nothing serves that one could go back to: keep trying, and say so.
            return Step(status, held_by=(reason, message), stalls=True)
        return roll_back(release, ReleaseState.FAILED, reason, message, scene.now)
    looked = _preflight(release, scene)
    held = (problem.reason if problem is not None else Reason.PROVISIONING, why)
    return Step(status if looked is None else status.model_copy(update={"gates": looked}), wait=left, held_by=held)


def _refused_query(release: ReleaseView, observed: Observed) -> str | None:
    for gate in release.spec.snapshot.plan.gates:
        answer = observed.findings.metrics.get(f"gate/{gate.name}")
        if isinstance(answer, QueryRefused):
            return f"Prometheus refuses the query of gate {gate.name}: {answer.message}; mend the gate in spec.rollout"
    return None


def _preflight(release: ReleaseView, scene: Scene) -> list[GateStatus] | None:
    """Notes that the queries were tried, so that they are tried once."""
    plan = release.spec.snapshot.plan
    if release.status.gates or not any(f"gate/{g.name}" in scene.observed.findings.metrics for g in plan.gates):
        return None
    return unlooked(plan.gates, scene.now)


def unlooked(gates: list[Gate], now: datetime) -> list[GateStatus]:
    """Gates before their first look."""
    return [
        GateStatus(
            name=g.name, verdict=Verdict.INCONCLUSIVE, message="not looked at yet", dry_run=g.dry_run, next_look_at=now
        )
        for g in gates
    ]


def smoke_test(release: ReleaseView, scene: Scene) -> Step:
    """Try each smoke test until it passes or its attempts are used up."""
    plan, status = release.spec.snapshot.plan, release.status
    specs = {t.name: t for t in plan.smoke_tests}
    tests: list[SmokeTestStatus] = []
    for test in status.smoke_tests:
        result = scene.observed.findings.smoke.get(test.name)
        if result is None or test.passed:
            tests.append(test)
            continue
        tests.append(
            test.model_copy(
                update={
                    "passed": result.passed,
                    "attempts": test.attempts + 1,
                    "tried_at": scene.now,
                    "message": result.message[:1024],
                }
            )
        )
    lost = next((t for t in tests if not t.passed and t.attempts >= specs[t.name].attempts), None)
    if lost is not None:
        message = f"smoke test {lost.name} failed {lost.attempts} times: {lost.message}"
        step = roll_back(release, ReleaseState.FAILED, Reason.SMOKE_TEST_FAILED, message, scene.now)
        return Step(step.status.model_copy(update={"smoke_tests": tests}), step.notices, step.wait, moved=True)
    if all(t.passed for t in tests):
        tested = status.model_copy(update={"smoke_tests": tests})
        held = hold.asked(release, scene)
        if held is not None:
            return Step(tested, held_by=held)
        short = _short_of_pods(replace(release, status=tested), scene)
        if short is not None:
            return short
        tested = tested.model_copy(update={"not_ready_since": None})
        first = scene.roles.stable is None
        cold = warm.missing(release, None if first else 0, scene)
        if cold is not None:
            return warm.hold(tested, cold)
        message = (
            f"{len(tests)} smoke tests of {release.name} passed" if tests else f"{release.name} has no smoke tests"
        )
        return shift.begin(release, tested, message, scene.now, first=first)
    waiting = [specs[t.name] for t in tests if not t.passed]
    words = f"smoke tests to pass: {', '.join(t.name for t in waiting)}"
    obstacle = cannot_try(waiting, scene)
    if obstacle is None:
        tested = status.model_copy(update={"smoke_tests": tests})
        return Step(tested, wait=SMOKE_PAUSE_SECONDS, held_by=(Reason.SMOKE_TESTING, words))
    since = max([t.tried_at for t in tests if t.tried_at is not None], default=status.state_since)
    left = plan.progress_deadline_seconds - seconds_since(since, scene.now)
    why = f"{words}; {obstacle}"
    if left <= 0:
        message = f"smoke tests could not be tried within {plan.progress_deadline_seconds} s: {obstacle}"
        return roll_back(release, ReleaseState.FAILED, Reason.SMOKE_TEST_FAILED, message, scene.now)
    return Step(status.model_copy(update={"smoke_tests": tests}), wait=left, held_by=(Reason.SMOKE_TESTING, why))


def cannot_try(tests: list[SmokeTest], scene: Scene) -> str | None:
    """Why one of these tests cannot go through the Gateway now; None when all can be tried."""
    if scene.roles.stable is None or not any(t.via is SmokeVia.GATEWAY for t in tests):
        return None
    route = scene.observed.route
    if scene.observed.gateway_url is None:
        return "the Gateway has no address to send them to: look at its status, or set traffic.gateway.probeUrl"
    if route is None or not route.caught_up:
        return f"the gateway has not taken up the route{': ' + route.message if route and route.message else ''}"
    return None


def _short_of_pods(release: ReleaseView, scene: Scene) -> Step | None:
    """The service may have grown, or pods may have gone, since the release was ready: None when enough are."""
    plan, status = release.spec.snapshot.plan, release.status
    assert status.color is not None
    size = rollout_size(scene.service, release)
    ready, needed = scene.observed.ready(status.color, release.name), needed_ready(plan, size)
    if ready >= needed:
        return None
    since = status.not_ready_since or scene.now
    left = plan.progress_deadline_seconds - seconds_since(since, scene.now)
    why = f"{ready} of {size} pods of {release.name} are ready, {needed} needed"
    if left <= 0 and scene.roles.stable is not None:
        return roll_back(release, ReleaseState.FAILED, Reason.PROGRESS_DEADLINE_EXCEEDED, why, scene.now)
    waiting = status.model_copy(update={"not_ready_since": since})
    return Step(waiting, wait=left if left > 0 else None, held_by=(Reason.GREEN_NOT_READY, why))
