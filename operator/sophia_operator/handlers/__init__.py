"""What the framework calls: kopf decorators and nothing else. They feed the store, wake loops, and run them."""

from __future__ import annotations

import kopf

from sophia_operator.handlers import children, login, managed_services, settings
from sophia_operator.handlers.login import Reach
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.world import World


def registry(world: World, feed: Feed, reach: Reach) -> kopf.OperatorRegistry:
    """Every handler of the operator."""
    made = kopf.OperatorRegistry()
    login.register(made, reach)
    managed_services.register(made, world, feed)
    children.register(made, feed)
    return made


__all__ = ["Reach", "registry", "settings"]
