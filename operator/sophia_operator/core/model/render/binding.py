"""The Secret that applications connect with, as the Service Binding specification lays it down. No key is in it:
clients have their own."""

from __future__ import annotations

import base64
from typing import Any, Final

from sophia_operator.core import names as common
from sophia_operator.core.model import names
from sophia_operator.core.model.binding import asked_model
from sophia_operator.core.model.render import metadata
from sophia_operator.core.model.render.way import way_of
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView

_OPENAI: Final = "openai"


def endpoint(route: ModelRouteView, observed: ModelRouteObserved) -> str | None:
    """Where clients send requests, as in `http://models.example.com/v1`; None while the Gateway has no address."""
    way = way_of(route, observed)
    return None if way is None else way.uri


def binding_secret(route: ModelRouteView, observed: ModelRouteObserved) -> dict[str, Any] | None:
    """The Secret; None while it is not known where clients send requests."""
    way = way_of(route, observed)
    if way is None:
        return None
    content = {
        "type": _OPENAI,
        "provider": common.MANAGER,
        "host": way.host,
        "port": str(way.port),
        "uri": way.uri,
        "model": asked_model(route.name, route.spec, None),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata.child(route, names.binding_secret(route.name), metadata.CONFIG),
        "type": f"servicebinding.io/{_OPENAI}",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in sorted(content.items())},
    }
