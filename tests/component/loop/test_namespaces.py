"""An operator that works in some namespaces only: Gateways are elsewhere, and no watch brings them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sophia_operator.runtime.elsewhere import Elsewhere
from tests.support.fake_cluster_harness import NAMESPACE, Harness, managed_service

TRAFFIC = {"gateway": {"parentRefs": [{"name": "edge", "namespace": "infra"}], "hostnames": ["app.example.com"]}}


class OneNamespace(Harness):
    """Watches bring nothing from other namespaces."""

    def start(self) -> None:
        """Start, and cut the watches off from other namespaces."""
        super().start()
        watcher: Any = self.cluster._watcher
        seen = watcher.seen

        def only_here(obj: Mapping[str, Any]) -> None:
            if obj["metadata"].get("namespace", NAMESPACE) == NAMESPACE:
                seen(obj)

        watcher.seen = only_here
        for gateway in self.store.all("Gateway"):
            if gateway["metadata"]["namespace"] != NAMESPACE:
                self.store.discard(gateway)


def harness() -> Harness:
    return OneNamespace(
        managed_service(traffic=TRAFFIC),
        elsewhere=lambda h: Elsewhere(h.cluster, h.store, h.clock, (NAMESPACE,)),
    )


def reads(harness: Harness) -> int:
    return sum(1 for call in harness.cluster.calls if (call.verb, call.kind) == ("get", "Gateway"))


async def test_a_gateway_elsewhere_is_read_and_then_left_in_peace() -> None:
    world = harness()
    world.controllers.add_gateway("edge", "infra")
    await world.run_until(world.settled)
    assert world.shares() == {"app-1": 100}
    before = reads(world)
    await world.run(30)
    assert reads(world) == before == 1


async def test_a_gateway_that_comes_later_is_found() -> None:
    world = harness()
    await world.run(3)
    found = world.condition("Stalled")
    assert found is not None
    assert found[1] == "GatewayNotFound"
    world.controllers.add_gateway("edge", "infra")
    await world.run_until(world.settled, limit=60)


async def test_a_gateway_that_goes_is_missed() -> None:
    world = harness()
    world.controllers.add_gateway("edge", "infra")
    await world.run_until(world.settled)
    world.cluster.remove("Gateway", "edge", "infra")
    await world.run(70)
    found = world.condition("Stalled")
    assert found is not None
    assert found[1] == "GatewayNotFound"
    assert world.shares() == {"app-1": 100}
