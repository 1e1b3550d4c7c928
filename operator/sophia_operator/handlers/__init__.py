"""What the framework calls: kopf decorators and nothing else. They feed the store, wake loops, and run them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import kopf

from sophia_operator.handlers import (
    cache_tiers,
    children,
    connection_pools,
    discovery,
    login,
    managed_services,
    model_routes,
    recovery,
    settings,
)
from sophia_operator.handlers.login import Reach
from sophia_operator.runtime.caches.world import CacheWorld
from sophia_operator.runtime.models.world import ModelWorld
from sophia_operator.runtime.pools.world import PoolWorld
from sophia_operator.runtime.recovery.world import RecoveryWorld
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import ACTIONS, POLICIES, POOLS, ROUTES, TIERS, Watched
from sophia_operator.runtime.world import World


@dataclass(frozen=True, slots=True)
class Worlds:
    """What the loops of each kind work with."""

    services: World
    pools: PoolWorld
    tiers: CacheWorld
    routes: ModelWorld
    policies: RecoveryWorld
    actions: RecoveryWorld


def registry(worlds: Worlds, feed: Feed, reach: Reach, *, forbidden: Collection[Watched] = ()) -> kopf.OperatorRegistry:
    """Every handler of the operator, but for kinds that it may not watch: the framework ends when it is refused one."""
    made = kopf.OperatorRegistry()
    login.register(made, reach)
    managed_services.register(made, worlds.services, feed)
    if POOLS not in forbidden:
        connection_pools.register(made, worlds.pools, feed)
    if TIERS not in forbidden:
        cache_tiers.register(made, worlds.tiers, feed)
    if ROUTES not in forbidden:
        model_routes.register(made, worlds.routes, feed)
    if POLICIES not in forbidden and ACTIONS not in forbidden:
        recovery.register(made, worlds.policies, worlds.actions, feed)
    children.register(made, feed, forbidden)
    return made


__all__ = ["Reach", "Worlds", "discovery", "registry", "settings"]
