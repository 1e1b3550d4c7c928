"""What every loop of a tier shares: the ports, the store, and the decisions, which tests may replace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sophia_operator.core.cache import advance, needs, render
from sophia_operator.core.cache.decision import TierDecision
from sophia_operator.core.cache.findings import TierNeeds
from sophia_operator.core.cache.views import TierDesired, TierObserved, TierView
from sophia_operator.ports import Caches, CacheTables, Clock, Cluster, Metrics, Requests
from sophia_operator.runtime.slots import Slots
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.turns import Turns
from sophia_operator.runtime.wakeups import Feed, Wakeups
from sophia_operator.runtime.world import wait_for

#: What a tier runs when its spec names no image.
DEFAULT_IMAGE: Final = "localhost/sophia-redis:dev"


@dataclass(frozen=True, slots=True)
class CacheMind:
    """The pure functions that a pass calls."""

    needs: Callable[[TierView, TierObserved, datetime], TierNeeds] = needs.needs
    advance: Callable[[TierView, TierObserved, datetime, float], TierDecision] = advance.advance
    render: Callable[[TierView, TierObserved, str], TierDesired] = render.render


@dataclass(frozen=True, slots=True)
class CacheWorld:
    """What a loop works with."""

    cluster: Cluster
    store: ObjectStore
    #: Takes what the API server answers to writes: others may wait for it.
    feed: Feed
    caches: Caches
    tables: CacheTables
    metrics: Metrics
    requests: Requests
    clock: Clock
    wakeups: Wakeups
    telemetry: Telemetry
    default_image: str = DEFAULT_IMAGE
    mind: CacheMind = field(default_factory=CacheMind)
    turns: Turns = field(default_factory=Turns)
    slots: Slots = field(default_factory=Slots)
    #: Waits for an event for at most so many seconds (None: for ever).
    wait: Callable[[asyncio.Event, float | None], Awaitable[None]] = wait_for
    #: A number from 0 to 1, to spread retries.
    jitter: Callable[[], float] = random.random
