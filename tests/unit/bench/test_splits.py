"""Where the time of a rollout and of a rollback goes, and who asked the API server for what."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.audit_log import AuditLog, by_verb, counted
from bench.operator_process import Samples
from bench.rollback_latency import Run, split, summary, weight_of
from bench.rollout_split import split as rollout_split
from hack.load import Record

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


def _transition(seconds: float, state: str, reason: str) -> dict[str, Any]:
    return {"time": _time(seconds), "state": state, "reason": reason}


def _release(*transitions: dict[str, Any], stages: tuple[int, ...] = (8, 4)) -> dict[str, Any]:
    return {
        "metadata": {"name": "shop-2"},
        "spec": {"snapshot": {"plan": {"stages": [{"observeSeconds": s} for s in stages]}}},
        "status": {"state": transitions[-1]["state"], "transitions": list(transitions)},
    }


def _record(started: float, ended: float, release: str | None, status: int = 200) -> Record:
    return Record(
        scheduled=START + started,
        started=START + started,
        ended=START + ended,
        status=status,
        release=release,
        fault=None,
        error=None,
        fresh=False,
        repeated=False,
    )


def test_parts_of_a_rollout_add_up() -> None:
    release = _release(
        _transition(1.0, "Provisioning", "NewRelease"),
        _transition(3.0, "SmokeTesting", "GreenReady"),
        _transition(3.5, "Shifting", "SmokeTestsPassed"),
        _transition(8.5, "Shifting", "WeightObserved"),
        _transition(17.0, "Shifting", "StagePassed"),
        _transition(20.0, "Shifting", "WeightObserved"),
        _transition(24.25, "Promoted", "Promoted"),
    )
    found = rollout_split(release, START)
    assert (found.begin, found.provision, found.smoke) == (1.0, 2.0, 0.5)
    assert found.observe == 5.0 + 3.0
    assert found.decide == 0.5 + 0.25
    assert (found.wall, found.stages, found.overhead) == (24.25, 12, 12.25)
    parts = found.begin + found.provision + found.smoke + found.observe + found.decide
    assert parts == pytest.approx(found.overhead)


def test_a_rollout_that_skipped_a_stage_is_not_measured() -> None:
    release = _release(
        _transition(1.0, "Provisioning", "NewRelease"),
        _transition(3.0, "SmokeTesting", "GreenReady"),
        _transition(3.5, "Shifting", "SmokeTestsPassed"),
        _transition(8.5, "Shifting", "WeightObserved"),
        _transition(9.0, "Promoted", "PromotedByIntent"),
    )
    with pytest.raises(ValueError, match="1 of 2 stages"):
        rollout_split(release, START)


def test_parts_of_a_rollback() -> None:
    release = _release(_transition(0.0, "Shifting", "WeightObserved"), _transition(11.5, "RollingBack", "GateFailed"))
    records = [
        _record(9.0, 9.1, "shop-2", 500),  # before the fault
        _record(10.2, 10.3, "shop-2", 500),
        _record(11.0, 11.1, "shop-1"),
        _record(11.7, 11.9, "shop-2"),
        _record(11.8, 12.5, None, 503),  # the gateway's own error
        _record(12.0, 12.1, "shop-1"),
    ]
    run = split(release, records, START + 10.0, START + 11.6)
    assert run == Run(detection=1.5, write=0.1, propagation=0.3, total=1.9, bad=1, lost=1)


def test_a_rollback_that_did_not_happen_is_not_measured() -> None:
    release = _release(_transition(0.0, "Shifting", "WeightObserved"))
    with pytest.raises(ValueError, match="did not go back"):
        split(release, [_record(11.0, 11.1, "shop-2")], START + 10.0, START + 11.0)


def test_limit_is_one_scrape_one_look_and_the_propagation() -> None:
    runs = [Run(1.0, 0.1, 0.2, total, 5, 0) for total in (3.1, 3.2, 3.3)]
    found = summary(runs, scrape=1.0, look=2.0)
    assert found["limit"]["seconds"] == 3.2
    assert found["limit"]["runsWithin"] == 2


def test_weight_of_a_backend() -> None:
    check = {"matches": [{"headers": [{}]}], "backendRefs": [{"name": "shop-green-check", "weight": 1}]}
    route = {"spec": {"rules": [check, {"backendRefs": [{"name": "shop-green", "weight": 10}]}]}}
    assert weight_of(route, "shop-green") == 10
    assert weight_of(route, "shop-blue") == 0


def _line(verb: str, uri: str, agent: str, resource: str = "services", sub: str = "") -> str:
    reference = {"resource": resource} | ({"subresource": sub} if sub else {})
    event = {"stage": "ResponseComplete", "verb": verb, "requestURI": uri, "userAgent": agent, "objectRef": reference}
    return json.dumps(event) + "\n"


def test_audit_log_tells_who_asked_for_what(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(_line("get", "/old", "sophia-operator"))
    log = AuditLog(path)
    log.skip()
    with path.open("a") as file:
        file.write(_line("patch", "/x?fieldManager=m&force=true", "sophia-operator", "releases", "status"))
        file.write(_line("patch", "/x?fieldManager=m&force=true&dryRun=All", "sophia-operator"))
        file.write(_line("patch", "/x", "kopf/1.45"))
        file.write(_line("create", "/x", "kube-apiserver/v1"))
        file.write(_line("get", "/half a line", "sophia-operator").rstrip())
    found = log.read()
    assert by_verb([r for r in found if r.by_operator]) == {
        "apply releases/status": 1,
        "dry-run services": 1,
        "patch services": 1,
    }
    assert len(found) == 4
    with path.open("a") as file:
        file.write("\n")
    assert [r.verb for r in log.read()] == ["get"]


def test_counter_of_the_api_server_by_verb() -> None:
    text = (
        'apiserver_request_total{verb="APPLY",dry_run="",code="200"} 3\n'
        'apiserver_request_total{verb="APPLY",dry_run="All",code="200"} 1\n'
        'apiserver_request_total{verb="GET",dry_run="",code="404"} 2\n'
    )
    assert counted(Samples.parse(text)) == {"apply": 3, "dry-run": 1, "get": 2}
