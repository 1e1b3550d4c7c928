"""What a pass over a tier sees: the store's objects, parsed into the core's values. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.core.cache import names
from sophia_operator.core.cache.places import place_of, shared_keys
from sophia_operator.core.cache.views import Kept, Link, SharedKeys, TierAccess, TierObserved, TierView
from sophia_operator.core.pool import names as pool_names
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Object
from sophia_operator.runtime.apply import Owner
from sophia_operator.runtime.caches.observe_nodes import node_views, nodes_view
from sophia_operator.runtime.caches.observe_releases import bound_releases
from sophia_operator.runtime.heads import head_of
from sophia_operator.runtime.recovery.requests import requests_for
from sophia_operator.runtime.store import ObjectStore, tier_mark
from sophia_operator.runtime.wakeups import BOUND, TIER, Dependency

KIND: Final = "CacheTier"
#: A chain that is longer is cut off; the status has no room for more.
MAX_LEVELS: Final = 8


@dataclass(frozen=True, slots=True)
class TierSight:
    """What was seen, and what else than the tier's own objects it came from."""

    observed: TierObserved
    depends_on: frozenset[Dependency]


def owner_of(tier: TierView) -> Owner:
    """The tier, as the owner of what is its own."""
    return Owner(KIND, tier.namespace, tier.name, names.LABEL_CACHE, frozenset({tier.uid}), "tier")


def tier_view(obj: Object) -> TierView:
    """A CacheTier. Raises pydantic.ValidationError when its spec breaks a rule that admission did not check."""
    return TierView(**head_of(obj), spec=CacheTierSpec.model_validate(obj["spec"]), status=tier_status(obj))


def tier_status(obj: Object) -> CacheTierStatus:
    """The status, or an empty one when there is none or it cannot be read: it can be rebuilt."""
    try:
        return in_order(CacheTierStatus.model_validate(obj.get("status") or {}))
    except ValidationError:
        return CacheTierStatus()


def in_order(status: CacheTierStatus) -> CacheTierStatus:
    """The API server merges lists that are told apart by keys in an order of its own. Here they have one order, so
    that what is the same compares as the same."""
    return status.model_copy(
        update={
            "conditions": sorted(status.conditions, key=lambda c: c.type),
            "nodes": sorted(status.nodes, key=lambda n: n.name),
            "namespaces": sorted(status.namespaces, key=lambda n: n.name),
            "warm_ups": sorted(status.warm_ups, key=lambda w: w.release),
            "score_parts": sorted(status.score_parts, key=lambda p: p.name),
            "acts": sorted(status.acts, key=lambda a: (a.started_at, a.name)),
        }
    )


def observe(
    store: ObjectStore,
    tier: TierView,
    access: TierAccess | None,
    kept: Kept,
    *,
    known_blockers: Iterable[Blocker] = (),
) -> TierSight:
    """Everything else that a pass sees of the tier. `known_blockers` are what the loop itself ran into."""
    below, cycle = below_of(store, tier)
    observed = TierObserved(
        stateful_set=nodes_view(store, owner_of(tier)),
        nodes=node_views(store, owner_of(tier), tier.spec.redis, kept),
        access=access,
        below=below,
        cycle=cycle,
        releases=bound_releases(store, tier),
        kept=kept,
        blockers=tuple(known_blockers),
        shared=_shared(store, tier),
        acts=requests_for(store, KIND, tier.namespace, tier.name, acted := set[Dependency]()),
    )
    return TierSight(observed, _dependencies(store, tier, below) | acted)


def below_of(store: ObjectStore, tier: TierView) -> tuple[tuple[Link, ...], bool]:
    """The tiers below, nearest first, and whether the chain comes back to one that is in it already."""
    links: list[Link] = []
    seen, following = {tier.name}, tier.spec.next
    while following is not None and len(links) < MAX_LEVELS - 1:
        if following in seen:
            return tuple(links), True
        seen.add(following)
        links.append(_link(store, tier.namespace, following))
        spec = links[-1].spec
        following = spec.next if spec is not None else None
    return tuple(links), False


def _shared(store: ObjectStore, tier: TierView) -> tuple[SharedKeys, ...]:
    """Namespaces that other tiers have as well, at the same server or in the same table."""
    place = place_of(tier.namespace, tier.spec.to_dict())
    found: list[SharedKeys] = []
    for obj in store.tiers_at(place) if place is not None else ():
        meta = obj["metadata"]
        if meta.get("uid") != tier.uid and not meta.get("deletionTimestamp"):
            other = f"{meta['namespace']}/{meta['name']}"
            found += shared_keys(tier.spec.namespaces, other, obj["spec"].get("namespaces") or ())
    return tuple(found)


def _link(store: ObjectStore, namespace: str, name: str) -> Link:
    obj = store.get(KIND, namespace, name)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return Link(name, None)
    try:
        spec = CacheTierSpec.model_validate(obj["spec"])
    except ValidationError:
        return Link(name, None)
    return Link(name, spec, {n.name: n.generation for n in tier_status(obj).namespaces})


def _dependencies(store: ObjectStore, tier: TierView, below: Iterable[Link]) -> frozenset[Dependency]:
    spec, space = tier.spec, tier.namespace
    out: set[Dependency] = {("Secret", space, name) for name in secrets_of(tier)}
    out |= {(TIER, "", tier_mark(space, link.name)) for link in below}
    out.add((BOUND, "", tier_mark(space, tier.name)))
    place = place_of(space, spec.to_dict())
    if place is not None:
        out.add((TIER, "", place))
    if spec.postgresql is not None:
        pool = spec.postgresql.pool_ref.name
        if store.config_hash("Secret", space, pool_names.binding_secret(pool)) is None:
            # Only while it is missed: the status of a pool changes all the time.
            out.add(("ConnectionPool", space, pool))
    return frozenset(out)


def secrets_of(tier: TierView) -> set[str]:
    """Names of the Secrets that the tier works with, but for those that it is rendered to."""
    redis = tier.spec.redis
    out: set[str] = set()
    if redis is not None and redis.managed is not None:
        out.add(names.access_secret(tier.name))
        if redis.managed.tls is not None:
            out.add(redis.managed.tls.secret_name)
    if redis is not None and redis.external is not None:
        external = redis.external
        if external.credentials_secret_ref is not None:
            out.add(external.credentials_secret_ref.name)
        if external.tls is not None and external.tls.ca_secret_ref is not None:
            out.add(external.tls.ca_secret_ref.name)
    if tier.spec.postgresql is not None:
        out.add(pool_names.binding_secret(tier.spec.postgresql.pool_ref.name))
    return out
