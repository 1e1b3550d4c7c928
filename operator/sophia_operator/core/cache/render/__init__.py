"""What the cluster should hold for a tier: pure, and the same for the same input to the last byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sophia_operator.api.redis_level import ManagedRedis
from sophia_operator.core.cache.conf import files
from sophia_operator.core.cache.render.binding import binding_secret
from sophia_operator.core.cache.render.budget import disruption_budget
from sophia_operator.core.cache.render.chain import chain_config_map
from sophia_operator.core.cache.render.pods import restart_hash
from sophia_operator.core.cache.render.secrets import config_secret
from sophia_operator.core.cache.render.services import services
from sophia_operator.core.cache.render.stateful_set import stateful_set
from sophia_operator.core.cache.views import TierDesired, TierObserved, TierView

__all__ = ["render", "restart_hash"]


def render(tier: TierView, observed: TierObserved, default_image: str) -> TierDesired:
    """The objects of a tier, in the order to apply them.

    While a Secret that they need is missing, what depends on it is not rendered, and so stays as it is: what serves
    goes on serving.
    """
    redis = tier.spec.redis
    nodes = _nodes(tier, observed, redis.managed, default_image) if redis is not None and redis.managed else ()
    binding = binding_secret(tier, observed.access)
    bound = () if binding is None else (binding,)
    return TierDesired(objects=(*bound, chain_config_map(tier, observed.below), *nodes))


def _nodes(
    tier: TierView, observed: TierObserved, redis: ManagedRedis, default_image: str
) -> tuple[Mapping[str, Any], ...]:
    reachable = (*services(tier), disruption_budget(tier))
    access = observed.access
    configured = files(tier, access) if access is not None else None
    shown = redis.tls is None or (access is not None and access.certificate_hash is not None)
    if access is None or configured is None or not shown:
        return reachable
    return (config_secret(tier, configured), *reachable, stateful_set(tier, redis, access, default_image))
