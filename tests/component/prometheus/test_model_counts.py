"""Tallies of users' requests to models, by a real Prometheus, of histories whose true counts are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sophia_operator.core.findings import Samples
from sophia_operator.core.model import queries
from sophia_operator.core.model.findings import PassiveTally
from tests.component.prometheus import histories as h
from tests.component.prometheus.scenarios import LOOK
from tests.component.prometheus.server import evaluate
from tests.support.model_routes import http_route, model, model_route, served_model, view


def tallies(address: str, obj: dict[str, Any]) -> Mapping[str, PassiveTally] | str:
    obj["metadata"]["namespace"] = h.MODELS.namespace
    route = view(obj)
    request = queries.passive_request(route)
    assert request is not None
    return queries.passive_tallies(route, Samples(evaluate(address, request.query, LOOK)))


def test_what_litellm_asked_of_each_deployment_is_counted(history: str) -> None:
    found = tallies(history, model_route(metrics={"preset": "LiteLLM"}))
    # The failures' series was born by the first of them, 30 s before the look; the last sample is 8 s old.
    assert not isinstance(found, str)
    # Six requests more were refused for the key of a proxy.
    assert found["primary"].requests == 82 + 6
    assert found["primary"].failures == 22 + 6
    assert found["primary"].p95_ms == 950
    assert found["second"] == PassiveTally(12, 12)
    assert "third" not in found


def test_what_envoy_sent_to_each_service_is_counted(history: str) -> None:
    found = tallies(history, http_route(metrics={"preset": "Contour"}))
    assert found == {"primary": PassiveTally(120, 0, 750), "second": PassiveTally(60, 60)}


def test_what_envoy_asked_again_failed_before_and_a_restart_of_it_loses_little(history: str) -> None:
    found = tallies(
        history, http_route(metrics={"preset": "Contour"}, models=[served_model("flaky"), served_model("moved")])
    )
    assert not isinstance(found, str)
    # What it counted between its last scrape before and its end nobody knows.
    assert 2 * 32 <= found["flaky"].requests <= 2 * 60
    assert found["flaky"].failures == pytest.approx(found["flaky"].requests / 2)
    # The replica that left: 15 s of its minute; the one that stays: all of it; the new one: what it counted in 32 s.
    assert found["moved"] == PassiveTally(15 + 60 + 32, 32)


def test_a_model_that_nobody_asks_has_no_tally(history: str) -> None:
    """Envoy has a counter of retries for it from the start."""
    assert (
        tallies(history, http_route(metrics={"preset": "Contour"}, models=[served_model("idle"), served_model("new")]))
        == {}
    )


def test_what_users_ask_themselves_is_taken_as_it_is(history: str) -> None:
    cluster = 'envoy_cluster_upstream_rq{envoy_cluster_name="{{namespace}}_{{model}}_8000"'
    custom = {
        "requests": f"increase({cluster}}}[{{{{window}}}}]) # all of them",
        "errors": f'increase({cluster},envoy_response_code="503"}}[{{{{ window }}}}])',
        "p95Ms": "vector(120)",
    }
    metrics = {"preset": "Custom", "queries": custom}
    found = tallies(history, model_route(metrics=metrics, models=[model("primary"), model("second")]))
    assert not isinstance(found, str)
    assert (round(found["primary"].requests), found["primary"].failures, found["primary"].p95_ms) == (120, 0, 120)
    assert round(found["second"].failures) == 60
