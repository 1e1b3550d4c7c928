from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_operator.api.gates import Baseline, Gate, LatencyGate, PromqlGate, SuccessRateGate
from sophia_operator.api.release import GateStatus, Verdict
from sophia_operator.core.evidence.gates import StageVerdictKind, judge, stage_verdict
from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, QueryRefused, Samples

NOW = datetime(2025, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=15)
SUCCESS = Gate(name="success", success_rate=SuccessRateGate(min_percent="99"))
COMPARED = Gate(name="success", success_rate=SuccessRateGate(), compared_to=Baseline.STABLE, max_ratio="1.5")
LATENCY = Gate(name="latency", latency=LatencyGate(quantile="0.99", max_ms=300))
SLOWER = Gate(name="latency", latency=LatencyGate(), compared_to=Baseline.STABLE, max_ratio="1.2")
QUERY = Gate(name="own", promql=PromqlGate(query="x", min="0.5", max="2"))


def look(gate: Gate, answer: MetricsAnswer | None, previous: GateStatus | None = None) -> GateStatus:
    return judge(gate, answer, previous, query="the query", now=NOW, next_look_at=LATER)


def of(**values: float) -> Samples:
    return Samples(values)


def told(gate: Gate, **values: float) -> tuple[str, str]:
    status = look(gate, of(**values))
    return status.verdict.value, status.message


def test_a_success_rate_that_meets_its_bound_passes() -> None:
    status = look(SUCCESS, of(total=400, errors=4))
    assert status == GateStatus(
        name="success",
        verdict=Verdict.PASS,
        value="99",
        requests=400,
        message="success rate 99 % of 400 requests meets 99 %",
        query="the query",
        looks=1,
        looked_at=NOW,
        next_look_at=LATER,
    )


def test_a_success_rate_below_its_bound_fails() -> None:
    assert told(SUCCESS, total=412, errors=12) == ("Fail", "success rate 97.087 % of 412 requests is below 99 %")


def test_a_rate_is_never_rounded_to_the_other_side_of_its_bound() -> None:
    verdict, message = told(SUCCESS, total=10_000_000, errors=100_001)
    assert verdict == "Fail"
    assert message == "success rate 98.99999 % of 10000000 requests is below 99 %"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "no answer from Prometheus"),
        (
            MetricsOutage("Prometheus at http://p answers 503"),
            "no answer from Prometheus: Prometheus at http://p answers",
        ),
        (QueryRefused("parse error"), "Prometheus refuses the query: parse error"),
        (of(), "Prometheus has no series that count the release's requests in the window"),
        (of(errors=0), "no series"),
        (of(total=100), "no count of the release's errors"),
        (of(total=100, errors=-1), "no count of the release's errors"),
        (of(total=49, errors=0), "49 requests in the window, 50 needed"),
        (of(total=49.9, errors=0), "49 requests in the window, 50 needed"),
        (of(total=0, errors=0), "0 requests in the window, 50 needed"),
        (of(total=-5, errors=0), "0 requests in the window, 50 needed"),
        (of(total=math.nan, errors=0), "no series"),
        (of(total=math.inf, errors=0), "no series"),
        (of(total=100, errors=math.nan), "no count of the release's errors"),
    ],
)
def test_without_evidence_a_success_rate_is_inconclusive_and_says_why(answer: MetricsAnswer | None, words: str) -> None:
    status = look(SUCCESS, answer)
    assert status.verdict is Verdict.INCONCLUSIVE
    assert words in status.message
    assert status.value is None


def test_no_requests_are_inconclusive_even_where_none_are_asked_for() -> None:
    gate = SUCCESS.model_copy(update={"min_requests": 0})
    assert told(gate, total=0, errors=0) == ("Inconclusive", "no requests in the window")
    assert told(LATENCY.model_copy(update={"min_requests": 0}), total=0, value=1)[0] == "Inconclusive"


def test_more_errors_than_requests_are_all_of_them() -> None:
    assert look(SUCCESS, of(total=100, errors=100.4)).value == "0"


