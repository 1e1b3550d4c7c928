"""The loop of one CacheTier: observe, look, decide, persist, tell, render, apply, wait.

See docs/design/cache-tier.md and docs/design/loop.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.core.cache.decision import TierDecision
from sophia_operator.core.cache.findings import NodeRequest, Task, TaskFinding, TierNeeds
from sophia_operator.core.cache.views import Kept, TierObserved, TierView
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.ports import Object
from sophia_operator.runtime import asking
from sophia_operator.runtime.apply import Applied, Applier, worst
from sophia_operator.runtime.caches import observe
from sophia_operator.runtime.caches.access import TierAccessReader, TierFound
from sophia_operator.runtime.caches.figures import Figures
from sophia_operator.runtime.caches.observe_nodes import node_views
from sophia_operator.runtime.caches.pods import TierPods
from sophia_operator.runtime.caches.probing import TierProber
from sophia_operator.runtime.caches.requests import node_request
from sophia_operator.runtime.caches.watching import NodeWatches
from sophia_operator.runtime.caches.working import Working
from sophia_operator.runtime.caches.world import CacheWorld
from sophia_operator.runtime.resource_loop import ResourceLoop, cancel
from sophia_operator.runtime.waits import BLOCKED_SECONDS, UnfinishedError
from sophia_operator.runtime.wakeups import Key

_PATIENCE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Planned:
    """What was decided, and on what."""

    obj: Object
    tier: TierView
    observed: TierObserved
    decision: TierDecision


@dataclass(slots=True)
class _Done:
    """What a pass did once it had looked."""

    planned: _Planned
    status_writes: int
    applied: Applied
    #: Events that are told beside the rest.
    beside: Sequence[asyncio.Future[None]]


class CacheLoop(ResourceLoop):
    """Runs passes over one tier until it is gone."""

    kind = observe.KIND

    def __init__(self, tier: Key, world: CacheWorld) -> None:
        super().__init__(tier, world)
        self._world = world
        note = world.feed.seen
        self._applier = Applier(world.cluster, world.store, note)
        self._access = TierAccessReader(world.cluster, world.store, note)
        self._pods = TierPods(world.cluster, note)
        figures = Figures(world.metrics, world.store, world.clock)
        self._prober = TierProber(world.caches, world.tables, figures, world.clock)
        self._watches = NodeWatches(world.caches, world.clock, lambda: world.wakeups.wake(tier, "node"))
        self._working = Working(world.caches, world.tables, world.requests, world.clock, self._worked)
        #: What the last reading of Secrets gave.
        self._found = TierFound(None)

    def _begin(self) -> None:
        self._world.telemetry.tiers.started()

    async def _end(self) -> None:
        self._world.telemetry.tiers.forget(*self._key)
        await self._watches.close()
        await self._working.close()

    @staticmethod
    def _status_of(obj: Object) -> CacheTierStatus:
        return observe.tier_status(obj)

    @staticmethod
    def _in_order(status: CacheTierStatus) -> CacheTierStatus:
        return observe.in_order(status)

    def _worked(self, kind: str, finding: TaskFinding) -> None:
        self._prober.worked(kind, finding)
        self._world.wakeups.wake(self._key, "work")

    async def _pass(self) -> tuple[float | None, int]:
        world, writes = self._world, 0
        async with self._turn():
            obj = self._object()
            tier = self._read(obj)
            if isinstance(tier, ValidationError):
                await self._watches.close()
                return None, await self._say_unreadable(obj, tier)
            await self._learn(tier)
            writes += self._found.writes
            observed = self._observe(tier)
            needs = world.mind.needs(tier, observed, world.clock.now())
            done = None if needs else await self._decide(tier)
        if needs:
            begun = world.clock.now()
            looked = await asking.undisturbed(
                self._look(tier, observed, needs),
                wake=self._wake,
                outdated=lambda: self._is_outdated(tier.generation) or self._lost_since(begun),
            )
            if looked is None or self._is_outdated(tier.generation):
                return 0.0, writes
            await self._watch(tier)
            async with self._turn():
                done = await self._decide(tier)
        return (0.0, writes) if done is None else await self._finish(done, writes)

    def _lost_since(self, begun: datetime) -> bool:
        """Whether a node went away while the others were looked at: it is looked at first."""
        return any(broke_at > begun for broke_at in self._watches.broke_at.values())

    async def _look(self, tier: TierView, observed: TierObserved, needs: TierNeeds) -> bool:
        asked = time.perf_counter()
        async with self._world.slots.taken(urgent=self._urgent or bool(self._watches.broke_at)):
            self._waited_seconds += time.perf_counter() - asked
            return await self._prober.look(tier, observed, needs)

    @staticmethod
    def _read(obj: Object) -> TierView | ValidationError:
        """The tier, or what is wrong with its spec."""
        try:
            return observe.tier_view(obj)
        except ValidationError as error:
            return error

    async def _learn(self, tier: TierView) -> None:
        """Read the Secrets, and watch the nodes that they open."""
        self._found = await self._access.read(tier)
        self._prober.about(tier, node_views(self._world.store, observe.owner_of(tier), tier.spec.redis, self._kept))
        await self._watch(tier)

    async def _watch(self, tier: TierView) -> None:
        access, requests = self._found.access, dict[str, NodeRequest]()
        nodes = node_views(self._world.store, observe.owner_of(tier), tier.spec.redis, self._kept)
        for node in nodes if access is not None else ():
            assert access is not None
            request = node_request(tier, access, node, full=False, timeout_seconds=_PATIENCE_SECONDS)
            if request is not None:
                requests[node.name] = request
        await self._watches.keep(requests, self._kept.nodes)

    @property
    def _kept(self) -> Kept:
        return self._prober.kept

    def _observe(self, tier: TierView) -> TierObserved:
        sight = observe.observe(
            self._world.store,
            tier,
            self._found.access,
            replace(self._kept, broke_at=self._watches.broke_at),
            known_blockers=(*self._found.blockers, *self._applier.blockers),
        )
        self._world.wakeups.depend(self._key, sight.depends_on)
        return sight.observed

    def _plan(self, seen: TierView) -> _Planned | None:
        """What is to be done by what is there now. None when the spec is another one by now."""
        world, obj = self._world, self._object()
        tier = self._read(obj)
        if isinstance(tier, ValidationError) or tier.generation != seen.generation:
            return None
        observed = self._observe(tier)
        decision = world.mind.advance(tier, observed, world.clock.now(), world.jitter())
        return _Planned(obj, tier, observed, decision)

    async def _decide(self, seen: TierView) -> _Done | None:
        """Decide, write it down, and bring nodes and the cluster to it. None when the spec is another one by now."""
        planned = self._plan(seen)
        if planned is None:
            return None
        decision = planned.decision
        written = await self._write_status(planned.obj, planned.tier.status, decision.status)
        self._urgent = decision.status.failover is not None
        self._world.telemetry.tiers.seen(*self._key, planned.tier.spec, decision.status)
        tier = replace(planned.tier, status=decision.status)
        beside = [asyncio.ensure_future(self._tell(tier.uid, notice)) for notice in decision.notices]
        try:
            applied = await self._act(tier, planned.observed, decision)
        except BaseException:
            await cancel(beside)
            raise
        return _Done(planned, written, applied, beside)

    async def _act(self, tier: TierView, observed: TierObserved, decision: TierDecision) -> Applied:
        """Make nodes and the cluster what was persisted says."""
        out = Applied()
        # Never are two labelled: while one cannot be taken away, no node is made what another one is labelled as.
        if await self._pods.unlabel(tier, observed, decision.labels, out):
            await self._prober.tell(tier, observed, decision.commands)
            await self._pods.label(tier, observed, decision.labels, out)
            await self._pods.delete(tier, decision.delete, out)
        self._working.begin(tier, observed, self._still_due(observed, decision.tasks))
        desired = self._world.mind.render(tier, observed, self._world.default_image)
        await self._applier.bring(observe.owner_of(tier), desired.objects, out)
        self._applier.keep_only((o["kind"], o["metadata"]["name"]) for o in desired.objects)
        return out

    def _still_due(self, observed: TierObserved, tasks: Mapping[str, Task]) -> dict[str, Task]:
        """Those whose last part is the one that they were decided on: another one may have ended since, and to do it
        again would lose what came of it."""
        then, now = observed.kept.tasks, self._kept.tasks
        return {kind: task for kind, task in tasks.items() if then.get(kind) is now.get(kind)}

    async def _finish(self, done: _Done, writes: int) -> tuple[float | None, int]:
        """Wait for what goes on beside, and say when to look again."""
        try:
            await asyncio.gather(*done.beside)
        finally:
            await cancel(done.beside)
        decision, applied, observed = done.planned.decision, done.applied, done.planned.observed
        wanted = decision.next
        failure = worst(applied.errors)
        if failure is not None:
            # What cannot be written must not keep nodes from being looked at in time.
            raise UnfinishedError(failure, wanted.seconds if isinstance(wanted, RequeueAfter) else None)
        others: list[float | None] = []
        if decision.commands or not set(self._applier.blockers) <= set(observed.blockers):
            others.append(0.0)
        if self._applier.blockers:
            others.append(BLOCKED_SECONDS)
        writes += done.status_writes + applied.writes
        return self._waits.after(wanted, bool(observed.blockers), writes, applied.writes, others), writes
