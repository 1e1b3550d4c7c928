"""What every loop of a pool shares: the ports, the store, and the decisions, which tests may replace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from weakref import WeakValueDictionary

from sophia_operator.core.pool import advance, needs, render
from sophia_operator.core.pool.decision import PoolDecision
from sophia_operator.core.pool.findings import PoolNeeds
from sophia_operator.core.pool.views import PoolDesired, PoolObserved, PoolView
from sophia_operator.ports import Clock, Cluster, Pools
from sophia_operator.runtime.slots import Slots
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.turns import Turns
from sophia_operator.runtime.wakeups import Feed, Key, Wakeups
from sophia_operator.runtime.world import wait_for

#: What a pool runs when its spec names no image.
DEFAULT_IMAGE: Final = "localhost/sophia-pgbouncer:dev"


@dataclass(frozen=True, slots=True)
class PoolMind:
    """The pure functions that a pass calls."""

    needs: Callable[[PoolView, PoolObserved, datetime], PoolNeeds] = needs.needs
    advance: Callable[[PoolView, PoolObserved, datetime, float], PoolDecision] = advance.advance
    render: Callable[[PoolView, PoolObserved, str], PoolDesired] = render.render


class Servers:
    """What pools in front of the same server have to know of each other beside what their objects say."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        #: The user that each pool connects as, by the pool's namespace and name.
        self.usernames: dict[Key, str] = {}

    def lock(self, server: str) -> asyncio.Lock:
        """Held while a pool of that server decides to take more of it, and writes that down."""
        return self._locks.setdefault(server, asyncio.Lock())


@dataclass(frozen=True, slots=True)
class PoolWorld:
    """What a loop works with."""

    cluster: Cluster
    store: ObjectStore
    #: Takes what the API server answers to writes: others may wait for it.
    feed: Feed
    pools: Pools
    clock: Clock
    wakeups: Wakeups
    telemetry: Telemetry
    default_image: str = DEFAULT_IMAGE
    mind: PoolMind = field(default_factory=PoolMind)
    servers: Servers = field(default_factory=Servers)
    turns: Turns = field(default_factory=Turns)
    slots: Slots = field(default_factory=Slots)
    #: Waits for an event for at most so many seconds (None: for ever).
    wait: Callable[[asyncio.Event, float | None], Awaitable[None]] = wait_for
    #: A number from 0 to 1, to spread retries.
    jitter: Callable[[], float] = random.random
