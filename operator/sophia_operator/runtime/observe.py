"""What a pass sees: the store's objects, parsed into the core's values. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from sophia_operator.api.conditions import Condition, Reason
from sophia_operator.api.managed_service import ManagedServiceSpec, ManagedServiceStatus
from sophia_operator.api.release import Color, ConfigKind, ReleaseSpec, ReleaseState, ReleaseStatus
from sophia_operator.api.rollout_plan import RolloutPlan
from sophia_operator.api.traffic import NoTraffic, Traffic
from sophia_operator.core import kept_traffic
from sophia_operator.core.bound import content_of
from sophia_operator.core.hashing import release_hash
from sophia_operator.core.names import LABEL_RELEASE, color_service
from sophia_operator.core.recovery.seen import RecoverySeen
from sophia_operator.core.views import (
    Blocker,
    ConfigView,
    DeploymentView,
    EndpointsView,
    Observed,
    ReleaseView,
    RouteView,
    ServiceView,
)
from sophia_operator.ports import Object
from sophia_operator.runtime import observe_bindings, observe_gateways, observe_route, observe_workloads
from sophia_operator.runtime.ownership import is_ours
from sophia_operator.runtime.recovery.interlock import seen_in
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Dependency


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen, and what else than the service's own objects it came from."""

    #: The service as it can be carried out: while its traffic cannot be, with that which it has.
    service: ServiceView
    observed: Observed
    depends_on: frozenset[Dependency]


def service_view(obj: Object) -> ServiceView:
    """A ManagedService. Raises pydantic.ValidationError when its spec breaks a rule that admission did not check."""
    meta = obj["metadata"]
    return ServiceView(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=int(meta.get("generation", 0)),
        resource_version=meta["resourceVersion"],
        spec=ManagedServiceSpec.model_validate(obj["spec"]),
        status=service_status(obj),
    )


def service_status(obj: Object) -> ManagedServiceStatus:
    """The status, or an empty one when there is none or it cannot be read: it can be rebuilt."""
    try:
        status = ManagedServiceStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return ManagedServiceStatus()
    return status.model_copy(update={"conditions": _by_type(status.conditions)})


def release_view(obj: Object) -> ReleaseView:
    """A Release. Raises pydantic.ValidationError when its spec cannot be read."""
    meta = obj["metadata"]
    spec = ReleaseSpec.model_validate(obj["spec"])
    status, lost = ReleaseStatus(), True
    if (obj.get("status") or {}).get("state"):
        with suppress(ValidationError):
            status, lost = _in_order(ReleaseStatus.model_validate(obj["status"]), spec.snapshot.plan), False
    return ReleaseView(
        name=meta["name"],
        uid=meta["uid"],
        generation=int(meta.get("generation", 0)),
        resource_version=meta["resourceVersion"],
        created_at=datetime.fromisoformat(meta["creationTimestamp"]),
        spec=spec,
        status=status,
        status_lost=lost,
        snapshot_intact=_hash_of(spec) == spec.hash,
    )


def _in_order(status: ReleaseStatus, plan: RolloutPlan) -> ReleaseStatus:
    """The API server merges lists that are told apart by keys in an order of its own. Decisions have one order only,
    so that what is the same compares as the same."""
    gates = {gate.name: i for i, gate in enumerate(plan.gates)}
    tests = {test.name: i for i, test in enumerate(plan.smoke_tests)}
    return status.model_copy(
        update={
            "conditions": _by_type(status.conditions),
            "gates": sorted(status.gates, key=lambda g: gates.get(g.name, len(gates))),
            "smoke_tests": sorted(status.smoke_tests, key=lambda t: tests.get(t.name, len(tests))),
        }
    )


def _by_type(conditions: Iterable[Condition]) -> list[Condition]:
    return sorted(conditions, key=lambda c: c.type)


