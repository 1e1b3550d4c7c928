"""What of a template keeps bindings from being mounted in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sophia_operator.api.binding_version import BindingKind
from sophia_operator.api.managed_service import Bindings
from sophia_operator.core.render.bindings import ROOT_VARIABLE, containers_of, maps, root_of, under
from sophia_operator.core.views import BindingView

_FIELDS: Final = {
    BindingKind.CONNECTION_POOL: "spec.bindings.pools",
    BindingKind.CACHE_TIER: "spec.bindings.caches",
    BindingKind.MODEL_ROUTE: "spec.bindings.models",
}


def obstacles(template: Mapping[str, Any], bindings: Iterable[BindingView]) -> list[str]:
    """What keeps the bindings from being mounted, and what to do; empty when nothing does."""
    pod_spec = template.get("spec")
    if not isinstance(pod_spec, dict):
        return []  # for the API server to refuse
    wanted = list(bindings)
    out = _clashes(wanted)
    containers = containers_of(pod_spec)
    there = {c.get("name") for c in containers}
    for bound in wanted:
        unknown = [name for name in bound.containers if name not in there]
        if unknown:
            out.append(
                f"{_FIELDS[bound.kind]} names container {', '.join(unknown)} for {bound.name}, which spec.template "
                "does not have: mend the name, or take it away"
            )
    for container in containers:
        name = container.get("name")
        got = [bound for bound in wanted if not bound.containers or name in bound.containers]
        if got:
            out += _in_the_way(container, got)
    return out


def unseen(bindings: Bindings) -> list[BindingView]:
    """Bindings as far as the spec alone tells: without what the cluster has, and without tiers below others."""
    pools = [(BindingKind.CONNECTION_POOL, pool.name, tuple(pool.containers)) for pool in bindings.pools]
    caches = [(BindingKind.CACHE_TIER, cache.name, tuple(cache.containers)) for cache in bindings.caches]
    models = [(BindingKind.MODEL_ROUTE, route.name, tuple(route.containers)) for route in bindings.models]
    return [BindingView(kind, name, containers, "", None) for kind, name, containers in (*pools, *caches, *models)]


def _directories(bound: BindingView) -> list[str]:
    return [bound.name, *(level.name for level in bound.levels)]


def _clashes(bindings: Iterable[BindingView]) -> list[str]:
    """A pool, or a model route, and a tier below one that is bound may have the same name."""
    others = {bound.name: bound.kind.value for bound in bindings if bound.kind is not BindingKind.CACHE_TIER}
    return [
        f"{others[name]} {name} and CacheTier {name} (in the chain of {bound.name}) cannot be mounted at the same "
        "place: rename one"
        for bound in bindings
        if bound.kind is BindingKind.CACHE_TIER
        for name in _directories(bound)
        if name in others
    ]


def _in_the_way(container: Mapping[str, Any], bindings: Iterable[BindingView]) -> list[str]:
    where = f"container {container.get('name')} of spec.template"
    root = root_of(container)
    if root is None:
        return [
            f"{where} sets {ROOT_VARIABLE} to something that bindings cannot be mounted at: "
            "give it an absolute path as a plain value, or take it away"
        ]
    mounted = {_path(mount.get("mountPath")) for mount in maps(container.get("volumeMounts"))}
    # A tier may be in several chains.
    places = {under(root, name): f"{bound.kind.value} {name}" for bound in bindings for name in _directories(bound)}
    return [
        f"{where} mounts a volume of its own at {path}, where the binding of {what} goes: mount it elsewhere, or set "
        f"{ROOT_VARIABLE}"
        for path, what in places.items()
        if path in mounted
    ]


def _path(value: Any) -> str:
    return value.rstrip("/") if isinstance(value, str) else ""
