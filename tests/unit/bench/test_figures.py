"""Spreads, quantiles, and readings of metrics endpoints."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench import figures
from bench.figures import Spread, histogram_quantile, quantile
from bench.node import seconds_of_duration
from bench.operator_process import Samples


def test_spread_of_odd_and_even_counts() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(median=2.0, min=1.0, max=3.0, count=3)
    assert Spread.of([4.0, 1.0, 2.0, 3.0]).median == 2.5
    with pytest.raises(ValueError, match="no values"):
        Spread.of([])


def test_quantile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert quantile(values, 0.5) == 50.0
    assert quantile(values, 0.99) == 99.0
    assert quantile([7.0], 0.99) == 7.0


def test_histogram_quantile_interpolates_and_ends_at_the_last_bound() -> None:
    buckets = {0.1: 50.0, 0.2: 100.0, math.inf: 100.0}
    assert histogram_quantile(buckets, 0.25) == pytest.approx(0.05)
    assert histogram_quantile(buckets, 0.75) == pytest.approx(0.15)
    assert histogram_quantile({0.1: 0.0, math.inf: 4.0}, 0.5) == 0.1
    assert histogram_quantile({0.1: 0.0, math.inf: 0.0}, 0.5) is None


TEXT = """# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{verb="get",kind="Pod"} 3.0
requests_total{verb="apply",kind="Pod"} 2.0
requests_total{verb="apply",kind="Service \\"x\\""} 1e+01
pass_seconds_bucket{result="settled",le="0.1"} 1.0
pass_seconds_bucket{result="settled",le="+Inf"} 2.0
pass_seconds_bucket{result="changed",le="0.1"} 2.0
pass_seconds_bucket{result="changed",le="+Inf"} 2.0
up 1
"""


def test_samples_are_summed_by_labels() -> None:
    samples = Samples.parse(TEXT)
    assert samples.total("requests_total") == 15.0
    assert samples.total("requests_total", verb="apply") == 12.0
    assert samples.by("requests_total", "verb") == {("get",): 3.0, ("apply",): 12.0}
    assert samples.total("up") == 1.0
    assert samples.total("missing") == 0.0


def test_samples_since_an_earlier_reading() -> None:
    before = Samples.parse('requests_total{verb="get",kind="Pod"} 1.0\n')
    assert Samples.parse(TEXT).since(before).total("requests_total", verb="get") == 2.0


def test_quantile_over_several_series_of_a_histogram() -> None:
    samples = Samples.parse(TEXT)
    assert samples.quantile("pass_seconds", 0.5) == pytest.approx(0.1 * 2 / 3)
    assert samples.quantile("pass_seconds", 0.5, result="settled") == pytest.approx(0.1)
    assert samples.quantile("other_seconds", 0.5) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1.0), ("15s", 15.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0)]
)
def test_durations_of_prometheus(text: str, seconds: float) -> None:
    assert seconds_of_duration(text) == seconds


def test_figures_are_written_with_what_they_were_taken_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "OUT", tmp_path)
    path = figures.write("x", {"runs": 3}, {"total": Spread.of([1.0]), "deep": {"a": Spread.of([2.0])}}, {"cpus": 2})
    found = json.loads(path.read_text())
    assert found["parameters"] == {"runs": 3}
    assert found["machine"]["cpus"] == 2
    assert found["total"]["median"] == 1.0
    assert found["deep"]["a"]["max"] == 2.0
