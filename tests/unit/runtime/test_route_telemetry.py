"""What is measured of model routes, and that nothing is left of one that is gone."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.core.model.findings import Completion, ModelFailure, ModelFault, ModelFinding
from sophia_operator.runtime.telemetry import Telemetry

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def labelled(name: str, **labels: str) -> str:
    """A series of the route, with its labels as the exposition sorts them."""
    every = {"namespace": "shop", "route": "answers", **labels}
    return name + "{" + ",".join(f'{key}="{every[key]}"' for key in sorted(every)) + "}"


def model(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "state": "Healthy", "eligible": True, "requests": 6, "failures": 1, **fields}


def status(**changes: Any) -> ModelRouteStatus:
    good = {"type": "Available", "status": "True", "lastTransitionTime": NOW, "reason": "Available"}
    unknown = {"type": "TrafficVerified", "status": "Unknown", "lastTransitionTime": NOW, "reason": "AwaitingProof"}
    values: dict[str, Any] = {
        "active": "large",
        "revision": 3,
        "shares": [{"name": "large", "percent": 95}, {"name": "small", "percent": 5}],
        "models": [model("large", rank=1, score="0.9", p95Ms=420), model("small", state="Paused", eligible=False)],
        "replicas": [{"name": "gw-0", "revision": 3}, {"name": "gw-1", "revision": 2}, {"name": "gw-2"}],
        "conditions": [good, unknown],
    }
    return ModelRouteStatus.model_validate(values | changes)


def switch(kind: str = "Failover", at: datetime = NOW) -> dict[str, Any]:
    common = {"kind": kind, "from": "small", "to": "large", "trigger": "x", "startedAt": at}
    return {**common, "phase": "Proving", "phaseSince": at, "revision": 3}


def past(number: int, kind: str = "Failover", result: str = "Switched", proof: float | None = 2.5) -> dict[str, Any]:
    began = NOW + timedelta(seconds=100 * number)
    proved = {"provedAt": began + timedelta(seconds=proof)} if proof is not None else {}
    ends = {"startedAt": began, "endedAt": began + timedelta(seconds=3), "result": result}
    return {"kind": kind, "from": "small", "to": "large", "trigger": "x", **ends, **proved}


def text(telemetry: Telemetry) -> str:
    return telemetry.exposition().decode()


def test_a_route_is_told_by_its_status_and_what_is_not_known_is_not_told() -> None:
    telemetry = Telemetry(process=False)
    telemetry.routes.seen("shop", "answers", status())
    out = text(telemetry)
    large, small = {"model": "large"}, {"model": "small"}
    told = {
        labelled("sophia_model_available"): "1.0",
        labelled("sophia_model_lagging_replicas"): "2.0",
        labelled("sophia_model_replicas"): "3.0",
        labelled("sophia_model_switching"): "0.0",
        labelled("sophia_model_active", **large): "1.0",
        labelled("sophia_model_active", **small): "0.0",
        labelled("sophia_model_share_percent", **small): "5.0",
        labelled("sophia_model_score", **large): "0.9",
        labelled("sophia_model_p95_milliseconds", **large): "420.0",
        labelled("sophia_model_window_failures", **small): "1.0",
        labelled("sophia_model_state", **small, state="Paused"): "1.0",
    }
    for series, value in told.items():
        assert f"{series} {value}\n" in out, series
    gone = (labelled("sophia_model_score", **small), labelled("sophia_model_rank", **small))
    for series in ("sophia_model_traffic_verified{", "sophia_model_ready{", *gone):
        assert series not in out


def test_a_model_is_in_one_state_and_one_that_is_gone_in_none() -> None:
    telemetry = Telemetry(process=False)
    telemetry.routes.seen("shop", "answers", status())
    telemetry.routes.probed("shop", "answers", "small", ModelFinding(NOW, Completion(9, 20, 4, None)))
    telemetry.routes.seen("shop", "answers", status(models=[model("large", state="Unhealthy")]))
    out = text(telemetry)
    assert 'model="small"' not in out
    states = [line for line in out.splitlines() if line.startswith("sophia_model_state{")]
    assert states == [labelled("sophia_model_state", model="large", state="Unhealthy") + " 1.0"]
    assert "sophia_model_score{" not in out


def test_probes_are_counted_by_how_they_ended() -> None:
    telemetry = Telemetry(process=False)
    answers = (
        Completion(9, 20, 4, None),
        ModelFailure(ModelFault.TIMEOUT, "slow"),
        ModelFailure(ModelFault.TIMEOUT, "slow"),
    )
    for answer in answers:
        telemetry.routes.probed("shop", "answers", "large", ModelFinding(NOW, answer))
    out = text(telemetry)
    for result, count in (("Answered", 1.0), ("Timeout", 2.0)):
        assert labelled("sophia_model_probes_total", model="large", result=result) + f" {count}" in out


def test_switches_are_counted_once_and_those_of_an_earlier_process_are_not() -> None:
    telemetry = Telemetry(process=False)
    every = [past(1), past(2, "Failback", "Reverted", proof=None), past(3)]
    for count in (1, 1, 3):
        telemetry.routes.seen("shop", "answers", status(switches=every[:count]))
    out = text(telemetry)
    total = "sophia_model_switches_total"
    assert labelled(total, kind="Failover", result="Switched") + " 1.0" in out
    assert labelled(total, kind="Failback", result="Reverted") + " 1.0" in out
    assert labelled(total, kind="Pin", result="Switched") + " 0.0" in out
    assert labelled("sophia_model_switch_proof_seconds_sum", kind="Failover") + " 2.5" in out
    assert 'sophia_model_switch_proof_seconds_sum{kind="Failback"' not in out


def test_the_first_switch_of_a_route_is_counted() -> None:
    telemetry = Telemetry(process=False)
    telemetry.routes.seen("shop", "answers", status())
    telemetry.routes.seen("shop", "answers", status(switches=[past(1, "First")]))
    series = labelled("sophia_model_switches_total", kind="First", result="Switched")
    assert f"{series} 1.0" in text(telemetry)


def test_how_long_a_failover_was_decided_after_is_told_once() -> None:
    telemetry = Telemetry(process=False)
    failing = [model("small", state="Unhealthy", failingSince=NOW - timedelta(seconds=11)), model("large")]
    going = status(models=failing, switch=switch())
    for seen in (
        status(),
        going,
        going,
        status(),
        status(models=failing, switch=switch("Failback", NOW + timedelta(1))),
    ):
        telemetry.routes.seen("shop", "answers", seen)
    out = text(telemetry)
    assert labelled("sophia_model_failover_decision_seconds_sum") + " 11.0" in out
    assert labelled("sophia_model_failover_decision_seconds_count") + " 1.0" in out


def test_a_failover_from_before_this_process_is_not_told_again() -> None:
    telemetry = Telemetry(process=False)
    failing = [model("small", state="Unhealthy", failingSince=NOW - timedelta(seconds=11)), model("large")]
    telemetry.routes.seen("shop", "answers", status(models=failing, switch=switch()))
    assert "sophia_model_failover_decision_seconds_count{" not in text(telemetry)


def test_nothing_is_left_of_a_route_that_is_gone() -> None:
    telemetry = Telemetry(process=False)
    for route in ("answers", "other"):
        telemetry.routes.started()
        for changes in ({}, {"switches": [past(1)]}, {"switch": switch()}):
            telemetry.routes.seen("shop", route, status(**changes))
        telemetry.routes.probed("shop", route, "large", ModelFinding(NOW, Completion(9, 20, 4, None)))
    telemetry.routes.forget("shop", "answers")
    out = text(telemetry)
    assert 'route="answers"' not in out
    assert 'route="other"' in out
    assert "sophia_model_routes 1.0" in out


def test_what_a_route_tells_costs_the_same_however_many_routes_there_are() -> None:
    def steps(routes: int) -> int:
        telemetry = Telemetry(process=False)
        for number in range(routes):
            telemetry.routes.seen("shop", f"route-{number}", status())
        count = 0

        def step(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(step)
        try:
            telemetry.routes.seen("shop", "route-0", status(models=[model("large", state="Unhealthy")]))
        finally:
            sys.setprofile(None)
        return count

    steps(1)
    assert steps(200) < 1.5 * steps(2)
