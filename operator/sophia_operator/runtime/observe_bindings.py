"""What a service is bound to, as the store has it. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sophia_operator.api.binding_version import BindingKind
from sophia_operator.api.conditions import Reason
from sophia_operator.api.managed_service import PoolBinding
from sophia_operator.core.bound import tiers_of
from sophia_operator.core.pool.names import binding_secret
from sophia_operator.core.render.obstacles import obstacles
from sophia_operator.core.views import BindingView, Blocker, CacheView, ReleaseView, ServiceView
from sophia_operator.runtime import observe_chains, observe_choices
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Dependency

_LONGEST_MESSAGE: Final = 4000


def binding_views(
    store: ObjectStore, service: ServiceView, blockers: list[Blocker], depends: set[Dependency]
) -> tuple[BindingView, ...]:
    """The service's bindings, each with the hash of what its Secret says. Adds what keeps them from being mounted."""
    wanted = service.spec.bindings
    pools = [_view(store, service.namespace, pool, depends) for pool in wanted.pools]
    caches = [observe_chains.cache_view(store, service.namespace, c, blockers, depends) for c in wanted.caches]
    models = [observe_choices.route_view(store, service.namespace, m, blockers, depends) for m in wanted.models]
    problems = obstacles(service.spec.template, (*pools, *caches, *models))
    if problems:
        blockers.append(Blocker(Reason.INVALID_SPEC, "; ".join(problems)[:_LONGEST_MESSAGE]))
    return (*pools, *caches, *models)


def caches(
    store: ObjectStore, namespace: str, releases: Iterable[ReleaseView], depends: set[Dependency]
) -> Mapping[str, CacheView]:
    """The CacheTiers that releases are bound to, as they are now."""
    named = {name for r in releases for bound in r.spec.snapshot.bindings for name in tiers_of(bound)}
    return observe_chains.tiers(store, namespace, sorted(named), depends)


def _view(store: ObjectStore, namespace: str, pool: PoolBinding, depends: set[Dependency]) -> BindingView:
    kind, secret = BindingKind.CONNECTION_POOL, binding_secret(pool.name)
    found = store.config_hash("Secret", namespace, secret)
    depends.add(("Secret", namespace, secret))
    if found is None:
        # Only while it is missed: the status of a pool changes all the time.
        depends.add((kind.value, namespace, pool.name))
    exists = found is not None or store.get(kind.value, namespace, pool.name) is not None
    return BindingView(kind, pool.name, tuple(pool.containers), secret, found, exists)
