"""The counts that the queries yield on a real Prometheus, of histories whose true counts are known.

Counters are scraped every 15 s, the look comes 8 s after the last scrape, and windows are 60 s unless said otherwise.
So a window that starts at the last sample before it spans 60 s, and one that starts inside spans 45 s.
"""

from __future__ import annotations

import math

import pytest

from sophia_operator.api.gates import Baseline, Gate, LatencyGate, PromqlGate, SuccessRateGate
from sophia_operator.api.metrics import CustomMetrics, Metrics, MetricsPreset
from sophia_operator.api.release import Color
from sophia_operator.core.evidence.queries import gate_query, share_query
from tests.component.prometheus import histories as h
from tests.component.prometheus.scenarios import LOOK, History
from tests.component.prometheus.server import evaluate

CONTOUR = Metrics(preset=MetricsPreset.CONTOUR)
TRAEFIK = Metrics(preset=MetricsPreset.TRAEFIK)
APP = Metrics(preset=MetricsPreset.APP)
SUCCESS = Gate(name="success", success_rate=SuccessRateGate(min_percent="99"))
COMPARED = Gate(
    name="compared", success_rate=SuccessRateGate(min_percent=None), compared_to=Baseline.STABLE, max_ratio="1.5"
)
CUSTOM = Metrics(
    preset=MetricsPreset.CUSTOM,
    custom=CustomMetrics(
        requests_query='increase(envoy_cluster_upstream_rq_xx{envoy_cluster_name=~"{{namespace}}_{{service}}-{{color}}_80"}'
        "[{{window}}]) # all of them",
        errors_query="increase(envoy_cluster_upstream_rq_xx{envoy_response_code_class='5',"
        "envoy_cluster_name=~'{{namespace}}_{{ service }}-{{color}}_80'}[{{window}}])",
        latency_buckets_query="increase(envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="
        "'{{namespace}}_{{service}}-{{color}}_80'}[{{window}}])",
    ),
)


def ask(
    address: str,
    gate: Gate,
    of: History,
    metrics: Metrics = CONTOUR,
    *,
    window: int = 60,
    age: int = 0,
) -> dict[str, float]:
    green, blue = of.subject(Color.GREEN, 2), of.subject(Color.BLUE, 1)
    query = gate_query(gate, metrics, green, blue, window, baseline_age_seconds=age)
    return evaluate(address, query, LOOK)


def ask_share(address: str, of: History, metrics: Metrics = CONTOUR, window: int = 60) -> dict[str, float]:
    subjects = {Color.BLUE: of.subject(Color.BLUE, 1), Color.GREEN: of.subject(Color.GREEN, 2)}
    return evaluate(address, share_query(metrics, subjects, window), LOOK)


def test_steady_counters_are_counted_to_the_request(history: str) -> None:
    assert ask(history, SUCCESS, h.PLAIN) == {"total": 60, "errors": 6}


def test_a_window_that_begins_with_the_stage_counts_nothing_before_its_first_sample(history: str) -> None:
    # 50 s hold samples 8, 23 and 38 s old: 30 s of requests.
    assert ask(history, SUCCESS, h.PLAIN, window=50) == {"total": 30, "errors": 3}
    # 300 s hold samples up to 293 s old: the gate's own window is shorter, so this one began with the stage as well.
    assert ask(history, SUCCESS, h.PLAIN, window=300)["total"] == 285


def test_the_first_errors_of_a_release_are_seen_though_they_make_the_series_appear(history: str) -> None:
    # 30 s before the look one request in two began to fail; the last sample is 8 s old.
    assert ask(history, SUCCESS, h.FIRST_ERRORS) == {"total": 82, "errors": 22}


def test_errors_that_all_fall_between_two_scrapes_are_seen(history: str) -> None:
    assert ask(history, SUCCESS, h.BURST) == {"total": 100, "errors": 40}
    assert ask(history, SUCCESS, h.BURST, window=50) == {"total": 70, "errors": 40}


def test_increase_alone_would_have_called_them_error_free(history: str) -> None:
    selector = 'envoy_cluster_name="burst_chat-green_80",envoy_response_code_class="5"'
    naive = f"sum(increase(envoy_cluster_upstream_rq_xx{{{selector}}}[60s]))"
    assert evaluate(history, naive, LOOK) == {"": 0}


def test_the_first_requests_of_a_release_count_from_zero(history: str) -> None:
    assert ask(history, SUCCESS, h.NEWBORN) == {"total": 42, "errors": 0}


def test_without_a_series_there_is_no_sample_rather_than_zero_errors(history: str) -> None:
    assert ask(history, SUCCESS, h.QUIET) == {}


def test_a_restarted_gateway_does_not_make_counts_negative(history: str) -> None:
    # 40 s ago the counters began anew. `increase` takes over, and extrapolates.
    found = ask(history, SUCCESS, h.RESTARTED)
    assert found["total"] == pytest.approx(78, abs=20)
    assert 14 <= found["errors"] <= 26


def test_a_restart_is_noticed_though_the_counter_climbed_beyond_where_it_was(history: str) -> None:
    # 160 requests since the restart, up to 28 in the window before it; the mere difference would be 138.
    assert 160 <= ask(history, SUCCESS, h.CLIMBED)["total"] <= 188 * 60 / 45


def test_a_replaced_gateway_replica_counts_from_zero(history: str) -> None:
    # The old one's last 15 s in the window, and all 32 s of the new one.
    assert ask(history, SUCCESS, h.ROLLED) == {"total": 63, "errors": 16}