def test_looks_are_counted() -> None:
    first = look(SUCCESS, of(total=100, errors=50))
    second = look(SUCCESS, MetricsOutage("x"), first)
    third = look(SUCCESS, MetricsOutage("x"), second)
    fourth = look(SUCCESS, of(total=100, errors=50), third)
    counts = [(s.looks, s.failures, s.inconclusives) for s in (first, second, third, fourth)]
    assert counts == [(1, 1, 0), (2, 1, 1), (3, 1, 2), (4, 2, 0)]


def test_errors_like_the_stable_releases_pass() -> None:
    verdict, message = told(COMPARED, total=1000, errors=10, baseline_total=9000, baseline_errors=90)
    assert verdict == "Pass"
    assert (
        message == "error rate is within 1.5 times the stable release's (10 errors in 1000 requests, stable 90 in 9000)"
    )


def test_an_incident_on_both_releases_passes_a_comparison() -> None:
    assert told(COMPARED, total=1000, errors=500, baseline_total=9000, baseline_errors=4500)[0] == "Pass"


def test_errors_that_chance_does_not_explain_fail() -> None:
    status = look(COMPARED, of(total=1000, errors=40, baseline_total=9000, baseline_errors=90))
    assert status.verdict is Verdict.FAIL
    assert status.message.startswith("error rate is above 1.5 times the stable release's (40 errors in 1000 requests, ")
    assert (status.value, status.baseline) == ("96", "99")


def test_errors_that_chance_may_explain_hold() -> None:
    verdict, message = told(COMPARED, total=1000, errors=17, baseline_total=9000, baseline_errors=90)
    assert verdict == "Inconclusive"
    assert "may be above" in message
    assert told(COMPARED, total=1000, errors=1, baseline_total=9000, baseline_errors=0)[0] == "Inconclusive"


def test_errors_that_come_in_bursts_are_fewer_pieces_of_evidence() -> None:
    counts = {"total": 1000.0, "errors": 40.0, "baseline_total": 9000.0, "baseline_errors": 90.0}
    assert told(COMPARED, **counts, baseline_dispersion=1.5)[0] == "Fail"
    verdict, message = told(COMPARED, **counts, baseline_dispersion=12)
    assert verdict == "Inconclusive"
    assert "stable 90 in 9000, which come about 12 at a time" in message
    # Less than chance is no more evidence than chance.
    assert told(COMPARED, total=1000, errors=20, baseline_total=9000, baseline_errors=90, baseline_dispersion=0.01)[
        0
    ] == ("Inconclusive")


def test_no_errors_at_all_pass_a_comparison() -> None:
    assert told(COMPARED, total=1000, errors=0, baseline_total=9000, baseline_errors=0)[0] == "Pass"


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        ({}, "no counts of the stable release"),
        ({"baseline_total": 100.0}, "no counts of the stable release"),
        (
            {"baseline_total": 49.0, "baseline_errors": 0.0},
            "49 requests of the stable release to compare with, 50 needed",
        ),
    ],
)
def test_without_a_baseline_a_comparison_is_inconclusive(baseline: Mapping[str, float], words: str) -> None:
    verdict, message = told(COMPARED, total=1000, errors=0, **baseline)
    assert verdict == "Inconclusive"
    assert words in message


def test_bound_and_comparison_must_both_hold() -> None:
    both = COMPARED.model_copy(update={"success_rate": SuccessRateGate(min_percent="95")})
    fine = {"baseline_total": 9000.0, "baseline_errors": 90.0}
    assert told(both, total=1000, errors=10, **fine)[0] == "Pass"
    assert told(both, total=1000, errors=40, **fine)[0] == "Fail"
    assert told(both, total=1000, errors=100, baseline_total=9000, baseline_errors=900)[0] == "Fail"
    assert told(both, total=1000, errors=10)[0] == "Inconclusive"
    assert told(both, total=1000, errors=100)[0] == "Fail"


