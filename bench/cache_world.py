"""A tier with a real Redis, whose keys the operator works on: its planner decides, its adapter carries out.

The API server is left out: in the operator a pass writes the status between two parts, which are of a second each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from bench import cache_keys
from bench.cache_neighbour import now
from hack.rig.redis import RedisServer
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus, NamespaceStatus
from sophia_operator.core.cache.faults import CacheFailure
from sophia_operator.core.cache.findings import (
    DeleteResult,
    DeleteTask,
    NodeFinding,
    NodeRequest,
    ScanResult,
    ScanTask,
    TaskFinding,
)
from sophia_operator.core.cache.views import Kept, NodeView, TierAccess, TierObserved, TierView
from sophia_operator.core.cache.work.counts import merged
from sophia_operator.core.cache.work.keeping import keep
from sophia_operator.core.cache.work.plan import plan_work
from sophia_operator.core.cache.work.plans import WorkPlan
from sophia_operator.runtime.caches.requests import node_request
from sophia_operator.runtime.caches.working import Working
from sophia_operator.wiring import SystemClock

#: Tags of namespaces, to flush them by.
TAG: Final = "derived"
TAGGED: Final = ("texts", "images")
NODE: Final = "bench-0"
#: To connect and to give one command: more than in the operator, so that a machine that is busy with other things does
#: not end the benchmark. What it takes is in the figures all the same.
_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Work:
    """What came of some work. CPU time is of this process, and of Redis."""

    seconds: float
    #: When it began and ended, by the neighbour's clock.
    window: tuple[float, float]
    cpu: float
    redis_cpu: float
    #: How often Redis was given each command meanwhile, by whom ever.
    commands: Mapping[str, int]
    passes: int
    #: As it is at the end.
    status: CacheTierStatus
    scan: ScanResult | None


@dataclass(frozen=True)
class Load:
    """What Redis did since it was started."""

    cpu: float
    commands: Mapping[str, int]

    def since(self, before: Load) -> dict[str, int]:
        """How often each command was given since then, most often first."""
        more = {name: calls - before.commands.get(name, 0) for name, calls in self.commands.items()}
        return dict(sorted(((n, c) for n, c in more.items() if c > 0), key=lambda pair: -pair[1]))


def load_of(server: RedisServer) -> Load:
    """By its INFO."""
    cpu, stats = server.info("cpu"), server.info("commandstats")
    commands = {name.removeprefix("cmdstat_"): int(found["calls"]) for name, found in stats.items()}
    return Load(cpu["used_cpu_user"] + cpu["used_cpu_sys"], commands)


def spec(server: RedisServer, **changes: Any) -> CacheTierSpec:
    """Of a tier with that Redis; changes are as users write them."""
    namespaces = [
        {"name": name, "prefix": name, "ttlSeconds": cache_keys.TTL_SECONDS, "tags": [TAG] if name in TAGGED else []}
        for name in cache_keys.NAMESPACES
    ]
    values: dict[str, Any] = {
        "level": "Redis",
        "redis": {"external": {"host": server.host, "port": server.port}},
        "namespaces": namespaces,
        # One scan, if any: another one would work beside what is measured.
        "scan": {"intervalSeconds": 86_400},
    }
    return CacheTierSpec.model_validate({**values, **changes})


def scanned() -> CacheTierStatus:
    """The status of a tier that was just scanned, so that nothing but a flush is to be done."""
    at = datetime.now(UTC)
    namespaces = [NamespaceStatus(name=name, generation=1, scanned_at=at) for name in cache_keys.NAMESPACES]
    return CacheTierStatus(primary=NODE, observed_generation=1, namespaces=namespaces, scanned_at=at)


def work(
    server: RedisServer, wish: CacheTierSpec, status: CacheTierStatus, through: Callable[[CacheTierStatus], bool]
) -> Work:
    """Let the operator work until it is through. Raises RuntimeError when a part fails, or nothing goes on."""
    return asyncio.run(_work(server, wish, status, through))


async def _work(
    server: RedisServer, wish: CacheTierSpec, status: CacheTierStatus, through: Callable[[CacheTierStatus], bool]
) -> Work:
    caches = _Patient()
    tier = _Tier(wish, status, server, caches)
    try:
        await tier.look()
        before, cpu, began = load_of(server), time.process_time(), now()
        while not through(tier.status):
            await tier.one_pass()
        ended, used = now(), time.process_time() - cpu
        after = load_of(server)
    finally:
        await tier.working.close()
        await caches.close()
    return Work(
        seconds=ended - began,
        window=(began, ended),
        cpu=used,
        redis_cpu=after.cpu - before.cpu,
        commands=after.since(before),
        passes=tier.passes,
        status=tier.status,
        scan=merged(tier.kept.scan) if tier.kept.scan else None,
    )


class _Patient(RedisCaches):
    """The operator's adapter, with time."""

    async def scan(self, request: NodeRequest, task: ScanTask) -> ScanResult:
        return await super().scan(replace(request, timeout_seconds=_PATIENCE_SECONDS), task)

    async def delete(self, request: NodeRequest, task: DeleteTask) -> DeleteResult:
        return await super().delete(replace(request, timeout_seconds=_PATIENCE_SECONDS), task)


