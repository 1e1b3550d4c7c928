"""What every loop of a route shares: the ports, the store, and the decisions, which tests may replace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from sophia_operator.core.model import advance, needs, render, targets
from sophia_operator.core.model.decision import ModelRouteDecision
from sophia_operator.core.model.findings import ModelNeeds, ReplicaRequest
from sophia_operator.core.model.views import ModelRouteDesired, ModelRouteObserved, ModelRouteView
from sophia_operator.ports import Clock, Cluster, Metrics, Models
from sophia_operator.runtime.elsewhere import Elsewhere
from sophia_operator.runtime.models.slots import ProbeSlots
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.turns import Turns
from sophia_operator.runtime.wakeups import Feed, Wakeups
from sophia_operator.runtime.world import wait_for


@dataclass(frozen=True, slots=True)
class ModelMind:
    """The pure functions that a pass calls."""

    needs: Callable[[ModelRouteView, ModelRouteObserved, datetime], ModelNeeds] = needs.needs
    advance: Callable[[ModelRouteView, ModelRouteObserved, datetime, float], ModelRouteDecision] = advance.advance
    render: Callable[[ModelRouteView, ModelRouteObserved], ModelRouteDesired] = render.render
    #: None while there is no replica to ask.
    replica_request: Callable[[ModelRouteView, ModelRouteObserved], ReplicaRequest | None] = targets.replica_request


@dataclass(frozen=True, slots=True)
class ModelWorld:
    """What a loop works with."""

    cluster: Cluster
    store: ObjectStore
    #: Takes what the API server answers to writes: others may wait for it.
    feed: Feed
    models: Models
    metrics: Metrics
    clock: Clock
    wakeups: Wakeups
    telemetry: Telemetry
    mind: ModelMind = field(default_factory=ModelMind)
    turns: Turns = field(default_factory=Turns)
    slots: ProbeSlots = field(default_factory=ProbeSlots)
    #: Reads what no watch brings; None when everything is watched.
    elsewhere: Elsewhere | None = None
    #: Waits for an event for at most so many seconds (None: for ever).
    wait: Callable[[asyncio.Event, float | None], Awaitable[None]] = wait_for
    #: Passes the time until a request is made again that came to nothing in the operator itself.
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    #: A number from 0 to 1, to spread retries.
    jitter: Callable[[], float] = random.random