def test_latency_is_judged_by_its_bound() -> None:
    status = look(LATENCY, of(value=120.4567, ceiling=10_000, total=200))
    assert (status.verdict, status.value, status.requests) == (Verdict.PASS, "120.457", 200)
    assert status.message == "latency p99 120.457 ms of 200 requests is within 300 ms"
    assert told(LATENCY, value=300.2, ceiling=1000, total=200) == (
        "Fail",
        "latency p99 300.2 ms of 200 requests is above 300 ms",
    )
    assert told(LATENCY, value=300, ceiling=1000, total=200)[0] == "Pass"


def test_a_latency_beyond_the_histogram_is_not_known() -> None:
    verdict, message = told(LATENCY, value=250, ceiling=250, total=200)
    assert verdict == "Inconclusive"
    assert message.startswith("latency p99 is beyond the histogram's largest bound, 250 ms")
    assert told(LATENCY, value=1000, ceiling=1000, total=200)[0] == "Fail"


@pytest.mark.parametrize(
    "values", [{}, {"total": 100.0}, {"value": 5.0}, {"value": math.nan, "total": 100.0}, {"value": 5.0, "total": 9.0}]
)
def test_without_evidence_a_latency_is_inconclusive(values: Mapping[str, float]) -> None:
    assert told(LATENCY, **values)[0] == "Inconclusive"


def test_latency_is_compared_by_ratio() -> None:
    baseline = {"baseline_value": 100.0, "baseline_ceiling": 1000.0, "baseline_total": 500.0}
    assert told(SLOWER, value=120, ceiling=1000, total=100, **baseline)[0] == "Pass"
    verdict, message = told(SLOWER, value=120.5, ceiling=1000, total=100, **baseline)
    assert verdict == "Fail"
    assert message == "latency p99 is above 1.2 times the stable release's (120.5 ms, stable 100 ms in 500 requests)"
    assert told(SLOWER, value=90, ceiling=1000, total=100)[0] == "Inconclusive"
    assert told(SLOWER, value=90, ceiling=1000, total=100, **(baseline | {"baseline_total": 3.0}))[0] == "Inconclusive"
    # The stable release is slower than its histogram tells: the ratio may be anything below the measured one.
    beyond = baseline | {"baseline_ceiling": 100.0}
    assert told(SLOWER, value=150, ceiling=1000, total=100, **beyond)[0] == "Inconclusive"
    assert told(SLOWER, value=110, ceiling=1000, total=100, **beyond)[0] == "Pass"


def test_a_query_of_the_users_is_judged_by_its_bounds() -> None:
    assert told(QUERY, value=1, total=60) == ("Pass", "value 1 is at least 0.5 and at most 2")
    assert told(QUERY, value=0.1, total=60) == ("Fail", "value 0.1 is below 0.5")
    assert told(QUERY, value=2.0001, total=60) == ("Fail", "value 2.0001 is above 2")
    assert told(QUERY, total=60) == ("Inconclusive", "the query yields no number")
    assert told(QUERY, value=1, total=6)[0] == "Inconclusive"
    assert told(QUERY, value=1)[0] == "Inconclusive"
    assert told(QUERY.model_copy(update={"min_requests": 0}), value=1)[0] == "Pass"


@pytest.mark.parametrize(("value", "shown"), [(0.1, "0.1"), (1e300, "1e+300"), (-0.0, "0"), (1e-9, "0"), (5e-324, "0")])
def test_a_bound_means_the_number_that_people_wrote(value: float, shown: str) -> None:
    gate = Gate(name="own", promql=PromqlGate(query="x", max="0.1"), min_requests=0)
    status = look(gate, of(value=value))
    assert status.verdict is (Verdict.PASS if value <= 0.1 else Verdict.FAIL)
    assert status.value == shown


def test_what_is_too_long_for_status_is_cut() -> None:
    status = judge(SUCCESS, MetricsOutage("x" * 9999), None, query="q" * 20_000, now=NOW, next_look_at=LATER)
    assert status.query is not None
    assert len(status.query) == 16_384
    assert len(status.message) <= 4096


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
SAMPLES = st.dictionaries(
    st.sampled_from([p + n for p in ("", "baseline_") for n in ("total", "errors", "value", "ceiling")]), NUMBERS
)
ANSWERS = st.one_of(
    st.none(), st.builds(MetricsOutage, st.text()), st.builds(QueryRefused, st.text()), st.builds(Samples, SAMPLES)
)


