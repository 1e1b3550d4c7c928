"""What is measured, and that nothing is left of an object that is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sophia_operator.api.release import GateStatus, ReleaseState, ReleaseStatus, StageStatus, Verdict, WeightStatus
from sophia_operator.runtime.telemetry import Telemetry

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACE = 'namespace="shop",service="app"'


def shifting(weight: int = 25, verdict: Verdict = Verdict.PASS) -> ReleaseStatus:
    return ReleaseStatus(
        state=ReleaseState.SHIFTING,
        started_at=NOW - timedelta(seconds=90),
        stage=StageStatus(index=1, weight_percent=weight, started_at=NOW),
        weights=WeightStatus(wanted_percent=weight),
        gates=[GateStatus(name="errors", verdict=verdict)],
    )


def text(telemetry: Telemetry) -> str:
    return telemetry.exposition().decode()


def test_a_rollout_under_way() -> None:
    telemetry = Telemetry(process=False)
    telemetry.release_changed("shop", "app", ReleaseStatus(), shifting(verdict=Verdict.FAIL), NOW)
    out = text(telemetry)
    assert f"sophia_rollout_stage{{{PLACE}}} 2.0" in out
    assert f"sophia_rollout_weight_percent{{{PLACE}}} 25.0" in out
    assert f'sophia_gate_verdict{{gate="errors",{PLACE}}} -1.0' in out


def test_a_rollout_that_ends_is_counted_once_with_its_duration() -> None:
    telemetry = Telemetry(process=False)
    before = shifting()
    after = before.model_copy(update={"state": ReleaseState.PROMOTED, "ended_at": NOW})
    telemetry.release_changed("shop", "app", before, after, NOW)
    telemetry.release_changed("shop", "app", after, after, NOW)
    out = text(telemetry)
    assert f'sophia_rollouts_total{{{PLACE[:16]},outcome="Promoted",{PLACE[17:]}}} 1.0' in out
    assert f'sophia_rollout_duration_seconds_sum{{{PLACE[:16]},outcome="Promoted",{PLACE[17:]}}} 90.0' in out
    assert f"sophia_rollout_stage{{{PLACE}}} 0.0" in out
    assert "sophia_gate_verdict{" not in out


def test_nothing_is_left_of_a_service_that_is_gone() -> None:
    telemetry = Telemetry(process=False)
    for service in ("app", "other"):
        telemetry.service_started()
        before = shifting()
        telemetry.release_changed("shop", service, ReleaseStatus(), before, NOW)
        failed = before.model_copy(update={"state": ReleaseState.FAILED})
        telemetry.release_changed("shop", service, before, failed, NOW)
    assert PLACE.split(",")[1] in text(telemetry)
    telemetry.forget("shop", "app")
    out = text(telemetry)
    assert 'service="app"' not in out
    assert 'service="other"' in out
    assert "sophia_services 1.0" in out


def test_requests_wakeups_and_passes_are_counted() -> None:
    telemetry = Telemetry(process=False)
    telemetry.api_request("apply", "Deployment", "200")
    telemetry.wakeup("Pod")
    telemetry.pass_ended(0.004, "settled")
    out = text(telemetry)
    assert 'sophia_api_requests_total{code="200",kind="Deployment",verb="apply"} 1.0' in out
    assert 'sophia_wakeups_total{cause="Pod"} 1.0' in out
    assert 'sophia_reconcile_duration_seconds_bucket{le="0.005",result="settled"} 1.0' in out
    assert "_created" not in out
