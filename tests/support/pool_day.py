"""Hours in the life of a pool that works: what its figures are is drawn anew at each look, and writes are counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.pool.advance import advance
from sophia_operator.core.pool.findings import (
    Backends,
    Console,
    InsightsFinding,
    InstanceFinding,
    ServerFinding,
    ServerRole,
    Through,
)
from sophia_operator.core.pool.needs import needs
from sophia_operator.core.pool.views import Kept
from sophia_operator.runtime.pools.observe import in_order
from tests.support.pool_scene import HASH, NAMES, SERVER_ADDRESS, at, console, observed, pool, server, spec

Draw = Callable[[random.Random], float]


@dataclass
class Day:
    """A pool, and what its looks find. Each draw gives a new value at each look."""

    wish: dict[str, Any] = field(default_factory=dict)
    #: Share of an instance's connections in use.
    used: Draw = lambda r: r.uniform(0.5, 0.6)
    #: How long the first client waits; none waits for 0 s.
    waits: Draw = lambda _: 0.0
    #: Sessions of others at the server.
    others: Draw = lambda _: 20.0
    #: Which of the servers behind the name answers.
    server: Draw = lambda _: 1.0
    lag: Draw = lambda _: 0.0
    latency: Draw = lambda r: r.uniform(1, 3)
    #: Writes of the status, by the part that changed; `all` counts them.
    writes: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.view = pool(spec(**self.wish))
        self.random, self.kept, self.now = random.Random(7), Kept(), 0.0
        self.counted = 0

    def run(self, hours: float) -> Day:
        """So much time goes by."""
        end = self.now + 3600 * hours
        while self.now < end:
            self._look()
            decision = advance(self.view, replace(observed(), kept=self.kept), at(self.now), 0.5, lambda *_: HASH)
            before, after = self.view.status.to_dict(), in_order(decision.status).to_dict()
            changed = [part for part in before.keys() | after.keys() if before.get(part) != after.get(part)]
            self.writes.update([*changed, *(["all"] if changed else [])])
            self.events.update(n.reason for n in decision.notices)
            self.view = replace(self.view, status=in_order(decision.status))
            assert isinstance(decision.next, RequeueAfter)
            self.now += max(0.1, decision.next.seconds)
        return self

    def _look(self) -> None:
        due = needs(self.view, replace(observed(), kept=self.kept), at(self.now))
        self.now += 0.05 if due else 0.0
        if due.server:
            sessions = (Backends("other", "x", "10.9.9.9", None, int(self.others(self.random))),)
            identity, role, address = self._reached()
            lag = self.lag(self.random) if role is ServerRole.STANDBY else None
            found = server(identity, role, address=address, backends=sessions, lag_seconds=lag)
            self.kept = replace(self.kept, server=ServerFinding(at(self.now), found))
        if due.insights:
            self.kept = replace(self.kept, insights=(InsightsFinding(at(self.now), missing="none"),))
        looks = {name: self._instance(name, full) for name, full in due.instances.items()}
        self.kept = replace(self.kept, instances={**self.kept.instances, **looks})

    def _reached(self) -> tuple[str, ServerRole, str]:
        number = int(self.server(self.random))
        role = ServerRole.STANDBY if self.wish.get("role") == "ReadOnly" else ServerRole.PRIMARY
        return f"S{number}", role, SERVER_ADDRESS[:-1] + str(number)

    def _instance(self, name: str, full: bool) -> InstanceFinding:
        before = self.kept.instances.get(name)
        known = before.console if before is not None and isinstance(before.console, Console) else None
        size = max(1, self.view.status.size // len(NAMES))
        active, waited = min(size, round(size * self.used(self.random))), self.waits(self.random)
        self.counted += self.random.randint(2000, 2200) if full else 0
        shown = console(
            pool_size=size,
            servers_active=active,
            servers_idle=size - active,
            clients_waiting=1 if waited else 0,
            longest_wait_seconds=waited,
            clients=30 if full else None,
            transactions=self.counted if full or known is None else known.transactions,
        )
        if not full and before is not None:
            return replace(before, at=at(self.now), console=shown)
        identity, role, address = self._reached()
        latency = self.latency(self.random)
        times = (*self.kept.query_ms, latency)[-100:]
        self.kept = replace(self.kept, query_ms=times, connect_ms=times)
        reached = Through(role, address, identity, latency, latency)
        transactions = known.transactions if known is not None else None
        return InstanceFinding(at(self.now), "uid-1", shown, reached, at(self.now), transactions, 0)
