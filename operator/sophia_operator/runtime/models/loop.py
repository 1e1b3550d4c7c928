"""The loop of one ModelRoute: observe, decide, persist, tell, render, apply, poke, ask, wait.

Models and gateways are asked beside the passes: nothing that hangs holds up a decision. See docs/design/model-route.md
and docs/design/loop.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import ValidationError

from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.model.decision import ModelRouteDecision
from sophia_operator.core.model.findings import ModelFinding
from sophia_operator.core.model.views import ModelKept, ModelRouteDesired, ModelRouteObserved, ModelRouteView
from sophia_operator.core.views import Blocker
from sophia_operator.ports import ClusterError, Object
from sophia_operator.runtime.apply import Applied, Applier, worst
from sophia_operator.runtime.models import observe
from sophia_operator.runtime.models.access import RouteAccessReader, RouteFound
from sophia_operator.runtime.models.figures import RouteFigures
from sophia_operator.runtime.models.pods import GatewayPoker
from sophia_operator.runtime.models.probing import ModelProber
from sophia_operator.runtime.models.world import ModelWorld
from sophia_operator.runtime.resource_loop import ResourceLoop, cancel
from sophia_operator.runtime.waits import BLOCKED_SECONDS, UnfinishedError
from sophia_operator.runtime.wakeups import Key

_NOTHING: Final = ModelKept()


@dataclass(slots=True)
class _Done:
    """What a pass decided and did, and on what it saw."""

    route: ModelRouteView
    observed: ModelRouteObserved
    decision: ModelRouteDecision
    status_writes: int
    applied: Applied
    #: Events that are told beside the rest.
    beside: Sequence[asyncio.Future[None]]


class ModelRouteLoop(ResourceLoop):
    """Runs passes over one route until it is gone."""

    kind = observe.KIND

    def __init__(self, route: Key, world: ModelWorld) -> None:
        super().__init__(route, world)
        self._world = world
        note = world.feed.seen
        self._applier = Applier(world.cluster, world.store, note)
        self._access = RouteAccessReader(world.cluster, world.store, note)
        self._poker = GatewayPoker(world.cluster, world.store)
        self._prober = ModelProber(
            world.models,
            RouteFigures(world.metrics),
            world.clock,
            world.slots,
            done=lambda: world.wakeups.wake(route, "model"),
            probed=self._probed,
            pause=world.pause,
        )
        #: The object as it was read last, and what came of reading it.
        self._parsed: tuple[Object, ModelRouteView | ValidationError] | None = None
        #: What was rendered last, and from what.
        self._rendered: tuple[ModelRouteView, ModelRouteObserved, ModelRouteDesired] | None = None
        #: What the cluster was last brought to, and the versions of the objects then.
        self._in_place: tuple[ModelRouteDesired, list[int | None]] | None = None
        #: What telemetry was told last.
        self._shown: ModelRouteStatus | None = None

    def _begin(self) -> None:
        self._world.telemetry.routes.started()

    async def _end(self) -> None:
        await self._prober.close()
        self._world.telemetry.routes.forget(*self._key)

    @staticmethod
    def _status_of(obj: Object) -> ModelRouteStatus:
        return observe.route_status(obj)

    @staticmethod
    def _in_order(status: ModelRouteStatus) -> ModelRouteStatus:
        return observe.in_order(status)

    def _probed(self, model: str, finding: ModelFinding) -> None:
        self._world.telemetry.routes.probed(*self._key, model, finding)

    async def _pass(self) -> tuple[float | None, int]:
        async with self._turn():
            obj, route = self._read()
            if isinstance(route, ValidationError):
                await self._prober.close()
                return None, await self._say_unreadable(obj, route)
            unread = await self._look_elsewhere(route)
            found = await self._access.read(route)
            self._prober.about(route, found.access)
            # Reading may have taken a while: what is decided on is what is there now.
            obj, newest = self._read()
            if isinstance(newest, ValidationError) or newest.generation != route.generation:
                return 0.0, 0
            route, observed = self._observe(newest, found, unread)
            # What is due is asked before anything is written, so that an API server that is slow delays no evidence.
            if self._ask(route, observed):
                observed = replace(observed, kept=self._prober.kept)
            done = await self._decide(obj, route, observed)
        return await self._finish(done)

    def _read(self) -> tuple[Object, ModelRouteView | ValidationError]:
        """The object, and the route or what is wrong with its spec. Parsed anew only when it changed. Raises Gone."""
        version = self._world.store.version(self.kind, *self._key)
        if self._parsed is not None and self._parsed[0]["metadata"]["resourceVersion"] == str(version):
            return self._parsed
        obj = self._object()
        route: ModelRouteView | ValidationError
        try:
            route = observe.route_view(obj)
        except ValidationError as error:
            route = error
        self._parsed = (obj, route)
        return self._parsed

    async def _look_elsewhere(self, route: ModelRouteView) -> Blocker | None:
        elsewhere, parents = self._world.elsewhere, observe.parents_of(route)
        return await elsewhere.look(route.namespace, parents) if elsewhere is not None and parents else None

    def _observe(
        self, route: ModelRouteView, found: RouteFound, unread: Blocker | None
    ) -> tuple[ModelRouteView, ModelRouteObserved]:
        """The route as it can be carried out, and what is seen of it."""
        known = (*self._applier.blockers, *([unread] if unread is not None else []))
        sight = observe.observe(self._world.store, route, found, self._prober.kept, known_blockers=known)
        self._world.wakeups.depend(self._key, sight.depends_on)
        return sight.route, replace(sight.observed, pods=self._poker.known(sight.observed.pods))

    def _ask(self, route: ModelRouteView, observed: ModelRouteObserved) -> bool:
        """Begin what is due; returns whether anything was."""
        mind = self._world.mind
        due = mind.needs(route, observed, self._world.clock.now())
        return bool(due) and self._prober.begin(route, observed, due, mind.replica_request)

    async def _decide(self, obj: Object, route: ModelRouteView, observed: ModelRouteObserved) -> _Done:
        """Decide, write it down, and bring the gateway to it."""
        world = self._world
        decision = world.mind.advance(route, observed, world.clock.now(), world.jitter())
        try:
            written = await self._write_status(obj, route.status, decision.status)
        except ClusterError as error:
            # What cannot be written must not keep models from being asked in time.
            raise UnfinishedError(error, _due(decision)) from error
        self._urgent = decision.status.switch is not None
        if decision.status != self._shown:
            world.telemetry.routes.seen(*self._key, decision.status)
            self._shown = decision.status
        route = replace(route, status=decision.status)
        beside = [asyncio.ensure_future(self._tell(route.uid, notice)) for notice in decision.notices]
        try:
            applied = await self._act(route, observed)
        except BaseException:
            await cancel(beside)
            raise
        # By what the gateway is told now, replicas may have to be asked.
        self._ask(route, replace(observed, kept=self._prober.kept))
        return _Done(route, observed, decision, written, applied, beside)

    async def _act(self, route: ModelRouteView, observed: ModelRouteObserved) -> Applied:
        """Make the gateway what was persisted says."""
        desired, out = self._render(route, observed), Applied()
        if self._in_place != (desired, self._versions(desired)):
            owner = observe.owner_of(route)
            await self._applier.bring(owner, desired.objects, out)
            self._applier.keep_only((o["kind"], o["metadata"]["name"]) for o in desired.objects)
            await self._applier.remove(owner, desired.delete, out)
            done = not out.errors and not self._applier.blockers
            self._in_place = (desired, self._versions(desired)) if done else None
        await self._poker.poke(route, desired, observed.pods, out)
        return out

    def _versions(self, desired: ModelRouteDesired) -> list[int | None]:
        """Versions of the objects as they are: while these stay the same, so does what is in them."""
        names = [(o["kind"], o["metadata"]["name"]) for o in desired.objects]
        names += [(child.kind, child.name) for child in desired.delete]
        return [self._world.store.version(kind, self._key[0], name) for kind, name in names]

    def _render(self, route: ModelRouteView, observed: ModelRouteObserved) -> ModelRouteDesired:
        """What the cluster should hold: by what was persisted, and never by evidence that is not in it."""
        seen = replace(observed, kept=_NOTHING)
        if self._rendered is None or self._rendered[:2] != (route, seen):
            self._rendered = (route, seen, self._world.mind.render(route, seen))
        return self._rendered[2]

    async def _finish(self, done: _Done) -> tuple[float | None, int]:
        """Wait for what goes on beside, and say when to look again."""
        try:
            await asyncio.gather(*done.beside)
        finally:
            await cancel(done.beside)
        decision, applied, observed, elsewhere = done.decision, done.applied, done.observed, self._world.elsewhere
        failure = worst(applied.errors)
        if failure is not None:
            raise UnfinishedError(failure, _due(decision))
        others: list[float | None] = []
        if elsewhere is not None:
            others.append(elsewhere.wait(done.route.namespace, observe.parents_of(done.route)))
        if not set(self._applier.blockers) <= set(observed.blockers):
            others.append(0.0)
        if self._applier.blockers:
            others.append(BLOCKED_SECONDS)
        writes = done.status_writes + applied.writes
        return self._waits.after(decision.next, bool(observed.blockers), writes, applied.writes, others), writes


def _due(decision: ModelRouteDecision) -> float | None:
    """Seconds until something wants to be looked at, whatever could not be written."""
    return decision.next.seconds if isinstance(decision.next, RequeueAfter) else None
