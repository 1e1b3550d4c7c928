"""Bindings to ModelRoutes: what pods read of them, and what is a change of the service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from sophia_operator.api.binding_version import BindingKind, BindingVersion
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.core.bound import binding_version, content_of
from sophia_operator.core.model.binding import asked_model
from sophia_operator.core.model.names import BINDING_KEYS
from sophia_operator.core.render.bindings import add_bindings
from sophia_operator.core.render.choices import choice_keys
from sophia_operator.core.render.obstacles import obstacles
from sophia_operator.core.views import BindingView, LevelView

Object = dict[str, Any]
_A, _B = "v1:" + "a" * 64, "v1:" + "b" * 64
ROUTE: Final = BindingView(
    BindingKind.MODEL_ROUTE, "chat", (), "chat-model-binding", _A, model="gpt-4o", chosen="large"
)
SERVICES: Final = {"parentRefs": [{"name": "edge"}], "hostnames": ["chat.example.com"]}


def version(**changes: Any) -> BindingVersion:
    made = binding_version("shop", replace(ROUTE, **changes))
    assert made is not None
    return made


def spec(gateway: Object, *models: Object) -> ModelRouteSpec:
    return ModelRouteSpec.model_validate({"models": list(models), "gateway": gateway})


def model(name: str, asked: str) -> Object:
    return {"name": name, "model": asked, "endpoint": {"serviceRef": {"name": name, "port": 80}}}


def test_each_file_comes_from_one_source() -> None:
    pod: Object = {"containers": [{"name": "app", "image": "app:1"}]}
    add_bindings(pod, [version(choice="small", prompt_version="v7")], "shop-3")
    (volume,) = pod["volumes"]
    secret, chosen = volume["projected"]["sources"]
    assert secret["secret"]["name"].startswith("shop-chat-model-binding-")
    assert chosen["configMap"]["name"] == "shop-3-chat"
    files = [item["path"] for item in (*secret["secret"]["items"], *chosen["configMap"]["items"])]
    assert sorted(files) == sorted({*BINDING_KEYS, "choice", "choice-header", "prompt-version"})
    assert [m["mountPath"] for m in pod["containers"][0]["volumeMounts"]] == ["/bindings/chat"]


def test_only_what_was_chosen_is_told() -> None:
    assert choice_keys(version()) == ("model",)
    assert choice_keys(version(prompt_version="v7")) == ("model", "prompt-version")


@pytest.mark.parametrize("other", [{"hash": _B}, {"model": "other"}, {"choice": "small"}, {"prompt_version": "v8"}])
def test_what_the_pods_read_is_a_change_of_the_service(other: Object) -> None:
    assert content_of(version(**other)) != content_of(version())


def test_a_switch_of_the_route_is_no_change_of_the_service() -> None:
    switched = version(chosen="small")
    assert switched != version()
    assert content_of(switched) == content_of(version())


def test_a_tier_below_another_cannot_have_the_place_of_a_route() -> None:
    tier = BindingView(BindingKind.CACHE_TIER, "near", (), "near-binding", _A, levels=(LevelView("chat", "s", _A),))
    (told,) = obstacles({"spec": {"containers": [{"name": "app"}]}}, [ROUTE, tier])
    assert "ModelRoute chat and CacheTier chat (in the chain of near)" in told


def test_a_container_that_is_not_there_is_told_by_the_field_that_names_it() -> None:
    bound = replace(ROUTE, containers=("web",))
    (told,) = obstacles({"spec": {"containers": [{"name": "app"}]}}, [bound])
    assert told.startswith("spec.bindings.models names container web for chat")


def test_proxies_that_look_into_requests_are_asked_for_the_route_or_for_a_model_of_it() -> None:
    made = spec({"liteLLM": {"selector": {"app": "proxy"}}}, model("large", "gpt-4o"), model("small", "gpt-4o-mini"))
    assert asked_model("chat", made, None) == "chat"
    assert asked_model("chat", made, "small") == "chat/small"


def test_gateways_that_do_not_are_asked_by_the_name_at_the_endpoint() -> None:
    made = spec({"httpRoute": SERVICES}, model("large", "llama"), model("small", "llama"))
    assert asked_model("chat", made, None) == "llama"
    portkey = {"portkey": {"selector": {"app": "portkey"}, "httpRoute": SERVICES}}
    made = spec(portkey, model("large", "gpt-4o"), model("small", "gpt-4o-mini"))
    assert asked_model("chat", made, None) == "gpt-4o"
    assert asked_model("chat", made, "small") == "gpt-4o-mini"
