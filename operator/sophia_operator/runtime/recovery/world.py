"""What the loops of policies and actions share: the ports, the store, and the decisions, which tests may replace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakValueDictionary

from sophia_operator.core.recovery import decide, symptoms
from sophia_operator.core.recovery.action import advance
from sophia_operator.core.recovery.action.values import ActionDecision, ActionObserved
from sophia_operator.core.recovery.decision import Decisions
from sophia_operator.core.recovery.views import ActionView, History, PolicyView, Symptoms, TargetView
from sophia_operator.ports import Clock, Cluster
from sophia_operator.runtime.recovery.telling import Teller
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.turns import Turns
from sophia_operator.runtime.wakeups import Feed, Wakeups
from sophia_operator.runtime.world import wait_for


@dataclass(frozen=True, slots=True)
class RecoveryMind:
    """The pure functions that a pass calls."""

    read: Callable[[Iterable[TargetView], Iterable[PolicyView], datetime], Symptoms] = symptoms.read
    decide: Callable[[Symptoms, tuple[PolicyView, ...], History, datetime], Decisions] = decide.decide
    advance: Callable[[ActionView, ActionObserved, datetime], ActionDecision] = advance.advance_action


class Locks:
    """What is done by one loop at a time, so that what is counted is still true when it is written down."""

    def __init__(self) -> None:
        self._deciding: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        #: Held while an act is claimed: budgets are those of the whole cluster.
        self.claiming = asyncio.Lock()

    def deciding(self, namespace: str) -> asyncio.Lock:
        """Held from a decision about a namespace until the actions that it asks for are there."""
        return self._deciding.setdefault(namespace, asyncio.Lock())


@dataclass(frozen=True, slots=True)
class RecoveryWorld:
    """What a loop works with, of policies or of actions: each kind has its own `wakeups`."""

    cluster: Cluster
    store: ObjectStore
    #: Takes what the API server answers to writes: others may wait for it.
    feed: Feed
    clock: Clock
    wakeups: Wakeups
    telemetry: Telemetry
    locks: Locks
    teller: Teller
    mind: RecoveryMind = field(default_factory=RecoveryMind)
    turns: Turns = field(default_factory=Turns)
    #: Waits for an event for at most so many seconds (None: for ever).
    wait: Callable[[asyncio.Event, float | None], Awaitable[None]] = wait_for
    #: A number from 0 to 1, to spread retries.
    jitter: Callable[[], float] = random.random
