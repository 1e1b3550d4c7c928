from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_operator.api.gates import Baseline, Gate, LatencyGate, PromqlGate, SuccessRateGate
from sophia_operator.api.metrics import AppMetrics, CustomMetrics, Metrics, MetricsPreset
from sophia_operator.api.queries import PLACEHOLDERS
from sophia_operator.api.release import Color
from sophia_operator.core.evidence.placeholders import UnknownPlaceholder, check, fill
from sophia_operator.core.evidence.queries import MissingQuery, check_queries, gate_query, share_query
from sophia_operator.core.evidence.subject import Subject

GREEN = Subject("shop", "chat", "chat-2", Color.GREEN, 80)
BLUE = Subject("shop", "chat", "chat-1", Color.BLUE, 80)
SUCCESS = Gate(name="s", success_rate=SuccessRateGate(min_percent="99"))
LATENCY = Gate(name="l", latency=LatencyGate(quantile="0.95", max_ms=300))
PROMQL = Gate(name="p", promql=PromqlGate(query="up{pod=~'{{release}}-.*'}[{{window}}]", max="1"))
BUILT_IN = [Metrics(preset=p) for p in (MetricsPreset.CONTOUR, MetricsPreset.TRAEFIK, MetricsPreset.APP)]


def names_in(query: str) -> set[str]:
    return set(re.findall(r'"sophia", "([a-z_]+)"', query))


def custom(**queries: str) -> Metrics:
    return Metrics(preset=MetricsPreset.CUSTOM, custom=CustomMetrics(**({"requests_query": "requests"} | queries)))


@pytest.mark.parametrize("metrics", BUILT_IN)
def test_one_query_has_every_sample_of_a_look(metrics: Metrics) -> None:
    assert names_in(gate_query(SUCCESS, metrics, GREEN, None, 60)) == {"total", "errors"}
    assert names_in(gate_query(LATENCY, metrics, GREEN, None, 60)) == {"value", "ceiling", "total"}
    assert names_in(gate_query(PROMQL, metrics, GREEN, None, 60)) == {"value", "total"}
    uncounted = PROMQL.model_copy(update={"min_requests": 0})
    assert names_in(gate_query(uncounted, metrics, GREEN, None, 60)) == {"value"}
    assert names_in(share_query(metrics, {Color.GREEN: GREEN, Color.BLUE: BLUE}, 60)) == {"green", "blue"}


def test_the_baseline_is_asked_for_only_in_a_comparison() -> None:
    compared = SUCCESS.model_copy(update={"compared_to": Baseline.STABLE, "max_ratio": "2"})
    both = {"total", "errors", "baseline_total", "baseline_errors", "baseline_dispersion"}
    assert names_in(gate_query(compared, BUILT_IN[0], GREEN, BLUE, 60)) == both
    assert names_in(gate_query(compared, BUILT_IN[0], GREEN, None, 60)) == {"total", "errors"}
    assert names_in(gate_query(SUCCESS, BUILT_IN[0], GREEN, BLUE, 60)) == {"total", "errors"}


def test_each_preset_names_the_release_as_its_source_does() -> None:
    contour, traefik, app = (gate_query(SUCCESS, metrics, GREEN, None, 60) for metrics in BUILT_IN)
    assert 'envoy_cluster_name="shop_chat-green_80"' in contour
    assert 'service=~"(.*-svc-)?shop-chat-green-80@kubernetesgateway"' in traefik
    assert 'namespace="shop",pod=~"chat-2-[a-z0-9]{1,10}-[a-z0-9]{5}",code=~"5.."' in app


def test_an_application_can_have_other_names() -> None:
    metrics = Metrics(app=AppMetrics(requests_metric="rpc_total", code_label="status", latency_metric="rpc_seconds"))
    assert 'rpc_total{namespace="shop",pod=~' in gate_query(SUCCESS, metrics, GREEN, None, 60)
    assert 'status=~"5.."' in gate_query(SUCCESS, metrics, GREEN, None, 60)
    assert "rpc_seconds_bucket{" in gate_query(LATENCY, metrics, GREEN, None, 60)


def test_a_query_fits_into_status_even_with_the_longest_names() -> None:
    who = Subject("n" * 63, "s" * 51, f"{'s' * 51}-123456", Color.GREEN, 65_535)
    for gate in (SUCCESS, LATENCY):
        compared = gate.model_copy(update={"compared_to": Baseline.STABLE, "max_ratio": "2"})
        for metrics in BUILT_IN:
            query = gate_query(compared, metrics, who, who, 86_400, baseline_age_seconds=86_400)
            assert len(query) < 16_384


