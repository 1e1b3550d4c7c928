"""The way of clients' requests: which host, which port, which path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from sophia_operator.api.model_gateway import HttpRouteGateway
from sophia_operator.core.model import names
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView

#: Where LiteLLM and Portkey have the API.
PROXY_PATH: Final = "/v1"
_USUAL_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Way:
    """Where clients send requests."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def uri(self) -> str:
        """Where the API begins, as in `http://models.example.com/v1`; a port that goes without saying is left out."""
        port = "" if self.port == _USUAL_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"


def http_route_of(route: ModelRouteView) -> HttpRouteGateway | None:
    """The HTTPRoute that the spec asks for; None with LiteLLM, which has none."""
    gateway = route.spec.gateway
    return gateway.portkey.http_route if gateway.portkey is not None else gateway.http_route


def host_of(route: ModelRouteView, way: HttpRouteGateway) -> str:
    """The host name that clients are bound to, and marked requests are for.

    A wildcard is no host: then it is the route's name in its place.
    """
    return next((h for h in way.hostnames if not h.startswith("*")), way.hostnames[0].replace("*", route.name, 1))


def way_of(route: ModelRouteView, observed: ModelRouteObserved) -> Way | None:
    """Where clients send requests; None while the Gateway has no address."""
    litellm, way = route.spec.gateway.lite_llm, http_route_of(route)
    if litellm is not None:
        return Way("http", f"{names.workload(route.name)}.{route.namespace}.svc", litellm.port, PROXY_PATH)
    if way is None or observed.gateway_url is None:
        return None
    gateway = urlsplit(observed.gateway_url)
    port = gateway.port or _USUAL_PORTS[gateway.scheme]
    return Way(gateway.scheme, host_of(route, way), port, way.path)