def _hash_of(spec: ReleaseSpec) -> str:
    snapshot = spec.snapshot
    config = [(c.kind.value, c.name, c.hash) for c in snapshot.config]
    bindings = [content_of(b) for b in snapshot.bindings]
    return release_hash(snapshot.template, [p.to_dict() for p in snapshot.ports], config, bindings)


def observe(store: ObjectStore, service: ServiceView, known_blockers: Iterable[Blocker] = ()) -> Sight:
    """Everything else that a pass sees of the service. `known_blockers` are what the loop itself ran into."""
    blockers = list(known_blockers)
    releases = _releases(store, service, blockers)
    config = _config(store, service)
    depends = {(c.kind.value, service.namespace, c.name) for c in config}
    bindings = observe_bindings.binding_views(store, service, blockers, depends)
    endpoints = _endpoints(store, service)
    # Where a release is placed is known even when its status was lost.
    placed = {seen.release: color for color, seen in endpoints.items() if seen.release is not None}
    colors = {**placed, **{r.name: r.status.color or placed.get(r.name) for r in releases}}
    observed = Observed(
        releases=tuple(releases),
        deployments=_deployments(store, service, releases),
        endpoints=endpoints,
        config=config,
        bindings=bindings,
        caches=observe_bindings.caches(store, service.namespace, releases, depends),
        # A service at rest is held by nothing, and is woken for nothing of it.
        recovery=seen_in(store, service.namespace, depends) if _moves(releases) else RecoverySeen(),
    )
    _find_obstacles(store, service, blockers, depends)
    _find_credentials(store, service, blockers, depends)
    service = _feasible(store, service, blockers)
    route, url = _route(store, service, colors, depends)
    seen = replace(observed, route=route, gateway_url=url, blockers=tuple(blockers))
    return Sight(service, seen, frozenset(depends))


def _moves(releases: Iterable[ReleaseView]) -> bool:
    """Whether a release is under way, or about to be."""
    return any(r.status.state.is_active or r.status.state is ReleaseState.PENDING for r in releases)


def _releases(store: ObjectStore, service: ServiceView, blockers: list[Blocker]) -> list[ReleaseView]:
    out = []
    for obj in store.children("Release", service.namespace, service.name):
        # Releases of an earlier service of that name are left to the garbage collector.
        if obj["metadata"].get("deletionTimestamp") or not is_ours(obj, service.name, (service.uid,)):
            continue
        try:
            out.append(release_view(obj))
        except ValidationError as error:
            name = obj["metadata"]["name"]
            blockers.append(
                Blocker(Reason.SNAPSHOT_ALTERED, f"Release {name} cannot be read, delete it: {_words(error)}")
            )
    return sorted(out, key=lambda r: r.spec.revision)


