"""How requests are judged and added up."""

from __future__ import annotations

import dataclasses
import json

import pytest

from hack.load import Outcome, Record, Report

GOOD = Record(
    scheduled=100.0,
    started=100.001,
    ended=100.010,
    status=200,
    release="web-1",
    fault=None,
    error=None,
    fresh=False,
    repeated=False,
)


def record(**changes: object) -> Record:
    return dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, Outcome.OK),
        ({"status": 204}, Outcome.OK),
        ({"release": None}, Outcome.OK),
        ({"status": 500}, Outcome.APP_ERROR),
        ({"status": 503, "release": ""}, Outcome.APP_ERROR),
        ({"status": 404, "release": "web-1"}, Outcome.APP_ERROR),
        ({"status": 503, "release": None}, Outcome.LOST),
        ({"status": 404, "release": None}, Outcome.LOST),
        ({"status": 0, "release": None, "error": "connection refused"}, Outcome.LOST),
    ],
)
def test_only_an_error_that_names_its_release_is_the_apps_own(changes: dict[str, object], outcome: Outcome) -> None:
    assert record(**changes).outcome is outcome


def test_the_report_accounts_for_every_request() -> None:
    records = [
        *[record() for _ in range(6)],
        *[record(release="web-2") for _ in range(2)],
        record(release="web-2", status=500, fault="error", repeated=True),
        record(status=503, release=None),
        record(status=0, release=None, error="connection refused"),
    ]
    report = Report.of(records)
    assert (report.sent, report.ok, report.app_errors, report.lost) == (11, 8, 1, 2)
    assert report.sent == report.ok + report.app_errors + report.lost
    assert report.releases == {"web-1": 6, "web-2": 3}
    assert report.shares == {"web-1": pytest.approx(2 / 3), "web-2": pytest.approx(1 / 3)}
    assert report.app_errors_by_release == {"web-2": 1}
    assert report.faults == {"error": 1}
    assert report.lost_reasons == {"connection refused": 1, "status 503 from the gateway": 1}
    assert report.repeated == 1


def test_latency_counts_from_when_a_request_was_due() -> None:
    late = record(scheduled=100.0, started=102.0, ended=102.1)
    report = Report.of([late])
    assert report.p50_ms == pytest.approx(2100)
    assert report.late_ms == pytest.approx(2000)


@pytest.mark.parametrize(("count", "p50", "p99"), [(1, 1, 1), (2, 1, 2), (100, 50, 99), (1000, 500, 990)])
def test_quantiles(count: int, p50: float, p99: float) -> None:
    report = Report.of([record(ended=100.0 + number / 1000) for number in range(1, count + 1)])
    assert report.p50_ms == pytest.approx(p50)
    assert report.p99_ms == pytest.approx(p99)


def test_requests_without_an_answer_have_no_latency() -> None:
    report = Report.of([record(status=0, release=None, error="x", ended=110.0)])
    assert report.p99_ms is None
    assert Report.of([]).sent == 0
    assert "lost 1" in report.text()


def test_the_log_line_says_everything() -> None:
    line = record(status=500, fault="error").line()
    assert line.endswith("\n")
    assert json.loads(line) == {
        "scheduled": 100.0,
        "t_start": 100.001,
        "t_end": 100.01,
        "outcome": "appError",
        "status": 500,
        "release": "web-1",
        "fault": "error",
        "error": None,
        "fresh": False,
        "repeated": False,
    }