def test_custom_lacks_what_it_lacks() -> None:
    with pytest.raises(MissingQuery, match=r"metrics\.custom\.errorsQuery is missing: successRate gates need it"):
        gate_query(SUCCESS, custom(), GREEN, None, 60)
    with pytest.raises(MissingQuery, match="latencyBucketsQuery"):
        gate_query(LATENCY, custom(), GREEN, None, 60)


def test_lint_finds_what_could_not_be_built() -> None:
    check_queries([SUCCESS, LATENCY, PROMQL], BUILT_IN[0])
    # As a stored object may have it that is older than the rule of the API.
    query = "x{a='{{colour}}'}"
    wrong = PROMQL.model_copy(update={"promql": PromqlGate.model_construct(query=query, max="1")})
    with pytest.raises(
        UnknownPlaceholder, match=r"unknown placeholder \{\{colour\}\}: a query can use \{\{release\}\}"
    ):
        check_queries([wrong], BUILT_IN[0])
    old = CustomMetrics.model_construct(requests_query="x", errors_query="x{pod='{{pod}}'}")
    with pytest.raises(UnknownPlaceholder, match="pod"):
        check_queries([], custom().model_copy(update={"custom": old}))
    with pytest.raises(MissingQuery):
        check_queries([SUCCESS], custom())


def test_placeholders_are_filled_in() -> None:
    query = "{{release}} {{ color }} {{namespace}} {{service}} {{\twindow }}"
    assert fill(query, GREEN, 45) == "chat-2 green shop chat 45s"


def test_braces_of_promql_are_left_alone() -> None:
    query = 'sum by (le) (rate(x{a="b"}[{{window}}])) {'
    assert fill(query, GREEN, 5) == 'sum by (le) (rate(x{a="b"}[5s])) {'


MARKS = [f"{{{{{name}}}}}" for name in PLACEHOLDERS]
WORDS = st.sampled_from(["{", "}", "{{", "}}", " ", "\n", "x", '"', *PLACEHOLDERS, *MARKS])


@given(st.lists(WORDS).map("".join))
def test_every_text_is_filled_in_or_refused_by_name(text: str) -> None:
    found = [inner.strip() for inner in re.findall(r"\{\{(.*?)\}\}", text, re.DOTALL)]
    unknown = [name for name in found if name not in PLACEHOLDERS]
    if unknown:
        with pytest.raises(UnknownPlaceholder) as refused:
            fill(text, GREEN, 60)
        assert refused.value.name == unknown[0]
        with pytest.raises(UnknownPlaceholder):
            check(text)
    else:
        check(text)
        assert len(fill(text, GREEN, 60)) <= len(text)


@given(st.text())
def test_substitution_is_total(text: str) -> None:
    try:
        assert isinstance(fill(text, GREEN, 60), str)
    except UnknownPlaceholder:
        assert "{{" in text


@pytest.mark.parametrize("field", ["namespace", "service", "release"])
@pytest.mark.parametrize("value", ["", "a.b", 'a"', "A", "a}}", "-a", "a\n"])
def test_only_dns_labels_come_into_a_query(field: str, value: str) -> None:
    names = {"namespace": "shop", "service": "chat", "release": "chat-2", field: value}
    with pytest.raises(ValueError, match="is not a DNS label"):
        Subject(**names, color=Color.GREEN, port_number=80)


def _pod(release: str, template_hash: str, random: str = "x2x4k") -> str:
    """As the ReplicaSet's and then the API server's name generator do it."""
    return f"{release}-{template_hash}-"[:58] + random


@given(
    st.integers(1, 51),
    st.integers(1, 99_999),
    st.text(alphabet="bcdfghjklmnpqrstvwxz2456789", min_size=1, max_size=10),
)
def test_pods_of_a_release_match_whatever_their_length(length: int, revision: int, template_hash: str) -> None:
    release = f"{'s' * length}-{revision}"
    pattern = re.compile(Subject("n", "s" * length, release, Color.BLUE, 80).pod_pattern)
    assert pattern.fullmatch(_pod(release, template_hash))
    for other in (f"{release}1", f"{'s' * length}-{revision + 1}", f"{release[:-1]}x"):
        assert not pattern.fullmatch(_pod(other, template_hash)) or len(release) >= 57


@pytest.mark.parametrize(
    "pod",
    [
        "chat-20-7d9c5b8f6d-x2x4k",
        "chat-2-1-7d9c5b8f6d-x2x4k",
        "chat-2-7d9c5b8f6d",
        "my-chat-2-7d9c5b8f6d-x2x4k",
        "chat-2-7d9c5b8f6d-x2x4k-x",
    ],
)
def test_pods_of_others_do_not_match(pod: str) -> None:
    assert not re.fullmatch(GREEN.pod_pattern, pod)
