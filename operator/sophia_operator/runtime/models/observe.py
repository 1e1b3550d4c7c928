"""What a pass over a route sees: the store's objects, parsed into the core's values. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from sophia_operator.api.model_gateway import HttpRouteGateway
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.api.traffic import ParentRef
from sophia_operator.core import kept_traffic
from sophia_operator.core.model import names
from sophia_operator.core.model.render.way import http_route_of
from sophia_operator.core.model.views import GatewayPod, HttpRouteView, ModelKept, ModelRouteObserved, ModelRouteView
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Object
from sophia_operator.runtime import observe_gateways, observe_route
from sophia_operator.runtime.apply import Owner
from sophia_operator.runtime.heads import head_of
from sophia_operator.runtime.models.access import RouteFound, secrets_of
from sophia_operator.runtime.ownership import is_ours
from sophia_operator.runtime.recovery.requests import requests_for
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Dependency

KIND: Final = "ModelRoute"


@dataclass(frozen=True, slots=True)
class RouteSight:
    """What was seen, and what else than the route's own objects it came from."""

    #: The route as it can be carried out: while its HTTPRoute cannot be, with that which it has.
    route: ModelRouteView
    observed: ModelRouteObserved
    depends_on: frozenset[Dependency]


def owner_of(route: ModelRouteView) -> Owner:
    """The route, as the owner of what is its own."""
    return Owner(KIND, route.namespace, route.name, names.LABEL_ROUTE, frozenset({route.uid}), "route")


def route_view(obj: Object) -> ModelRouteView:
    """A ModelRoute. Raises pydantic.ValidationError when its spec breaks a rule that admission did not check."""
    return ModelRouteView(**head_of(obj), spec=ModelRouteSpec.model_validate(obj["spec"]), status=route_status(obj))


def route_status(obj: Object) -> ModelRouteStatus:
    """The status, or an empty one when there is none or it cannot be read: it can be rebuilt."""
    try:
        status = ModelRouteStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return ModelRouteStatus()
    return in_order(status)


def in_order(status: ModelRouteStatus) -> ModelRouteStatus:
    """The API server merges lists that are told apart by keys in an order of its own. Here they have one order, so
    that what is the same compares as the same."""
    models = [m.model_copy(update={"score_parts": sorted(m.score_parts, key=lambda p: p.name)}) for m in status.models]
    return status.model_copy(
        update={
            "conditions": sorted(status.conditions, key=lambda c: c.type),
            "models": sorted(models, key=lambda m: m.name),
            "shares": sorted(status.shares, key=lambda s: s.name),
            "replicas": sorted(status.replicas, key=lambda r: r.name),
            "acts": sorted(status.acts, key=lambda a: (a.started_at, a.name)),
        }
    )


def parents_of(route: ModelRouteView) -> Sequence[ParentRef]:
    """The Gateways that the route refers to."""
    way = http_route_of(route)
    return way.parent_refs if way is not None else ()


def observe(
    store: ObjectStore,
    route: ModelRouteView,
    found: RouteFound,
    kept: ModelKept,
    *,
    known_blockers: Iterable[Blocker] = (),
) -> RouteSight:
    """Everything else that a pass sees of the route. `known_blockers` are what the loop itself ran into."""
    depends: set[Dependency] = {("Secret", route.namespace, name) for name in secrets_of(route)}
    blockers = [*known_blockers, *found.blockers]
    view: HttpRouteView | None = None
    url: str | None = None
    way = http_route_of(route)
    if way is not None:
        live = live_http_route(store, route)
        gateways = observe_gateways.gateways_of(store, route.namespace, way.parent_refs, depends)
        others = observe_gateways.routes_claiming(store, way.hostnames, depends)
        blockers += _obstacles(route, way, live, gateways, others)
        kept_way = _kept_way(way, live, blockers)
        if kept_way is not way:
            route, way = _with_way(route, kept_way), kept_way
            gateways = observe_gateways.gateways_of(store, route.namespace, way.parent_refs, depends)
        url = observe_route.listener_url(way.parent_refs, route.namespace, gateways)
        if live is not None:
            controllers = observe_gateways.controllers_of(store, gateways, depends)
            said = observe_route.standing_of(live, controllers)
            view = HttpRouteView(said.caught_up, said.accepted, said.message)
    observed = ModelRouteObserved(
        access=found.access,
        missing=found.missing,
        gateway_key=found.gateway_key,
        http_route=view,
        gateway_url=url,
        pods=pods_of(store, route),
        kept=kept,
        blockers=tuple(blockers),
        acts=requests_for(store, KIND, route.namespace, route.name, depends),
    )
    return RouteSight(route, observed, frozenset(depends))


