"""What the cluster should hold, from the placement: pure, and the same for the same input to the last byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sophia_operator.api.release import Color
from sophia_operator.core.placement import Placement
from sophia_operator.core.render.chains import chain_names, chains, raised
from sophia_operator.core.render.choices import choice_names, choices
from sophia_operator.core.render.config import config_copies, config_copy_object, copied
from sophia_operator.core.render.deployment import deployment
from sophia_operator.core.render.desired import ChildRef, ConfigCopy, Desired, ReleaseOwner
from sophia_operator.core.render.drain import drain_warnings
from sophia_operator.core.render.route import http_route, marked_rules, traffic_port
from sophia_operator.core.render.scene import Scene
from sophia_operator.core.render.services import check_service, color_service, plain_service
from sophia_operator.core.views import Observed, ReleaseView, ServiceView

__all__ = [
    "ChildRef",
    "ConfigCopy",
    "Desired",
    "ReleaseOwner",
    "config_copy_object",
    "drain_warnings",
    "marked_rules",
    "render",
    "traffic_port",
]

#: Kinds that rendering makes, and so may take away.
_OURS: Final = frozenset({"Deployment", "Service", "HTTPRoute", "ConfigMap", "Secret"})


def render(
    service: ServiceView, observed: Observed, placement: Placement, existing: Sequence[ChildRef] = ()
) -> Desired:
    """The objects that follow from the placement, in the order to apply them.

    `existing` names the children there are: objects that carry the service's label and that the operator made.
    While no release has traffic, as before the first one is ready or after every status was lost, nothing is deleted
    and no Service or route that exists is turned away from what it points at now.
    """
    scene = Scene(service, {r.name: r for r in observed.releases}, placement)
    present = {(ref.kind, ref.name) for ref in existing}
    read = chains(service, _placed(scene), observed.caches, {name for kind, name in present if kind == "ConfigMap"})
    # The traffic is moved before anything is scaled.
    asked = choices(service, _placed(scene))
    objects = (*_services(scene, present), *_traffic(scene), *read, *asked, *_deployments(scene))
    return Desired(
        objects=objects,
        delete=_leftovers(scene, existing, objects),
        config_copies=config_copies(_needing_config(scene), observed.releases),
        chains=raised(read),
    )


def _needing_config(scene: Scene) -> list[str]:
    """Releases that run, and what serves: at size zero too, since it must be able to grow when the source has changed.

    What else has no pods needs no configuration, which may be gone: then nobody could make a copy of it any more.
    """
    serving = {scene.occupant(color) for color in Color if scene.weight(color) > 0}
    return [name for name, replicas in scene.placement.replicas.items() if replicas > 0 or name in serving]


def _services(scene: Scene, present: set[tuple[str, str]]) -> list[dict[str, Any]]:
    makers = [color_service] if scene.service.spec.traffic.gateway is None else [color_service, check_service]
    rendered: list[dict[str, Any]] = []
    for make in makers:
        for color in Color:
            obj = make(scene, color)
            vacant = scene.occupant(color) is None
            if scene.has_traffic or not vacant or ("Service", obj["metadata"]["name"]) not in present:
                rendered.append(obj)
    return rendered


def _traffic(scene: Scene) -> list[dict[str, Any]]:
    gateway = scene.service.spec.traffic.gateway
    if not scene.has_traffic:
        return []
    if gateway is None:
        return [plain_service(scene, max(Color, key=scene.weight))]
    return [http_route(scene, gateway)]


def _placed(scene: Scene) -> list[ReleaseView]:
    placed = [r for r in scene.releases.values() if r.name in scene.placement.replicas]
    return sorted(placed, key=lambda r: r.spec.revision)


def _deployments(scene: Scene) -> list[dict[str, Any]]:
    return [deployment(scene.service, r, scene.color_of(r), scene.placement.replicas[r.name]) for r in _placed(scene)]


def _leftovers(scene: Scene, existing: Sequence[ChildRef], objects: Sequence[dict[str, Any]]) -> tuple[ChildRef, ...]:
    if not scene.has_traffic:
        return ()
    kept = {(obj["kind"], obj["metadata"]["name"]) for obj in objects}
    kept |= {("Deployment", name) for name in (*scene.placement.replicas, *scene.placement.releases.values()) if name}
    # A release that has ended may come back, by Retry or as a rollback, and needs its configuration as it was.
    kept |= {(v.kind.value, v.copy_name) for r in scene.releases.values() for v in copied(r.spec.snapshot)}
    kept |= {("ConfigMap", name) for r in scene.releases.values() for name in (*chain_names(r), *choice_names(r))}
    return tuple(sorted(ref for ref in set(existing) if ref.kind in _OURS and (ref.kind, ref.name) not in kept))
