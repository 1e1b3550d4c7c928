"""What every loop shares: the ports, the store, and the decisions, which tests may replace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sophia_operator.core import advance, needs, placement, render
from sophia_operator.core.decision import Decision
from sophia_operator.core.findings import Needs
from sophia_operator.core.placement import Placement
from sophia_operator.core.render import ChildRef, Desired
from sophia_operator.core.views import Observed, ServiceView
from sophia_operator.ports import Clock, Cluster, Metrics, Requests
from sophia_operator.runtime.elsewhere import Elsewhere
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.turns import Turns
from sophia_operator.runtime.wakeups import Wakeups


class Render(Protocol):
    """As core.render.render."""

    def __call__(
        self, service: ServiceView, observed: Observed, placement: Placement, existing: Sequence[ChildRef] = ()
    ) -> Desired: ...


@dataclass(frozen=True, slots=True)
class Mind:
    """The pure functions that a pass calls."""

    needs: Callable[[ServiceView, Observed, datetime], Needs] = needs.needs
    advance: Callable[[ServiceView, Observed, datetime], Decision] = advance.advance
    placement: Callable[[ServiceView, Observed, datetime], Placement] = placement.placement
    render: Render = render.render


async def wait_for(event: asyncio.Event, seconds: float | None) -> None:
    """Wait until the event is set, or for so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@dataclass(frozen=True, slots=True)
class World:
    """What a loop works with."""

    cluster: Cluster
    store: ObjectStore
    metrics: Metrics
    requests: Requests
    clock: Clock
    wakeups: Wakeups
    telemetry: Telemetry
    mind: Mind = field(default_factory=Mind)
    turns: Turns = field(default_factory=Turns)
    #: Reads what no watch brings; None when everything is watched.
    elsewhere: Elsewhere | None = None
    #: Waits for an event for at most so many seconds (None: for ever).
    wait: Callable[[asyncio.Event, float | None], Awaitable[None]] = wait_for
    #: A number from 0 to 1, to spread retries.
    jitter: Callable[[], float] = random.random