def test_a_history_that_prometheus_did_not_watch_does_not_count(history: str) -> None:
    # 4,000 errors of long ago stand on a counter that reappears; nothing was wrong since.
    found = ask(history, SUCCESS, h.BLIND)
    assert found["errors"] == 0
    assert found["total"] < 60


def test_the_baseline_is_counted_the_same_way(history: str) -> None:
    found = ask(history, COMPARED, h.PLAIN)
    assert found.pop("baseline_dispersion") < 1
    assert found == {"total": 60, "errors": 6, "baseline_total": 121, "baseline_errors": 1}


def test_without_traffic_now_the_baseline_is_that_of_its_last_traffic(history: str) -> None:
    now = ask(history, COMPARED, h.HUNDRED)
    assert (now["baseline_total"], now["baseline_errors"]) == (0, 0)
    then = ask(history, COMPARED, h.HUNDRED, age=200)
    assert (then["total"], then["errors"]) == (120, 0)
    assert (then["baseline_total"], then["baseline_errors"]) == (126, 6)


def test_the_dispersion_tells_bursts_from_single_errors(history: str) -> None:
    # 20 errors in every third window of 120 requests, none in the others: mean 6.7, variance 88.9, so 13.3.
    found = ask(history, COMPARED, h.BURSTS)
    assert found["baseline_dispersion"] == pytest.approx(13.3, rel=0.25)
    before = ask(history, COMPARED, h.BURSTS, age=30)
    assert before["baseline_dispersion"] == pytest.approx(13.3, rel=0.25)
    # A stable release without errors has no dispersion.
    assert math.isnan(ask(history, COMPARED, h.FIRST_ERRORS)["baseline_dispersion"])


def test_latency_of_contour_is_in_ms(history: str) -> None:
    gate = Gate(name="p80", latency=LatencyGate(quantile="0.8", max_ms=500), compared_to="Stable", max_ratio="2")
    found = ask(history, gate, h.LATENCY)
    # 0.5 of 1 up to 10 ms, 0.9 up to 100 ms: the 80 % point is three quarters of the way.
    assert found["value"] == pytest.approx(77.5, abs=2)
    assert found["ceiling"] == 1000
    assert found["total"] == pytest.approx(60, abs=1)
    assert found["baseline_value"] < 10
    assert found["baseline_total"] == 120


def test_a_quantile_beyond_the_histogram_shows_as_its_ceiling(history: str) -> None:
    gate = Gate(name="p99", latency=LatencyGate(quantile="0.99", max_ms=5000))
    found = ask(history, gate, h.LATENCY)
    assert found["value"] == found["ceiling"] == 1000


def test_share_counts_only_what_came_in_the_window(history: str) -> None:
    assert ask_share(history, h.PLAIN) == {"blue": 91, "green": 45}


def test_share_is_zero_for_a_colour_that_never_got_a_request(history: str) -> None:
    assert ask_share(history, h.QUIET) == {"blue": 90, "green": 0}


def test_share_has_no_sample_without_any_series(history: str) -> None:
    assert ask_share(history, History("nobody")) == {}


def test_an_application_counts_by_the_pods_of_its_release(history: str) -> None:
    # Two pods with one request a second each, one of them failing half a request a second since 40 s.
    assert ask(history, SUCCESS, h.APP, APP) == {"total": 136, "errors": 16}
    assert ask_share(history, h.APP, APP) == {"blue": 135, "green": 106}


def test_latency_of_an_application_is_in_ms(history: str) -> None:
    gate = Gate(name="p75", latency=LatencyGate(quantile="0.75", max_ms=500))
    found = ask(history, gate, h.APP, APP)
    assert found["value"] == pytest.approx(300, abs=10)
    assert found["total"] == 60


def test_traefik_is_read_by_service_and_port(history: str) -> None:
    assert ask(history, SUCCESS, h.TRAEFIK, TRAEFIK) == {"total": 72, "errors": 12}
    assert ask_share(history, h.TRAEFIK, TRAEFIK) == {"blue": 135, "green": 54}


def test_custom_queries_are_summed_and_labelled(history: str) -> None:
    found = ask(history, COMPARED, h.PLAIN, CUSTOM)
    assert found["total"] == pytest.approx(60, abs=1)
    assert found["errors"] == pytest.approx(6, abs=1)
    assert found["baseline_total"] == pytest.approx(120, abs=2)
    assert ask(history, COMPARED, h.HUNDRED, CUSTOM, age=200)["baseline_total"] == pytest.approx(126, abs=2)
    assert ask(history, SUCCESS, h.NEWBORN, CUSTOM)["errors"] == 0
    assert ask(history, SUCCESS, h.QUIET, CUSTOM) == {}
    assert ask_share(history, h.QUIET, CUSTOM)["green"] == 0
    gate = Gate(name="p80", latency=LatencyGate(quantile="0.8", max_ms=500))
    assert ask(history, gate, h.LATENCY, CUSTOM)["value"] == pytest.approx(77_500, rel=0.05)


def test_a_query_of_the_users_comes_with_the_count_of_requests(history: str) -> None:
    query = 'max(envoy_cluster_upstream_rq_xx{envoy_cluster_name="{{namespace}}_chat-{{color}}_80"}) > 0 # newest'
    gate = Gate(name="own", promql=PromqlGate(query=query, max="5"))
    assert ask(history, gate, h.PLAIN) == {"value": 1073, "total": 60}
    uncounted = gate.model_copy(update={"min_requests": 0})
    assert ask(history, uncounted, h.PLAIN) == {"value": 1073}
