"""What Prometheus is asked about models, and what its answers say."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, QueryRefused, Samples
from sophia_operator.core.model import queries
from sophia_operator.core.model.findings import PassiveTally
from sophia_operator.core.model.views import ModelRouteView
from tests.support.model_routes import http_route, model, model_route, view


def litellm(**metrics: Any) -> ModelRouteView:
    return view(model_route(metrics={"preset": "LiteLLM", **metrics}))


def test_a_route_that_wants_no_counts_asks_for_none() -> None:
    assert queries.passive_request(view(model_route())) is None


def test_one_query_asks_about_every_model_and_no_other_ones() -> None:
    request = queries.passive_request(litellm(prometheus={"url": "http://prometheus:9090"}))
    assert request is not None
    assert request.access is not None
    assert request.access.url == "http://prometheus:9090"
    assert 'model_id=~"shop/chat/primary|shop/chat/second|shop/chat/third"' in request.query
    by_service = queries.passive_request(view(http_route(metrics={"preset": "Contour"})))
    assert by_service is not None
    assert 'envoy_cluster_name=~"shop_primary_8000|shop_second_8000"' in by_service.query


@pytest.mark.parametrize(
    ("values", "tally"),
    [
        ({}, None),
        ({"p95/shop/chat/primary": 3.0}, None),
        ({"successes/shop/chat/primary": 8.0}, PassiveTally(8.0, 0.0)),
        ({"failures/shop/chat/primary": 2.0}, PassiveTally(2.0, 2.0)),
        (
            {"successes/shop/chat/primary": 8.0, "failures/shop/chat/primary": 2.0, "p95/shop/chat/primary": 250.0},
            PassiveTally(10.0, 2.0, 250.0),
        ),
        ({"refusals/chat/primary": 3.0}, PassiveTally(3.0, 3.0)),
        ({"failures/shop/chat/primary": -1.0, "successes/shop/chat/primary": 4.0}, PassiveTally(4.0, 0.0)),
    ],
)
def test_samples_become_tallies(values: dict[str, float], tally: PassiveTally | None) -> None:
    found = queries.passive_tallies(litellm(), Samples(values))
    assert found == ({} if tally is None else {"primary": tally})


@pytest.mark.parametrize(
    ("values", "tally"),
    [
        ({"requests": 8.0, "failures": 2.0, "retries": 3.0}, PassiveTally(11.0, 5.0)),
        ({"requests": 8.0, "retries": 0.0, "p95": 120.0}, PassiveTally(8.0, 0.0, 120.0)),
        ({"requests": 8.0, "retries": -1.0}, PassiveTally(8.0, 0.0)),
        ({"retries": 4.0}, PassiveTally(4.0, 4.0)),
        # Envoy has this counter of a Service before anybody asks it.
        ({"retries": 0.0}, None),
    ],
)
def test_each_retry_of_a_gateway_is_a_request_that_failed(values: dict[str, float], tally: PassiveTally | None) -> None:
    route = view(http_route(metrics={"preset": "Contour"}))
    found = queries.passive_tallies(route, Samples({f"{k}/shop_primary_8000": v for k, v in values.items()}))
    assert found == ({} if tally is None else {"primary": tally})


def test_more_failures_than_requests_are_all_that_there_are() -> None:
    route = view(http_route(metrics={"preset": "Contour"}))
    values = {"requests/shop_primary_8000": 4.0, "failures/shop_primary_8000": 5.0}
    assert queries.passive_tallies(route, Samples(values)) == {"primary": PassiveTally(5.0, 5.0)}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (MetricsOutage("http://prometheus did not answer within 5 s"), "http://prometheus did not answer within 5 s"),
        (QueryRefused("parse error"), "Prometheus refuses the query: parse error"),
    ],
)
def test_why_there_is_nothing(answer: MetricsAnswer, words: str) -> None:
    assert queries.passive_tallies(litellm(), answer) == words
    assert queries.quality(answer) == words


def test_the_quality_of_a_model_is_asked_for_by_its_own_query() -> None:
    models = [model("primary", qualityQuery='good{m="{{model}}",r="{{route}}",n="{{namespace}}"}[{{ window }}]')]
    route = view(model_route(models=[*models, model("second")], switch={"windowSeconds": 90}))
    request = queries.quality_request(route, "primary")
    assert request is not None
    assert (request.key, request.query) == ("quality/primary", 'good{m="primary",r="chat",n="shop"}[90s]')
    assert queries.quality_request(route, "second") is None
    assert queries.quality_request(route, "nobody") is None


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ({"": 0.75}, 0.75),
        ({}, "qualityQuery gives no value, and must give one"),
        ({"a": 1.0, "b": 1.0}, "qualityQuery gives 2 values, and must give one"),
        ({"": 75.0}, "qualityQuery must give a value from 0 to 1: divide it by 100 if it gives percent"),
        ({"": -0.1}, "qualityQuery must give a value from 0 to 1: divide it by 100 if it gives percent"),
    ],
)
def test_what_a_quality_query_gives(values: dict[str, float], answer: float | str) -> None:
    assert queries.quality(Samples(values)) == answer