class _Tier:
    """What the loop of a tier does with work on keys, and nothing else of it."""

    def __init__(self, wish: CacheTierSpec, status: CacheTierStatus, server: RedisServer, caches: RedisCaches) -> None:
        self.status, self.kept, self.passes = status, Kept(), 0
        self._spec, self._caches, self._clock = wish, caches, SystemClock()
        self._access = TierAccess(ADMIN, ADMIN_PASSWORD)
        self._nodes = (NodeView(NODE, "bench", server.host, ready=True, terminating=False, current=True),)
        self._worked, self._failure = asyncio.Event(), ""
        # It has neither a table nor a warm-up.
        nothing: Any = None
        self.working = Working(caches, nothing, nothing, self._clock, self._done)

    async def look(self) -> None:
        """Look at the node, as the operator does before it works on it."""
        request = node_request(
            self._view(), self._access, self._nodes[0], full=False, timeout_seconds=_PATIENCE_SECONDS
        )
        assert request is not None
        answer = await self._caches.node(request)
        if isinstance(answer, CacheFailure):
            raise RuntimeError(f"the server does not answer: {answer.message}")
        self.kept = replace(self.kept, nodes={NODE: NodeFinding(self._clock.now(), "bench", answer)})

    async def one_pass(self) -> None:
        """Decide, note the status, begin the next part, and wait for its end."""
        self.passes += 1
        view, observed = self._view(), TierObserved(nodes=self._nodes, access=self._access, kept=self.kept)
        plan = plan_work(view, observed, self._clock.now())
        before, self.status = self.status, _noted(self.status, plan)
        self._worked.clear()
        self.working.begin(view, observed, plan.tasks)
        if self.working.kinds:
            await self._worked.wait()
        elif self.status == before:
            raise RuntimeError("there is nothing to be done, though the work is not through")
        if self._failure:
            raise RuntimeError(f"a part of the work failed: {self._failure}")

    def _view(self) -> TierView:
        return TierView("bench", "bench", "bench", 1, "1", self._clock.now(), self._spec, self.status)

    def _done(self, kind: str, finding: TaskFinding) -> None:
        self.kept = keep(self.kept, kind, finding)
        if finding.result.failure is not None:
            self._failure = finding.result.failure.message
        self._worked.set()


def _noted(status: CacheTierStatus, plan: WorkPlan) -> CacheTierStatus:
    """As it comes back from the API server."""
    changed = status.model_copy(
        update={
            "namespaces": list(plan.namespaces),
            "first_generation": plan.first_generation,
            "flush": plan.flush,
            "flushes": list(plan.flushes),
            "scanned_at": plan.scanned_at,
            "keys": plan.keys,
            "unclaimed_keys": plan.unclaimed_keys,
        }
    )
    return CacheTierStatus.model_validate(changed.to_dict())
