"""What the parts of a ModelRoute must have to do with each other: as CEL rules, and the same offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sophia_operator.api.model_gateway import MAX_ROUTED_MODELS, MAX_ROUTED_URL

if TYPE_CHECKING:
    from sophia_operator.api.model_endpoint import ApiKeyRef
    from sophia_operator.api.model_route import ModelRouteSpec

_UNKNOWN_FALLBACK = "models[].fallbackOrder must name other models of this route: correct the name, or add the model"
_UNKNOWN_PIN = "pin must name a model of this route: correct the name, or remove the pin"
_ONE_NAME = (
    "with gateway.httpRoute every models[].model must be the same, since an HTTPRoute does not change what a request "
    "asks for: serve them under one name, or use gateway.liteLLM or gateway.portkey"
)
_SERVICES = "with gateway.httpRoute every model needs endpoint.serviceRef: an HTTPRoute leads to Services alone"
_ONE_PATH = (
    "with gateway.httpRoute every models[].endpoint.serviceRef.path must be the same, since an HTTPRoute cannot change "
    "the path for each backend: serve them under one path, or use gateway.liteLLM or gateway.portkey"
)
_ROUTED = (
    f"gateway.httpRoute and gateway.portkey take at most {MAX_ROUTED_MODELS} models, since an HTTPRoute has 16 rules: "
    "remove models, or use gateway.liteLLM"
)
_ONE_KEY = (
    "with gateway.portkey all models[].credentialsSecretRef must be the same, since the key that a client sends goes "
    "to whichever model answers: use models of one account, or gateway.liteLLM"
)
_SHORT_URLS = (
    f"with gateway.portkey models[].endpoint.url must have at most {MAX_ROUTED_URL} characters, since all of them go "
    "into one header: shorten it, or use gateway.liteLLM"
)
_ONE_BACKEND = (
    "with gateway.httpRoute each model needs an endpoint.serviceRef of its own, since two models at one port of a "
    "Service are one backend: remove one of them"
)
_PRESET_CONTOUR = (
    "metrics.preset Contour goes with gateway.httpRoute, since it counts requests by Service: choose another preset"
)
_PRESET_LITELLM = "metrics.preset LiteLLM goes with gateway.liteLLM: choose another preset"

#: On the spec.
SPEC: Final = (
    (
        "self.models.all(m, !has(m.fallbackOrder) || m.fallbackOrder.all(f, f != m.name"
        " && self.models.exists(o, o.name == f)))",
        _UNKNOWN_FALLBACK,
    ),
    ("!has(self.pin) || self.models.exists(m, m.name == self.pin)", _UNKNOWN_PIN),
    (
        "!has(self.gateway.httpRoute) || self.models.all(m, m.model == self.models[0].model)",
        _ONE_NAME,
    ),
    ("!has(self.gateway.httpRoute) || self.models.all(m, has(m.endpoint.serviceRef))", _SERVICES),
    (
        "!has(self.gateway.httpRoute) || !has(self.models[0].endpoint.serviceRef) || self.models.all(m,"
        " !has(m.endpoint.serviceRef) || m.endpoint.serviceRef.path == self.models[0].endpoint.serviceRef.path)",
        _ONE_PATH,
    ),
    (f"has(self.gateway.liteLLM) || size(self.models) <= {MAX_ROUTED_MODELS}", _ROUTED),
    (
        "!has(self.gateway.portkey) || self.models.all(m, !has(m.credentialsSecretRef) || self.models.all(o,"
        " !has(o.credentialsSecretRef) || (o.credentialsSecretRef.name == m.credentialsSecretRef.name"
        " && o.credentialsSecretRef.key == m.credentialsSecretRef.key)))",
        _ONE_KEY,
    ),
    (
        "!has(self.gateway.portkey) || self.models.all(m, !has(m.endpoint.url)"
        f" || size(m.endpoint.url) <= {MAX_ROUTED_URL})",
        _SHORT_URLS,
    ),
    (
        "!has(self.gateway.httpRoute) || self.models.all(m, !has(m.endpoint.serviceRef) || self.models.exists_one(o,"
        " has(o.endpoint.serviceRef) && o.endpoint.serviceRef.name == m.endpoint.serviceRef.name"
        " && o.endpoint.serviceRef.port == m.endpoint.serviceRef.port))",
        _ONE_BACKEND,
    ),
    ("!has(self.metrics) || self.metrics.preset != 'Contour' || has(self.gateway.httpRoute)", _PRESET_CONTOUR),
    ("!has(self.metrics) || self.metrics.preset != 'LiteLLM' || has(self.gateway.liteLLM)", _PRESET_LITELLM),
)


def problem_of_spec(spec: ModelRouteSpec) -> str | None:
    """What does not fit together in a spec."""
    names, preset, gateway = {m.name for m in spec.models}, spec.metrics.preset.value, spec.gateway
    by_route, by_portkey = gateway.http_route is not None, gateway.portkey is not None
    broken = {
        _UNKNOWN_FALLBACK: any(f == m.name or f not in names for m in spec.models for f in m.fallback_order),
        _UNKNOWN_PIN: spec.pin is not None and spec.pin not in names,
        _ONE_NAME: by_route and len({m.model for m in spec.models}) > 1,
        _SERVICES: by_route and any(m.endpoint.service_ref is None for m in spec.models),
        _ONE_PATH: by_route and len(_paths(spec)) > 1,
        _ROUTED: (by_route or by_portkey) and len(spec.models) > MAX_ROUTED_MODELS,
        _ONE_KEY: by_portkey and len(_keys(spec)) > 1,
        _SHORT_URLS: by_portkey and any(len(m.endpoint.url or "") > MAX_ROUTED_URL for m in spec.models),
        _ONE_BACKEND: by_route and len(set(_services(spec))) < len(_services(spec)),
        _PRESET_CONTOUR: preset == "Contour" and not by_route,
        _PRESET_LITELLM: preset == "LiteLLM" and gateway.lite_llm is None,
    }
    return next((message for message, is_broken in broken.items() if is_broken), None)


def _paths(spec: ModelRouteSpec) -> set[str]:
    services = (m.endpoint.service_ref for m in spec.models)
    return {service.path for service in services if service is not None}


def _services(spec: ModelRouteSpec) -> list[tuple[str, int]]:
    services = (m.endpoint.service_ref for m in spec.models)
    return [(service.name, service.port) for service in services if service is not None]


def _keys(spec: ModelRouteSpec) -> set[tuple[str, str]]:
    found: list[ApiKeyRef | None] = [m.credentials_secret_ref for m in spec.models]
    return {(key.name, key.key) for key in found if key is not None}
