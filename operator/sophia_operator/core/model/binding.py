"""What applications ask a route for."""

from __future__ import annotations

from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.core.model import names


def asked_model(route: str, spec: ModelRouteSpec, choice: str | None) -> str:
    """Name of the model in the body of requests; `choice` is the model of the route that is wanted first."""
    if spec.gateway.lite_llm is not None:
        return route if choice is None else f"{route}{names.CHOICE_SEPARATOR}{choice}"
    # An HTTPRoute changes nothing in a request, so all its models have one name; Portkey puts the right one in.
    found = next((m.model for m in spec.models if m.name == choice), None)
    return found or spec.models[0].model
