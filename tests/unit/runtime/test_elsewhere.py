"""Gateways in namespaces that are not watched are read when an object first looks, and seldom after that."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from sophia_operator.api.traffic import ParentRef
from sophia_operator.ports import Cluster, Object, ObjectRef
from sophia_operator.runtime.elsewhere import Elsewhere
from sophia_operator.runtime.store import ObjectStore
from tests.support.sim import START

GATEWAY = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "spec": {"gatewayClassName": "c"}}


@dataclass
class TickingClock:
    """Time goes on with each look at it, as it does."""

    at: datetime = START

    def now(self) -> datetime:
        self.at += timedelta(microseconds=1)
        return self.at


@dataclass
class Reads:
    """Counts what is read."""

    found: bool = True
    asked: list[ObjectRef] = field(default_factory=list)

    async def get(self, ref: ObjectRef) -> Object | None:
        self.asked.append(ref)
        metadata = {"namespace": ref.namespace, "name": ref.name, "uid": "u", "resourceVersion": "1"}
        return GATEWAY | {"metadata": metadata} if self.found else None


PARENTS = (ParentRef(name="edge", namespace="infra"),)


async def test_a_gateway_is_read_at_the_first_look_and_then_once_a_minute() -> None:
    reads, store, clock = Reads(), ObjectStore(), TickingClock()
    elsewhere = Elsewhere(cast("Cluster", reads), store, clock, ["shop"])
    for seconds, count in ((0, 1), (59, 1), (2, 2)):
        clock.at += timedelta(seconds=seconds)
        await elsewhere.look("shop", PARENTS)
        assert len(reads.asked) == count
    assert store.get("Gateway", "infra", "edge") is not None


async def test_a_gateway_that_is_missing_is_looked_for_sooner() -> None:
    reads, clock = Reads(found=False), TickingClock()
    elsewhere = Elsewhere(cast("Cluster", reads), ObjectStore(), clock, ["shop"])
    for seconds, count in ((0, 1), (14, 1), (2, 2)):
        clock.at += timedelta(seconds=seconds)
        await elsewhere.look("shop", PARENTS)
        assert len(reads.asked) == count


async def test_what_is_watched_is_not_read() -> None:
    reads = Reads()
    await Elsewhere(cast("Cluster", reads), ObjectStore(), TickingClock(), ["shop", "infra"]).look("shop", PARENTS)
    await Elsewhere(cast("Cluster", reads), ObjectStore(), TickingClock()).look("shop", PARENTS)
    assert reads.asked == []
