"""RecoveryPolicies and RecoveryActions: each has one daemon, which runs its loop."""

from __future__ import annotations

from typing import Any, Final

import kopf

from sophia_operator.handlers.children import feed_kind
from sophia_operator.handlers.daemon import run_loop
from sophia_operator.runtime.recovery.action_loop import ActionLoop
from sophia_operator.runtime.recovery.policy_loop import PolicyLoop
from sophia_operator.runtime.recovery.world import RecoveryWorld
from sophia_operator.runtime.wakeups import Feed
from sophia_operator.runtime.watched import ACTIONS, POLICIES, Watched

_LAST_SECONDS: Final = 5.0


def register(registry: kopf.OperatorRegistry, policies: RecoveryWorld, actions: RecoveryWorld, feed: Feed) -> None:
    """Register the daemons, and what feeds the store."""
    feed_kind(registry, feed, POLICIES)
    feed_kind(registry, feed, ACTIONS)

    @kopf.daemon(*_named(POLICIES), registry=registry, id="policy", cancellation_timeout=_LAST_SECONDS)
    async def policy(namespace: str | None, name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        assert namespace is not None  # RecoveryPolicies live in namespaces
        key = (namespace, name)
        await run_loop(PolicyLoop(key, policies), stopped, lambda: policies.wakeups.wake(key, "stop"))

    @kopf.daemon(*_named(ACTIONS), registry=registry, id="action", cancellation_timeout=_LAST_SECONDS)
    async def action(namespace: str | None, name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        assert namespace is not None  # RecoveryActions live in namespaces
        key = (namespace, name)
        await run_loop(ActionLoop(key, actions), stopped, lambda: actions.wakeups.wake(key, "stop"))


def _named(watched: Watched) -> tuple[str, str, str]:
    return watched.group, watched.version, watched.plural
