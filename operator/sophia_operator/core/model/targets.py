"""Where marked requests go that show by what each replica of the gateway serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from sophia_operator.api.model_gateway import HttpRouteGateway
from sophia_operator.core.hosts import bracketed
from sophia_operator.core.model import names
from sophia_operator.core.model.binding import asked_model
from sophia_operator.core.model.findings import ReplicaRequest, ReplicaTarget
from sophia_operator.core.model.render import portkey
from sophia_operator.core.model.render.order import shares_of
from sophia_operator.core.model.render.way import PROXY_PATH, host_of, http_route_of
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView

_HTTP: Final = "http"


def replica_request(route: ModelRouteView, observed: ModelRouteObserved) -> ReplicaRequest | None:
    """The requests; None while nothing is told or no replica is known."""
    if route.status.revision == 0 or not shares_of(route):
        return None
    targets = tuple(_targets(route, observed))
    return ReplicaRequest(targets, float(route.spec.probe.timeout_seconds)) if targets else None


def _targets(route: ModelRouteView, observed: ModelRouteObserved) -> Iterator[ReplicaTarget]:
    gateway = route.spec.gateway
    if gateway.lite_llm is not None:
        yield from _pods(route, observed, gateway.lite_llm.port, observed.gateway_key, {})
        return
    way = http_route_of(route)
    assert way is not None  # a gateway is one of three
    told = portkey.options(route) if gateway.portkey is not None else {}
    carriers = tuple(_carriers(route, observed, way, told))
    yield from carriers
    # Without a carrier, what pods say proves nothing of what clients get.
    if gateway.portkey is not None and carriers:
        yield from _pods(route, observed, gateway.portkey.port, _key(observed), told)


def _carriers(
    route: ModelRouteView, observed: ModelRouteObserved, way: HttpRouteGateway, options: Mapping[str, str]
) -> Iterator[ReplicaTarget]:
    """What carries the Gateway's traffic: each of its pods, or else the Gateway's address."""
    gateway = urlsplit(observed.gateway_url) if observed.gateway_url is not None else None
    scheme = gateway.scheme if gateway is not None else _HTTP
    if way.data_plane is not None:
        name, base_url = way.data_plane.host, f"{scheme}://{bracketed(way.data_plane.host)}:{way.data_plane.port}"
    elif gateway is not None and observed.gateway_url is not None:
        name, base_url = gateway.hostname or gateway.netloc, observed.gateway_url
    else:
        return
    # A Gateway's own address may lie outside of the cluster: no key goes there in the clear.
    private = way.data_plane is not None or scheme != _HTTP
    yield ReplicaTarget(
        name=name,
        base_url=base_url,
        host=host_of(route, way),
        path=way.path,
        model=asked_model(route.name, route.spec, None),
        headers=_mark(route),
        api_key=_key(observed) if private else None,
        resolve=way.data_plane is not None,
        revision=route.status.revision,
        options=options,
    )


def _pods(
    route: ModelRouteView, observed: ModelRouteObserved, port: int, key: str | None, options: Mapping[str, str]
) -> Iterator[ReplicaTarget]:
    """Pods of a LiteLLM, or with `options` of a Portkey: past the HTTPRoute, each is told what that would tell it."""
    told = {portkey.CONFIG_HEADER: portkey.config(route)} if options else {}
    for pod in observed.pods:
        if pod.ready:
            yield ReplicaTarget(
                name=pod.name,
                base_url=f"{_HTTP}://{bracketed(pod.address)}:{port}",
                host=None,
                path=PROXY_PATH,
                model=asked_model(route.name, route.spec, None),
                headers={**_mark(route), **told},
                api_key=key,
                revision=route.status.revision,
                says_revision=not options,
                options=options,
            )


def _mark(route: ModelRouteView) -> dict[str, str]:
    return {names.MARK_HEADER: f"{route.namespace}/{route.name}"}


def _key(observed: ModelRouteObserved) -> str | None:
    """The key that all models have which have one. Of several it is not known which one a request would need."""
    keys = {access.api_key for access in observed.access.values() if access.api_key is not None}
    return keys.pop() if len(keys) == 1 else None
