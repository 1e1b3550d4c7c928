"""What the app counted, and what its answers took."""

from __future__ import annotations

import pytest

from hack.demo.cached_reads import Answer, counts_of, hit_percent, median_ms

TEXT = """\
# HELP cache_requests_total Questions to each level of the cache, by result; the origin always hits.
# TYPE cache_requests_total counter
cache_requests_total{level="hot",result="error"} 2
cache_requests_total{level="hot",result="hit"} 30
cache_requests_total{level="local",result="hit"} 50
cache_requests_total{level="local",result="miss"} 50
cache_requests_total{level="origin",result="hit"} 20
# TYPE cache_memory_entries gauge
cache_memory_entries 80
http_requests_total{code="200"} 100
"""


def test_counters_of_the_cache_are_read() -> None:
    assert counts_of(TEXT) == {
        ("hot", "error"): 2,
        ("hot", "hit"): 30,
        ("local", "hit"): 50,
        ("local", "miss"): 50,
        ("origin", "hit"): 20,
    }
    assert counts_of("http_requests_total 3\n") == {}


@pytest.mark.parametrize(
    ("before", "percent"),
    [
        ({}, 80.0),
        ({("local", "miss"): 20, ("origin", "hit"): 20}, 100.0),
        ({("local", "hit"): 50, ("local", "miss"): 30, ("origin", "hit"): 0}, 0.0),
        (counts_of(TEXT), None),
    ],
)
def test_reads_that_did_not_get_to_the_origin_are_hits(before: dict[tuple[str, str], int], percent: float) -> None:
    assert hit_percent(before, counts_of(TEXT), "local") == percent


def test_medians_are_of_what_a_level_answered() -> None:
    answers = [Answer("hot", "x", 0.001), Answer("hot", "x", 0.003), Answer("hot", "x", 0.9), Answer("local", "x", 1.0)]
    assert median_ms(answers, "hot") == 3.0
    assert median_ms(answers, "origin") is None
