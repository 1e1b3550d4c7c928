"""What is measured, and that nothing is left of an object that is gone."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
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
    telemetry.pass_ended(0.004, "ManagedService", "settled")
    out = text(telemetry)
    assert 'sophia_api_requests_total{code="200",kind="Deployment",verb="apply"} 1.0' in out
    assert 'sophia_wakeups_total{cause="Pod"} 1.0' in out
    taken = 'sophia_reconcile_duration_seconds_bucket{kind="ManagedService",le="0.005",result="settled"} 1.0'
    assert taken in out
    assert "_created" not in out


def pool_status(**changes: object) -> ConnectionPoolStatus:
    condition = {"type": "Healthy", "status": "True", "lastTransitionTime": NOW, "reason": "ChecksPassed"}
    unknown = {"type": "RoleCorrect", "status": "Unknown", "lastTransitionTime": NOW, "reason": "NotChecked"}
    values: dict[str, object] = {
        "size": 10,
        "inUse": 4,
        "score": 95,
        "queryMs": {"p50": "1.5", "p95": "12"},
        "conditions": [condition, unknown],
        "members": [{"name": "orders-pool-1", "ready": True, "inUse": 4, "roleCorrect": True}],
    }
    return ConnectionPoolStatus.model_validate(values | changes)


POOL = 'namespace="shop",pool="orders"'


def past(seconds: float) -> dict[str, object]:
    began = NOW + timedelta(seconds=100 * seconds)
    return {"cause": "x", "startedAt": began, "endedAt": began + timedelta(seconds=seconds), "attempts": 1}


def test_a_pool_is_told_by_its_status_and_what_is_not_known_is_not_told() -> None:
    telemetry = Telemetry(process=False)
    telemetry.pools.seen("shop", "orders", pool_status())
    out = text(telemetry)
    assert f"sophia_pool_size_connections{{{POOL}}} 10.0" in out
    assert f"sophia_pool_healthy{{{POOL}}} 1.0" in out
    assert f'sophia_pool_query_milliseconds{{{POOL},quantile="0.95"}} 12.0' in out
    assert f'sophia_pool_instance_role_correct{{instance="orders-pool-1",{POOL}}} 1.0' in out
    for unknown in ("sophia_pool_role_correct{", "sophia_pool_utilization_percent{", "sophia_pool_statements{"):
        assert unknown not in out
    telemetry.pools.seen("shop", "orders", pool_status(score=None, queryMs=None, members=[]))
    out = text(telemetry)
    for gone in ("sophia_pool_score{", "sophia_pool_query_milliseconds{", 'instance="orders-pool-1"'):
        assert gone not in out


def test_reconnects_are_counted_once_and_those_of_an_earlier_process_are_not() -> None:
    telemetry = Telemetry(process=False)
    for count in (1, 1, 3):
        telemetry.pools.seen("shop", "orders", pool_status(reconnects=[past(n + 1) for n in range(count)]))
    out = text(telemetry)
    assert f"sophia_pool_reconnects_total{{{POOL}}} 2.0" in out
    assert f"sophia_pool_reconnect_duration_seconds_sum{{{POOL}}} 5.0" in out


def test_the_first_reconnect_of_a_pool_is_counted() -> None:
    telemetry = Telemetry(process=False)
    telemetry.pools.seen("shop", "orders", pool_status())
    telemetry.pools.seen("shop", "orders", pool_status(reconnects=[past(2)]))
    assert f"sophia_pool_reconnects_total{{{POOL}}} 1.0" in text(telemetry)


def test_nothing_is_left_of_a_pool_that_is_gone() -> None:
    telemetry = Telemetry(process=False)
    for pool in ("orders", "other"):
        telemetry.pools.started()
        for reconnects in ([], [past(2)]):
            telemetry.pools.seen("shop", pool, pool_status(reconnects=reconnects))
    telemetry.pools.forget("shop", "orders")
    out = text(telemetry)
    assert 'pool="orders"' not in out
    assert 'pool="other"' in out
    assert "sophia_pools 1.0" in out


def test_series_of_instances_go_one_by_one_with_what_they_told() -> None:
    telemetry = Telemetry(process=False)
    both = [{"name": name, "ready": True, "inUse": 4, "roleCorrect": True} for name in ("orders-1", "orders-2")]
    telemetry.pools.seen("shop", "orders", pool_status(members=both))
    telemetry.pools.seen("shop", "orders", pool_status(members=[{"name": "orders-2", "ready": False, "inUse": 0}]))
    out = text(telemetry)
    assert 'instance="orders-1"' not in out
    assert f'sophia_pool_instance_in_use_connections{{instance="orders-2",{POOL}}} 0.0' in out
    assert 'sophia_pool_instance_role_correct{instance="orders-2"' not in out


def test_what_a_pool_tells_costs_the_same_however_many_pools_there_are() -> None:
    """Pools are looked at every few seconds: what looks through the series of all of them would take all the time."""

    def steps(pools: int) -> int:
        telemetry = Telemetry(process=False)
        for number in range(pools):
            telemetry.pools.seen("shop", f"pool-{number}", pool_status())
        count = 0

        def step(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(step)
        try:
            telemetry.pools.seen("shop", "pool-0", pool_status(score=None, queryMs=None))
        finally:
            sys.setprofile(None)
        return count

    steps(1)
    assert steps(200) < 1.5 * steps(2)
