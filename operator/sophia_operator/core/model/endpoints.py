"""Where models answer, and how the operator asks them."""

from __future__ import annotations

from sophia_operator.api.model_endpoint import Model
from sophia_operator.core.model.findings import ModelProbeRequest
from sophia_operator.core.model.views import ModelAccess, ModelRouteView


def base_url(namespace: str, model: Model) -> str:
    """Where the model's API begins, without a slash at its end: `https://api.example.com/v1`."""
    service = model.endpoint.service_ref
    if service is not None:
        return f"http://{service.name}.{namespace}.svc:{service.port}{service.path}"
    assert model.endpoint.url is not None  # one of both is there
    return model.endpoint.url.rstrip("/")


def probe_request(route: ModelRouteView, model: Model, access: ModelAccess) -> ModelProbeRequest:
    """A probe of the model."""
    probe = route.spec.probe
    return ModelProbeRequest(
        name=model.name,
        base_url=base_url(route.namespace, model),
        model=model.model,
        prompt=probe.prompt,
        max_tokens=probe.max_tokens,
        timeout_seconds=float(probe.timeout_seconds),
        expect=probe.expect,
        api_key=access.api_key,
        ca=access.ca,
    )
