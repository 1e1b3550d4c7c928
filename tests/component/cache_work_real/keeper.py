"""The operator's work on the keys of a real server, part by part: its planner, its adapter and what is between, by a
clock of the test's own, so that nothing waits.

Times of the server itself are real: how long keys were idle, and when they expire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from hack.rig.redis import RedisServer
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.core.cache.findings import (
    CopyResult,
    CopyTask,
    DeleteResult,
    DeleteTask,
    Node,
    NodeFinding,
    NodeRequest,
    ScanResult,
    ScanTask,
    TaskFinding,
)
from sophia_operator.core.cache.views import BoundRelease, Kept, Load, NodeView, TierAccess, TierObserved, TierView
from sophia_operator.core.cache.work.keeping import keep
from sophia_operator.core.cache.work.plan import plan_work
from sophia_operator.core.cache.work.plans import WorkPlan
from sophia_operator.runtime.caches.working import Working
from tests.support.cache_work_scene import at, spec
from tests.support.paced_time import FakeTime
from tests.support.redis_requests import seen, to


class _Time(FakeTime):
    """Something may happen once as a part waits, in its middle."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None

    async def _sleep(self, seconds: float) -> None:
        await super()._sleep(seconds)
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()


class _Patient(RedisCaches):
    """A busy machine is no fault."""

    async def scan(self, request: NodeRequest, task: ScanTask) -> ScanResult:
        return await super().scan(replace(request, timeout_seconds=30.0), task)

    async def delete(self, request: NodeRequest, task: DeleteTask) -> DeleteResult:
        return await super().delete(replace(request, timeout_seconds=30.0), task)

    async def copy(self, request: NodeRequest, task: CopyTask) -> CopyResult:
        return await super().copy(replace(request, timeout_seconds=30.0), task)


class Operator:
    """Looks at the server, decides, writes the status, and does the parts."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        external = {"external": {"host": server.host, "port": server.port}}
        scan = {"intervalSeconds": 30, "keysPerSecond": 20_000, "sampledKeys": 100_000}
        self.spec: CacheTierSpec = spec(redis=external, scan=scan)
        self.status = CacheTierStatus(primary="n-0")
        self.releases: tuple[BoundRelease, ...] = ()
        self.load: float | None = 0.0
        self.kept = Kept()
        #: Parts that were done, and each status that was written.
        self.done: list[tuple[str, TaskFinding]] = []
        self.written: list[CacheTierStatus] = []
        self.plan: WorkPlan | None = None
        self._generation = 1
        self._time = _Time()
        self._caches = _Patient(time=self._time.time())
        self._running: asyncio.Event = asyncio.Event()
        unused: Any = None
        self._working = Working(self._caches, unused, unused, self, self._worked)

    @property
    def run_id(self) -> str:
        """The run that was last looked at."""
        finding = self.kept.nodes["n-0"].answer
        assert isinstance(finding, Node)
        return finding.run_id

    def now(self) -> datetime:
        """The time of passes, and of paced work."""
        return at(self._time.at)

    def pass_time(self, seconds: float) -> None:
        """So much time passes, and nothing happens."""
        self._time.at += seconds

    def wish(self, **changes: Any) -> None:
        """Edit the spec."""
        values = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True) | changes
        self.spec = CacheTierSpec.model_validate({k: v for k, v in values.items() if v is not None})
        self._generation += 1

    def meanwhile(self, happens: Callable[[], None]) -> None:
        """Let something happen in the middle of the next part."""
        self._time.meanwhile = happens

    def forget(self) -> None:
        """Start anew: only the status is left."""
        self.kept = Kept()

    async def one_pass(self, *, look: bool = True) -> bool:
        """Look, decide, write, and do what was decided; says whether there was something to be done."""
        if look:
            await self._look()
        decided = plan_work(self._view(), self._observed(), self.now())
        self.plan = decided
        changes = {
            "observed_generation": self._generation, "namespaces": list(decided.namespaces),
            "first_generation": decided.first_generation, "flush": decided.flush, "flushes": list(decided.flushes),
            "warm_ups": list(decided.warm_ups), "scanned_at": decided.scanned_at, "keys": decided.keys,
            "unclaimed_keys": decided.unclaimed_keys,
        }  # fmt: skip
        # As it comes back from the API server.
        self.status = CacheTierStatus.model_validate(self.status.model_copy(update=changes).to_dict())
        self.written.append(self.status)
        await self._do(decided.tasks)
        return bool(decided.tasks)

    async def until(self, holds: Callable[[], bool], *, most: int = 300) -> None:
        """Passes until it holds."""
        for _ in range(most):
            if holds():
                return
            if not await self.one_pass():
                self.pass_time(0.5)
        raise AssertionError(f"not in {most} passes: {self.status}")

    async def scans(self, number: int = 1) -> None:
        """So many scans to their ends, from now on, and what follows at once on the last."""
        for _ in range(number):
            self.pass_time(self.spec.scan.interval_seconds)
            while await self.one_pass():
                pass

    async def close(self) -> None:
        """End it."""
        await self._working.close()
        await self._caches.close()

    async def _look(self) -> None:
        node = seen(await self._caches.node(to(self.server)))
        found = NodeFinding(self.now(), "u", node)
        load = Load(self.now(), self.load, "" if self.load is not None else "no answer")
        self.kept = replace(self.kept, nodes={"n-0": found}, load=load)

    def _view(self) -> TierView:
        return TierView("shop", "tier", "uid", self._generation, "1", at(0), self.spec, self.status)

    def _observed(self) -> TierObserved:
        nodes = (NodeView("n-0", "u", self.server.host, True, False, True),)
        access = TierAccess(ADMIN, ADMIN_PASSWORD)
        return TierObserved(nodes=nodes, access=access, releases=self.releases, kept=self.kept)

    async def _do(self, tasks: Any) -> None:
        self._working.begin(self._view(), self._observed(), tasks)
        while self._working.kinds:
            self._running.clear()
            await self._running.wait()

    def _worked(self, kind: str, finding: TaskFinding) -> None:
        self.kept = keep(self.kept, kind, finding)
        self.done.append((kind, finding))
        self._running.set()