def _words(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _deployments(
    store: ObjectStore, service: ServiceView, releases: Iterable[ReleaseView]
) -> Mapping[str, DeploymentView]:
    pods: dict[str, list[Mapping[str, Any]]] = {}
    for pod in store.children("Pod", service.namespace, service.name):
        pods.setdefault(pod["metadata"].get("labels", {}).get(LABEL_RELEASE, ""), []).append(pod)
    owners = {r.name: r.uid for r in releases}
    out = {}
    for deployment in store.children("Deployment", service.namespace, service.name):
        name = deployment["metadata"]["name"]
        if name in owners and is_ours(deployment, service.name, (owners[name],)):
            out[name] = observe_workloads.deployment_view(deployment, pods.get(name, []))
    return out


def _endpoints(store: ObjectStore, service: ServiceView) -> Mapping[Color, EndpointsView]:
    slices: dict[str, list[Mapping[str, Any]]] = {}
    for piece in store.children("EndpointSlice", service.namespace, service.name):
        name = piece["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
        slices.setdefault(name, []).append(piece)
    out = {}
    for color in Color:
        name = color_service(service.name, color)
        obj = store.get("Service", service.namespace, name)
        if obj is not None and is_ours(obj, service.name, (service.uid,)):
            out[color] = observe_workloads.endpoints_view(obj, slices.get(name, []))
    return out


def _config(store: ObjectStore, service: ServiceView) -> tuple[ConfigView, ...]:
    spec, namespace = service.spec.config, service.namespace
    named = [(ConfigKind.CONFIG_MAP, n) for n in spec.config_maps] + [(ConfigKind.SECRET, n) for n in spec.secrets]
    return tuple(ConfigView(kind, name, store.config_hash(kind.value, namespace, name)) for kind, name in named)


def _find_obstacles(
    store: ObjectStore, service: ServiceView, blockers: list[Blocker], depends: set[Dependency]
) -> None:
    """What only the cluster knows of that keeps the traffic from going as the spec says."""
    traffic, namespace = service.spec.traffic.gateway, service.namespace
    if traffic is None:
        return
    others = observe_gateways.routes_claiming(store, traffic.hostnames, depends)
    gateways = observe_gateways.gateways_of(store, namespace, traffic.parent_refs, depends)
    claim = observe_route.claim_of(traffic, namespace, service.name)
    blockers += observe_route.gateway_blockers(traffic.parent_refs, namespace, gateways)
    blockers += observe_route.hostname_blockers(claim, live_route(store, service), others)


def _find_credentials(
    store: ObjectStore, service: ServiceView, blockers: list[Blocker], depends: set[Dependency]
) -> None:
    """Without what opens Prometheus no rollout could get evidence, so none is started."""
    access = service.spec.rollout.metrics.prometheus
    if access is None or access.secret_name is None:
        return
    namespace, name = service.namespace, access.secret_name
    depends.add(("Secret", namespace, name))
    if store.config_hash("Secret", namespace, name) is None:
        words = f"Secret {namespace}/{name}, named in spec.rollout.metrics.prometheus, is missing: create it"
        blockers.append(Blocker(Reason.CONFIG_NOT_FOUND, words))


def _feasible(store: ObjectStore, service: ServiceView, blockers: Iterable[Blocker]) -> ServiceView:
    """The service with the traffic that it has, while what it asks for cannot take its place."""
    wanted = service.spec.traffic.gateway
    if wanted is None or not any(b.reason in kept_traffic.KEEP for b in blockers):
        return service
    route = live_route(store, service)
    if route is not None:
        kept = kept_traffic.traffic_of(route, wanted)
        traffic = Traffic(gateway=kept) if kept is not None else None
    else:
        traffic = Traffic(none=NoTraffic()) if _live_plain_service(store, service) is not None else None
    if traffic is None:
        return service
    return replace(service, spec=service.spec.model_copy(update={"traffic": traffic}))


def live_route(store: ObjectStore, service: ServiceView) -> Object | None:
    """The service's HTTPRoute as it is; None when there is none, or it is somebody else's."""
    route = store.get("HTTPRoute", service.namespace, service.name)
    return route if route is not None and is_ours(route, service.name, (service.uid,)) else None


def _live_plain_service(store: ObjectStore, service: ServiceView) -> Object | None:
    plain = store.get("Service", service.namespace, service.name)
    return plain if plain is not None and is_ours(plain, service.name, (service.uid,)) else None


def _route(
    store: ObjectStore, service: ServiceView, colors: Mapping[str, Color | None], depends: set[Dependency]
) -> tuple[RouteView | None, str | None]:
    traffic = service.spec.traffic.gateway
    if traffic is None:
        plain = _live_plain_service(store, service)
        return (observe_route.plain_view(plain, colors) if plain is not None else None), None
    gateways = observe_gateways.gateways_of(store, service.namespace, traffic.parent_refs, depends)
    controllers = observe_gateways.controllers_of(store, gateways, depends)
    route = live_route(store, service)
    view = observe_route.route_view(route, service.name, controllers) if route is not None else None
    return view, observe_route.gateway_url(traffic, service.namespace, gateways)
