"""What gives the gateway a new revision, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.core.model.told import told_hash
from tests.support.model_routes import LABELS, http_route, model, model_route, served_model

SHARES = {"primary": 100, "second": 0}
PORTKEY: dict[str, Any] = {
    "portkey": {
        "selector": LABELS,
        "httpRoute": {"parentRefs": [{"name": "gw"}], "hostnames": ["models.example.com"]},
    }
}


def hashed(obj: dict[str, Any], shares: dict[str, int] = SHARES, fallbacks: tuple[str, ...] = ("second",)) -> str:
    return told_hash(ModelRouteSpec.model_validate(obj["spec"]), shares, fallbacks)


def keyless(name: str, **more: Any) -> dict[str, Any]:
    return model(name, credentialsSecretRef=None, **more)


@pytest.mark.parametrize("gateway", [None, PORTKEY], ids=["liteLLM", "portkey"])
def test_shares_fallbacks_and_models_are_told(gateway: dict[str, Any] | None) -> None:
    spec: dict[str, Any] = {} if gateway is None else {"gateway": gateway}
    spec["models"] = [keyless("primary"), keyless("second"), keyless("third")]
    before = hashed(model_route(**spec))

    assert hashed(model_route(**spec)) == before
    assert hashed(model_route(**spec), {"second": 100}) != before
    assert hashed(model_route(**spec), fallbacks=("third",)) != before
    models = [keyless("primary"), keyless("second"), keyless("third", model="another")]
    assert hashed(model_route(**spec | {"models": models})) != before


def test_a_share_of_nothing_is_the_same_as_none() -> None:
    assert hashed(model_route(), {"primary": 100}) == hashed(model_route(), SHARES)


def test_an_http_route_has_no_fallbacks() -> None:
    assert hashed(http_route(), fallbacks=("second",)) == hashed(http_route(), fallbacks=("primary",))


@pytest.mark.parametrize(
    "change",
    [
        {"way": {"hostnames": ["other.example.com"]}},
        {"way": {"path": "/api"}},
        {"way": {"parentRefs": [{"name": "gw", "sectionName": "https"}]}},
        {
            "models": [
                served_model("primary"),
                served_model("second", endpoint={"serviceRef": {"name": "x", "port": 1}}),
            ]
        },
    ],
)
def test_what_the_http_route_says_is_told(change: dict[str, Any]) -> None:
    assert hashed(http_route(**change)) != hashed(http_route())


def test_only_what_the_operator_needs_is_not_told() -> None:
    before = hashed(http_route())

    assert hashed(http_route(way={"dataPlane": {"host": "other.infra.svc", "port": 8443}})) == before
    assert hashed(http_route(models=[served_model("primary", quality="0.1"), served_model("second")])) == before
    assert hashed(http_route(switch={"forSeconds": 99}, pin="second", dryRun=True)) == before


def test_how_long_a_gateway_waits_is_told() -> None:
    gateway = {"liteLLM": {"selector": LABELS, "timeoutSeconds": 7}}
    assert hashed(model_route(gateway=gateway)) != hashed(model_route())


def test_whether_a_proxy_needs_a_key_is_told_and_which_secret_has_it_is_not() -> None:
    without = [keyless("primary"), model("second"), model("third")]
    elsewhere = [model("primary", credentialsSecretRef={"name": "other"}), model("second"), model("third")]

    assert hashed(model_route(models=without)) != hashed(model_route())
    assert hashed(model_route(models=elsewhere)) == hashed(model_route())
