"""What LiteLLM proxies read: a configuration to start with, a hook, and the table that the hook follows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sophia_operator.api.model_endpoint import Model
from sophia_operator.api.model_route import PassivePreset
from sophia_operator.core.model import endpoints
from sophia_operator.core.model.litellm_series import deployment_id, group
from sophia_operator.core.model.render.order import shares_of
from sophia_operator.core.model.views import ModelRouteView
from sophia_operator.gateways import LITELLM_HOOK

CONFIG_KEY: Final = "config.yaml"
HOOK_KEY: Final = "sophia_route.py"
TABLE_KEY: Final = "route.json"

#: As the hook reads it: `FORMAT` there.
_FORMAT: Final = 1
#: For a model without credentials. Without any, LiteLLM would send it the key that its environment has for OpenAI.
_NO_KEY: Final = "none"
#: A proxy leaves a model alone for a while only where asking it costs clients time, or its provider asked for that:
#: after the second timeout in a minute, and at once at a 429, for as long as that says.
_COOLDOWN: Final = {"TimeoutErrorAllowedFails": 1, "RateLimitErrorAllowedFails": 0}
#: All other failures are the operator's to judge, by their share of the requests: proxies know of counts alone. (With
#: any number here LiteLLM never does it, since each model is the only deployment of its group.)
_NEVER: Final = 1_000_000
#: How long, where no Retry-After says so.
_COOLDOWN_SECONDS: Final = 10


def key_variable(route: str, model: str) -> str:
    """Name of the environment variable of a proxy with a model's key: `MODEL_KEY_CHAT__PRIMARY`."""
    return f"MODEL_KEY_{route}__{model}".replace("-", "_").upper()


def litellm_data(route: ModelRouteView) -> dict[str, str]:
    """The ConfigMap's data. There is no key in it: proxies have those in their environment."""
    return {CONFIG_KEY: _config(route), TABLE_KEY: _text(_table(route)), HOOK_KEY: LITELLM_HOOK}


def _table(route: ModelRouteView) -> Mapping[str, Any]:
    models = {model.name: model for model in route.spec.models}
    return {
        "format": _FORMAT,
        "namespace": route.namespace,
        "route": route.name,
        "revision": route.status.revision,
        "shares": shares_of(route),
        # A model that was just removed may be in the status for one more pass.
        "fallbacks": [name for name in route.status.fallbacks if name in models],
        "models": {
            name: {
                "params": _params(route, model),
                "info": _info(route),
                "keyVariable": None if model.credentials_secret_ref is None else key_variable(route.name, name),
            }
            for name, model in models.items()
        },
    }


def _params(route: ModelRouteView, model: Model) -> Mapping[str, Any]:
    gateway = route.spec.gateway.lite_llm
    assert gateway is not None  # only such routes are rendered here
    return {
        # The provider is the protocol, whoever speaks it.
        "model": f"openai/{model.model}",
        "api_base": endpoints.base_url(route.namespace, model),
        "timeout": gateway.timeout_seconds,
        "stream_timeout": gateway.timeout_seconds,
        # A retry would hide a failure, and take the time of a fallback.
        "max_retries": 0,
    }


def _info(route: ModelRouteView) -> Mapping[str, Any]:
    # The only model is asked whatever it did before.
    policy = {"allowed_fails_policy": _COOLDOWN} if len(route.spec.models) > 1 else {}
    return {"allowed_fails": _NEVER, **policy}


def _config(route: ModelRouteView) -> str:
    """For proxies that serve nothing else. JSON is YAML."""
    settings: dict[str, Any] = {"callbacks": ["sophia_route.hook", "prometheus"]}
    if route.spec.metrics.preset is PassivePreset.LITELLM:
        settings["require_auth_for_metrics_endpoint"] = False  # Prometheus asks without a key
    config = {
        "model_list": [
            {
                "model_name": group(route.name, model.name),
                "litellm_params": {**_params(route, model), "api_key": _key(route, model)},
                "model_info": {"id": deployment_id(route.namespace, route.name, model.name), **_info(route)},
            }
            for model in route.spec.models
        ],
        "litellm_settings": settings,
        "router_settings": {
            "num_retries": 0,
            "cooldown_time": _COOLDOWN_SECONDS,
            # So that lists of models have the route's own name. Requests for it never get so far: the hook takes them.
            "model_group_alias": {route.name: group(route.name, route.spec.models[0].name)},
        },
    }
    return f"# Proxies read this when they start; what changes while they run is in {TABLE_KEY}.\n{_text(config)}"


def _key(route: ModelRouteView, model: Model) -> str:
    return _NO_KEY if model.credentials_secret_ref is None else f"os.environ/{key_variable(route.name, model.name)}"


def _text(value: Mapping[str, Any]) -> str:
    return f"{json.dumps(value, indent=2, sort_keys=True)}\n"