def live_http_route(store: ObjectStore, route: ModelRouteView) -> Object | None:
    """The route's HTTPRoute as it is; None when there is none, or it is somebody else's."""
    found = store.get("HTTPRoute", route.namespace, names.workload(route.name))
    return found if found is not None and owner_of(route).has(found) else None


def pods_of(store: ObjectStore, route: ModelRouteView) -> tuple[GatewayPod, ...]:
    """Pods of the gateway by name, as the EndpointSlices of the route's Service list them.

    One that is about to end is not among them: it takes no new requests.
    """
    gateway = route.spec.gateway
    if gateway.http_route is not None:
        return ()
    service = store.get("Service", route.namespace, names.workload(route.name))
    if service is None or not is_ours(service, route.name, (route.uid,), names.LABEL_ROUTE):
        return ()
    pods: dict[str, GatewayPod] = {}
    for piece in store.children("EndpointSlice", route.namespace, route.name, names.LABEL_ROUTE):
        if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != names.workload(route.name):
            continue
        for endpoint in piece.get("endpoints") or ():
            pod = _pod(endpoint)
            # The first one stays: of two address families each lists the pod.
            if pod is not None:
                pods.setdefault(pod.name, pod)
    return tuple(pod for _, pod in sorted(pods.items()))


def _pod(endpoint: Mapping[str, Any]) -> GatewayPod | None:
    target, conditions = endpoint.get("targetRef") or {}, endpoint.get("conditions") or {}
    addresses = endpoint.get("addresses") or ()
    if target.get("kind") != "Pod" or not target.get("name") or not addresses or conditions.get("terminating"):
        return None
    # The API: an absent `ready` means ready.
    ready = conditions.get("ready", True) is not False
    return GatewayPod(target["name"], addresses[0], ready, uid=target.get("uid") or "")


def _obstacles(
    route: ModelRouteView,
    way: HttpRouteGateway,
    live: Object | None,
    gateways: observe_route.Gateways,
    others: Iterable[Object],
) -> list[Blocker]:
    """What only the cluster knows of that keeps the HTTPRoute from being as the spec says."""
    matches = [{"path": {"type": "PathPrefix", "value": way.path or "/"}}]
    claim = observe_route.Claim(route.namespace, names.workload(route.name), way.parent_refs, way.hostnames, matches)
    return [
        *observe_route.gateway_blockers(way.parent_refs, route.namespace, gateways),
        *observe_route.hostname_blockers(claim, live, others),
    ]


def _kept_way(way: HttpRouteGateway, live: Object | None, blockers: Iterable[Blocker]) -> HttpRouteGateway:
    """Gateways, host names and path of the live HTTPRoute, while what the spec asks for cannot take their place: a
    switch must be possible at every instant."""
    if live is None or not any(b.reason in kept_traffic.KEEP for b in blockers):
        return way
    spec = live["spec"]
    changed: dict[str, Any] = {"parentRefs": spec.get("parentRefs"), "hostnames": spec.get("hostnames")}
    path = _path_of(spec)
    try:
        return HttpRouteGateway.model_validate(way.to_dict() | changed | ({} if path is None else {"path": path}))
    except ValidationError:
        return way  # somebody edited it into what the API does not know


def _path_of(spec: Mapping[str, Any]) -> str | None:
    for rule in spec.get("rules") or ():
        for match in rule.get("matches") or ():
            path = match.get("path") or {}
            if path.get("type") == "PathPrefix":
                value: str = path.get("value", "/")
                return value.rstrip("/")
    return None


def _with_way(route: ModelRouteView, way: HttpRouteGateway) -> ModelRouteView:
    gateway = route.spec.gateway
    if gateway.portkey is not None:
        changed = gateway.model_copy(update={"portkey": gateway.portkey.model_copy(update={"http_route": way})})
    else:
        changed = gateway.model_copy(update={"http_route": way})
    return replace(route, spec=route.spec.model_copy(update={"gateway": changed}))
