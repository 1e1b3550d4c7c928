"""What Portkey is told, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sophia_operator.api.model_gateway import MAX_ROUTED_MODELS, MAX_ROUTED_URL
from sophia_operator.core.model.render.order import chain, shares_of
from sophia_operator.core.model.render.portkey import MAX_VALUE, config, model_of_option, options
from sophia_operator.core.model.views import ModelRouteView
from tests.support.model_routes import model, portkey_route, view

NAMES = ("primary", "second", "third")
ACCOUNT = {"credentialsSecretRef": {"name": "account-key"}}


def route(shares: dict[str, int], fallbacks: tuple[str, ...] = (), **spec: Any) -> ModelRouteView:
    spec.setdefault("models", [model(name, **ACCOUNT) for name in NAMES])
    told = [{"name": name, "percent": percent} for name, percent in shares.items()]
    return view(portkey_route(**spec), revision=1, shares=told, fallbacks=list(fallbacks))


def order(value: str) -> Any:
    """The models in what is told, by the name that they have at their endpoint."""

    def walk(part: dict[str, Any]) -> Any:
        if "targets" in part:
            return [walk(target) for target in part["targets"]]
        return part["override_params"]["model"].removesuffix("-model")

    return walk(json.loads(value))


def test_the_model_that_serves_comes_first_and_fallbacks_after_it() -> None:
    assert order(config(route({"second": 100}, ("third", "primary")))) == ["second", "third", "primary"]


def test_with_several_the_one_with_most_of_the_traffic_stands_in_for_the_others() -> None:
    told = route({"primary": 10, "second": 90}, ("third",))

    assert order(config(told)) == [["primary", "second", "third"], ["second", "third"]]
    assert [t["weight"] for t in json.loads(config(told))["targets"]] == [10, 90]


def test_a_choice_comes_before_all_that() -> None:
    assert order(config(route({"primary": 100}, ("second",)), "third")) == ["third", "primary", "second"]


def test_fallbacks_that_list_the_leader_keep_their_order() -> None:
    assert chain(route({"primary": 10, "second": 90}, ("third", "second")), "primary") == ("primary", "third", "second")


def test_models_that_were_removed_are_told_no_more() -> None:
    gone = route({"gone": 60, "second": 40}, ("gone", "third"))

    assert shares_of(gone) == {"primary": 0, "second": 40, "third": 0}
    assert order(config(gone)) == ["second", "third"]
    assert shares_of(route({"gone": 100})) == {}


def test_only_models_that_need_a_key_get_that_of_the_client() -> None:
    models = [model("primary", **ACCOUNT), model("second", credentialsSecretRef=None)]
    keyed, keyless = json.loads(config(route({"primary": 100}, ("second",), models=models)))["targets"]

    assert keyed["forward_headers"] == ["authorization"]
    assert "api_key" not in keyed
    assert "forward_headers" not in keyless


def test_what_fallbacks_have_no_room_in_a_header_is_left_out_from_the_end() -> None:
    url = "https://api.example.com/"
    endpoint = {"url": url + "v" * (MAX_ROUTED_URL - len(url))}
    names = [f"m{number}" for number in range(MAX_ROUTED_MODELS)]
    models = [model(name, endpoint=endpoint, model=f"{name}-model", **ACCOUNT) for name in names]
    told = config(route({"m0": 50, "m1": 50}, tuple(names[2:]), models=models))

    assert len(told) <= MAX_VALUE
    assert order(told) == [["m0", "m2"], ["m1", "m0"]]
    alone = order(config(route({"m0": 100}, tuple(names[1:]), models=models)))
    assert 3 <= len(alone) < MAX_ROUTED_MODELS
    assert alone == names[: len(alone)]


def test_the_longest_models_that_can_serve_have_room() -> None:
    url = "https://api.example.com/"
    endpoint = {"url": url + "v" * (MAX_ROUTED_URL - len(url))}
    models = [model(f"m{number}", endpoint=endpoint, model="m" * 256, **ACCOUNT) for number in range(3)]

    assert len(config(route({"m0": 50, "m1": 50}, models=models))) <= MAX_VALUE


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ("config.targets[0]", "second"),
        ("config.targets[1]", "third"),
        ("config.targets[2]", "primary"),
        ("config.targets[3]", None),
        ("config.targets[0].targets[0]", None),
        ("config", None),
        ("", None),
        ("config.targets[0] ", None),
        ("config.targets[00]", None),
        ("targets[0]", None),
        ("config.targets[-1]", None),
        ("config.targets[99999999999]", None),
    ],
)
def test_a_place_is_that_of_a_model(index: str, expected: str | None) -> None:
    assert model_of_option(route({"second": 100}, ("third", "primary")), index) == expected


def test_every_place_is_listed_with_its_model() -> None:
    told = route({"primary": 10, "second": 90}, ("third",))

    assert options(told) == {
        "config.targets[0].targets[0]": "primary",
        "config.targets[0].targets[1]": "second",
        "config.targets[0].targets[2]": "third",
        "config.targets[1].targets[0]": "second",
        "config.targets[1].targets[1]": "third",
    }
    assert all(model_of_option(told, place) == name for place, name in options(told).items())
