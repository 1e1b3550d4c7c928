"""What Portkey is told with each request, in one header: whom to ask, and whom after that.

A client's `Authorization` goes to models that need a key. No key is in here: the configuration is a part of an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from sophia_operator.api.model_endpoint import Model
from sophia_operator.core.model import endpoints
from sophia_operator.core.model.render.order import chain, shares_of
from sophia_operator.core.model.views import ModelRouteView

CONFIG_HEADER: Final = "x-portkey-config"
#: On answers: the place in the configuration of the target that gave it, as in `config.targets[0].targets[1]`.
OPTION_HEADER: Final = "x-portkey-last-used-option-index"
#: What a client could send to overrule the configuration, or to have other hosts asked: Portkey heeds these first.
OVERRULING_HEADERS: Final = (
    "x-portkey-custom-host",
    "x-portkey-forward-headers",
    "x-portkey-provider",
    "x-portkey-request-timeout",
)
#: Most characters of a header's value in an HTTPRoute.
MAX_VALUE: Final = 4096

#: After these the next model is asked. What is wrong with a request, or its key, another model does not mend.
_ASK_NEXT: Final = (408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
#: For a model without credentials. Without any, Portkey would send the word `undefined` as key.
_NO_KEY: Final = "none"
_INDEX: Final = re.compile(r"\[(\d{1,4})\]")


def config(route: ModelRouteView, first: str | None = None) -> str:
    """The header's value, in JSON, by shares; or with `first` for requests that choose this model.

    Of fallbacks only so many are in it as there is room for, the first ones first.
    """
    chains = _chains(route, first)
    for longest in range(max(len(names) for _, names in chains), 0, -1):
        text = _text(route, [(share, names[:longest]) for share, names in chains])
        if len(text) <= MAX_VALUE:
            return text
    return text  # admission holds URLs so short that the models that serve have room


def model_of_option(route: ModelRouteView, index_text: str) -> str | None:
    """The model that answered, by what OPTION_HEADER says of a request that chose none; None for what is no place."""
    indices = tuple(int(index) for index in _INDEX.findall(index_text))
    if index_text != "config" + "".join(f".targets[{index}]" for index in indices):
        return None
    return _by_place(_chains(route, None)).get(indices)


def options(route: ModelRouteView) -> dict[str, str]:
    """Every text that OPTION_HEADER can have for a request that chose no model, and the model it stands for."""
    places = _by_place(_chains(route, None))
    return {"config" + "".join(f".targets[{i}]" for i in place): name for place, name in places.items()}


def _chains(route: ModelRouteView, first: str | None) -> list[tuple[int, tuple[str, ...]]]:
    """Shares in percent, and the models to ask one after the other."""
    if first is not None:
        return [(100, chain(route, first))]
    return [(share, chain(route, name)) for name, share in shares_of(route).items() if share > 0]


def _by_place(chains: list[tuple[int, tuple[str, ...]]]) -> Mapping[tuple[int, ...], str]:
    if len(chains) == 1:
        return {(i,): name for i, name in enumerate(chains[0][1])}
    return {(i, j): name for i, (_, names) in enumerate(chains) for j, name in enumerate(names)}


def _text(route: ModelRouteView, chains: list[tuple[int, tuple[str, ...]]]) -> str:
    models = {model.name: model for model in route.spec.models}
    found = [_one_after_the_other(route, [models[name] for name in names]) for _, names in chains]
    if len(found) == 1:
        return _json(found[0])
    weighted = [{"weight": share} | group for (share, _), group in zip(chains, found, strict=True)]
    return _json({"strategy": {"mode": "loadbalance"}, "targets": weighted})


def _one_after_the_other(route: ModelRouteView, models: list[Model]) -> dict[str, Any]:
    strategy = {"mode": "fallback", "on_status_codes": list(_ASK_NEXT)}
    return {"strategy": strategy, "targets": [_target(route, model) for model in models]}


def _target(route: ModelRouteView, model: Model) -> dict[str, Any]:
    gateway = route.spec.gateway.portkey
    assert gateway is not None  # only such routes are rendered here
    key = {"api_key": _NO_KEY} if model.credentials_secret_ref is None else {"forward_headers": ["authorization"]}
    return {
        # The provider is the protocol, whoever speaks it.
        "provider": "openai",
        "custom_host": endpoints.base_url(route.namespace, model),
        "override_params": {"model": model.model},
        "request_timeout": 1000 * gateway.timeout_seconds,
        **key,
    }


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
