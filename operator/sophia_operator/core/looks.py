"""When gates are looked at, how far back, and what the answers make of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from sophia_operator.api.gates import Gate
from sophia_operator.api.release import GateStatus, ReleaseStatus, Verdict
from sophia_operator.api.rollout_plan import RolloutPlan
from sophia_operator.core.evidence.gates import judge
from sophia_operator.core.evidence.queries import Subject, gate_query
from sophia_operator.core.scene import Scene
from sophia_operator.core.views import ReleaseView

MIN_WINDOW_SECONDS = 4


def gate_key(gate: Gate) -> str:
    """Key of the gate's request and answer."""
    return f"gate/{gate.name}"


def next_look_in(plan: RolloutPlan, now: datetime) -> list[GateStatus]:
    """Gates at the beginning of a stage: the first look comes after one interval."""
    first = now + timedelta(seconds=max(plan.look_interval_seconds, MIN_WINDOW_SECONDS))
    return [
        GateStatus(
            name=g.name,
            verdict=Verdict.INCONCLUSIVE,
            message="not looked at yet",
            dry_run=g.dry_run,
            next_look_at=first,
        )
        for g in plan.gates
    ]


def due(status: ReleaseStatus, gate: Gate, now: datetime) -> bool:
    """Whether the gate is to be looked at now."""
    before = next((g for g in status.gates if g.name == gate.name), None)
    return before is None or before.next_look_at is None or before.next_look_at <= now


def window_seconds(status: ReleaseStatus, gate: Gate, now: datetime) -> int:
    """How far back a look reaches: the gate's window, never before the stage took effect.

    When, going by the last look, the window holds too few requests, the look takes all since the stage took effect.
    """
    assert status.stage is not None
    began = status.stage.effective_at or status.stage.started_at
    elapsed = max(MIN_WINDOW_SECONDS, int((now - began).total_seconds()))
    before = next((g for g in status.gates if g.name == gate.name), None)
    if before is not None and before.requests is not None and before.window_seconds:
        expected = before.requests * gate.window_seconds / before.window_seconds
        if expected < gate.min_requests:
            return elapsed
    return min(gate.window_seconds, elapsed)


def query_of(
    release: ReleaseView, gate: Gate, subject: Subject, baseline: Subject | None, window: int, *, age: int
) -> str:
    """The PromQL of one look."""
    compared = baseline if gate.compared_to is not None else None
    metrics = release.spec.snapshot.plan.metrics
    return gate_query(gate, metrics, subject, compared, window, baseline_age_seconds=age)


def baseline_age_seconds(status: ReleaseStatus, now: datetime) -> int:
    """How long ago the stable release last had traffic: 0 while it has some.

    In the stage that takes all of it, there is nothing to compare with but what came before that stage.
    """
    stage = status.stage
    if stage is None or stage.weight_percent < 100:
        return 0
    return max(1, ceil((now - stage.started_at).total_seconds()))


def look_at_gates(release: ReleaseView, scene: Scene) -> list[GateStatus]:
    """Gates after the answers of this pass; a gate without an answer stays as it was."""
    plan = release.spec.snapshot.plan
    known = {g.name: g for g in release.status.gates}
    out: list[GateStatus] = []
    for gate in plan.gates:
        before = known.get(gate.name)
        answer = scene.observed.findings.metrics.get(gate_key(gate))
        if answer is None:
            if before is not None:
                out.append(before)
            continue
        query = scene.observed.findings.queries.get(gate_key(gate), "")
        judged = judge(
            gate,
            answer,
            before,
            query=query,
            now=scene.now,
            next_look_at=scene.now + timedelta(seconds=plan.look_interval_seconds),
        )
        out.append(judged.model_copy(update={"window_seconds": window_seconds(release.status, gate, scene.now)}))
    return out