@given(st.sampled_from([SUCCESS, COMPARED, LATENCY, SLOWER, QUERY]), ANSWERS)
def test_nothing_passes_without_a_number_and_enough_requests(gate: Gate, answer: MetricsAnswer | None) -> None:
    status = look(gate, answer)
    assert status.message
    if status.verdict is Verdict.PASS:
        assert isinstance(answer, Samples)
        assert math.isfinite(answer.values["total"])
        assert answer.values["total"] >= gate.min_requests
        assert math.isfinite(answer.values["errors" if gate.success_rate else "value"])
        assert status.value is not None
        assert status.requests is not None
        assert status.requests >= gate.min_requests
        if gate.compared_to is not None:
            assert answer.values["baseline_total"] >= gate.min_requests
            assert status.baseline is not None


def status(gate: str, verdict: Verdict, *, failures: int = 0, inconclusives: int = 0, looks: int = 1) -> GateStatus:
    return GateStatus(
        name=gate, verdict=verdict, message="why", failures=failures, inconclusives=inconclusives, looks=looks
    )


def test_a_stage_passes_when_every_gate_did() -> None:
    verdict = stage_verdict([status("success", Verdict.PASS), status("latency", Verdict.PASS)], [SUCCESS, LATENCY])
    assert (verdict.kind, verdict.gate) == (StageVerdictKind.PASS, None)
    assert stage_verdict([], []).kind is StageVerdictKind.PASS


@pytest.mark.parametrize(
    "statuses",
    [
        [status("success", Verdict.PASS)],
        [status("success", Verdict.PASS), status("latency", Verdict.PASS, looks=0)],
        [status("success", Verdict.PASS), status("latency", Verdict.INCONCLUSIVE, inconclusives=20)],
        [status("success", Verdict.PASS), status("latency", Verdict.FAIL)],
    ],
)
def test_a_stage_holds_until_every_gate_passed_at_its_last_look(statuses: list[GateStatus]) -> None:
    verdict = stage_verdict(statuses, [SUCCESS, LATENCY])
    assert (verdict.kind, verdict.gate) == (StageVerdictKind.HOLD, "latency")
    assert verdict.message


def test_a_stage_fails_beyond_the_failure_limit_whatever_came_later() -> None:
    patient = SUCCESS.model_copy(update={"failure_limit": 2})
    assert stage_verdict([status("success", Verdict.FAIL, failures=2)], [patient]).kind is StageVerdictKind.HOLD
    verdict = stage_verdict([status("success", Verdict.PASS, failures=3)], [patient])
    assert (verdict.kind, verdict.gate, verdict.message) == (StageVerdictKind.FAIL, "success", "why")


def test_a_stage_is_exhausted_beyond_the_inconclusive_limit() -> None:
    verdict = stage_verdict([status("success", Verdict.INCONCLUSIVE, inconclusives=21)], [SUCCESS])
    assert (verdict.kind, verdict.gate) == (StageVerdictKind.EXHAUSTED, "success")
    assert verdict.message == "21 looks in a row were inconclusive: why"


def test_failure_outweighs_exhaustion() -> None:
    statuses = [
        status("success", Verdict.INCONCLUSIVE, inconclusives=99),
        status("latency", Verdict.FAIL, failures=1),
    ]
    assert stage_verdict(statuses, [SUCCESS, LATENCY]).kind is StageVerdictKind.FAIL


def test_gates_on_dry_run_have_no_say() -> None:
    dry = SUCCESS.model_copy(update={"dry_run": True})
    assert stage_verdict([status("success", Verdict.FAIL, failures=9)], [dry]).kind is StageVerdictKind.PASS
    assert stage_verdict([], [dry]).kind is StageVerdictKind.PASS
    assert look(dry, of(total=100, errors=50)).dry_run
