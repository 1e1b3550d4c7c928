"""The loop of one ManagedService: observe, decide, persist, render, apply, wait. See docs/design/loop.md."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from sophia_operator.api.common import API_VERSION
from sophia_operator.api.conditions import Reason
from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.core import roles
from sophia_operator.core.decision import Decision, NewRelease, Notice
from sophia_operator.core.views import Blocker, Observed, ServiceView
from sophia_operator.ports import ClusterError, Object, ObjectRef, Refusal
from sophia_operator.runtime import asking, invalid, observe
from sophia_operator.runtime.apply import worst
from sophia_operator.runtime.apply_service import ServiceApplier
from sophia_operator.runtime.chains import ChainPoker
from sophia_operator.runtime.passes import Gone, Passes
from sophia_operator.runtime.persist import Persistence
from sophia_operator.runtime.prune import beyond_history
from sophia_operator.runtime.route_check import RouteCheck
from sophia_operator.runtime.template_check import TemplateCheck
from sophia_operator.runtime.waits import BLOCKED_SECONDS, UnfinishedError, due
from sophia_operator.runtime.wakeups import Key
from sophia_operator.runtime.world import World


class ServiceLoop(Passes):
    """Runs passes over one service until it is gone."""

    kind = "ManagedService"

    def __init__(self, service: Key, world: World) -> None:
        super().__init__(service, world)
        self._world = world
        self._applier = ServiceApplier(world.cluster, world.store)
        self._chains = ChainPoker(world.cluster, world.store)
        self._persistence = Persistence(world.cluster, world.store, world.telemetry)
        self._template = TemplateCheck(world.cluster)
        self._route = RouteCheck(world.cluster)
        #: Why a Release could not be made, and until when that is taken to be so.
        self._refused: tuple[Blocker, datetime] | None = None
        #: Why the service's spec cannot be read.
        self._unreadable: Blocker | None = None
        #: Whether telemetry was told of the rollout that was found at the start.
        self._told = False

    def _begin(self) -> None:
        self._world.telemetry.service_started()

    async def _end(self) -> None:
        self._template.forget()
        self._route.forget()
        self._world.telemetry.forget(*self._key)

    async def _pass(self) -> tuple[float | None, int]:
        world = self._world
        async with self._turn():
            obj = self._object()
            service = self._read(obj)
            if service is None:
                return None, await self._say_unreadable(obj)
            seen = service
            service, observed = await self._observe(service)
            needs = world.mind.needs(service, observed, world.clock.now())
            if not needs:
                return await self._decide(obj, service, observed)
        findings = await asking.ask(
            needs,
            service.namespace,
            world.metrics,
            world.requests,
            wake=self._wake,
            outdated=lambda: self._steered(seen, observed),
        )
        if findings is None or self._steered(service, observed):
            return 0.0, 0
        async with self._turn():
            # Answers take time, and the world went on: what is decided on is what is there now.
            obj = self._object()
            service = self._read(obj)
            assert service is not None  # its generation is the same
            service, observed = await self._observe(service)
            return await self._decide(obj, service, replace(observed, findings=findings))

    async def _decide(self, obj: Object, service: ServiceView, observed: Observed) -> tuple[float | None, int]:
        decision = self._world.mind.advance(service, observed, self._world.clock.now())
        return await self._carry_out(obj, service, observed, decision)

    def _object(self) -> Object:
        obj = self._world.store.get("ManagedService", *self._key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            raise Gone
        return obj

    def _read(self, obj: Object) -> ServiceView | None:
        """The service; None when its spec cannot be read. `_unreadable` says what is wrong with it then."""
        self._unreadable = None
        try:
            return observe.service_view(obj)
        except ValidationError as error:
            self._unreadable = invalid.blocker(error)
            readable = invalid.readable(obj, self._world.store.children("Release", *self._key))
            return observe.service_view(readable) if readable is not None else None

    async def _say_unreadable(self, obj: Object) -> int:
        assert self._unreadable is not None
        status = invalid.status_of(obj, self._unreadable, self._world.clock.now())
        return await self._persistence.service(obj, observe.service_status(obj), status)

    async def _observe(self, service: ServiceView) -> tuple[ServiceView, Observed]:
        """What is seen, and the service as it can be carried out."""
        now = self._world.clock.now()
        if self._refused is not None and self._refused[1] <= now:
            self._refused = None
        unread = await self._look_elsewhere(service)
        refused = self._refused[0] if self._refused is not None else None
        route = await self._route.blocker(service, observe.live_route(self._world.store, service), now)
        known = (self._unreadable, *self._applier.blockers, refused, route, unread)
        blockers = [blocker for blocker in known if blocker is not None]
        sight = observe.observe(self._world.store, service, blockers)
        self._world.wakeups.depend(self._key, sight.depends_on)
        self._urgent = any(r.status.state.is_active for r in sight.observed.releases)
        self._tell_telemetry(sight.observed)
        if sight.service is not service:
            await self._look_elsewhere(sight.service)
        refusal = await self._template.refusal(service, sight.observed, now)
        return sight.service, replace(sight.observed, template_refused=refusal)

    async def _look_elsewhere(self, service: ServiceView) -> Blocker | None:
        elsewhere, traffic = self._world.elsewhere, service.spec.traffic.gateway
        if elsewhere is None or traffic is None:
            return None
        return await elsewhere.look(service.namespace, traffic.parent_refs)

    def _tell_telemetry(self, observed: Observed) -> None:
        """A rollout that stands still is not written, and would have no metrics after a restart."""
        if not self._told:
            for release in observed.releases:
                self._world.telemetry.rollout_seen(*self._key, release.status)
            self._told = True

    def _steered(self, service: ServiceView, observed: Observed) -> bool:
        """Whether somebody changed the spec of the service or of a Release since it was observed."""
        store, namespace = self._world.store, service.namespace
        if store.generation("ManagedService", namespace, service.name) != service.generation:
            return True
        return any(store.generation("Release", namespace, r.name) != r.generation for r in observed.releases)

    async def _carry_out(
        self, obj: Object, service: ServiceView, observed: Observed, decision: Decision
    ) -> tuple[float | None, int]:
        world, errors, before = self._world, list[ClusterError](), observed
        observed, writes = await self._persistence.releases(
            service, observed, decision.release_statuses, world.clock.now()
        )
        status: ManagedServiceStatus | None = decision.service_status
        if decision.create is not None:
            known = self._refused
            if await self._create(service, decision.create, errors):
                writes += 1
            else:
                # No revision is used up by a Release that was not made. What is said about it is right only
                # once it says why.
                last = {"last_revision": service.status.last_revision}
                status = decision.service_status.model_copy(update=last) if known is not None else None
        if status is not None:
            try:
                writes += await self._persistence.service(obj, service.status, status)
            except ClusterError as error:
                # Only a projection: what the releases' statuses say is acted on all the same.
                errors.append(error)
        telling = [asyncio.ensure_future(self._tell(service, observed, n)) for n in decision.notices]
        known_blockers = self._applier.blockers
        try:
            applied = await self._act(service, observed, errors)
        finally:
            # Events are told beside the work, so that they do not hold up a rollback.
            if telling:
                await asyncio.wait(telling)
        failure = worst(errors)
        if failure is not None:
            raise UnfinishedError(failure, due(decision, before, observed))
        others = self._questions(service)
        if known_blockers != self._applier.blockers:
            others.append(0.0)
        return self._waits.after(
            decision.next, bool(observed.blockers), writes + applied, applied, others
        ), writes + applied

    def _questions(self, service: ServiceView) -> list[float | None]:
        """Seconds until each of what the API server is asked about is due."""
        now, elsewhere = self._world.clock.now(), self._world.elsewhere
        traffic = service.spec.traffic.gateway
        parents = traffic.parent_refs if traffic is not None else []
        gateways = elsewhere.wait(service.namespace, parents) if elsewhere is not None else None
        return [self._template.wait(now), self._route.wait(now), gateways]

    async def _act(self, service: ServiceView, observed: Observed, errors: list[ClusterError]) -> int:
        """Make the cluster what was persisted says. Returns the number of writes; failures are added to `errors`."""
        mind, now = self._world.mind, self._world.clock.now()
        placement = mind.placement(service, observed, now)
        desired = mind.render(service, observed, placement, self._applier.existing(service, observed))
        applied = await self._applier.bring(service, observed, desired)
        errors += applied.errors
        applied.writes += await self._chains.poke(service, desired)
        if errors:
            return applied.writes
        surplus = beyond_history(observed, roles.select(service, observed, now), placement, service.spec.history_limit)
        for release in surplus:
            await self._persistence.delete_release(service, release)
        return applied.writes + len(surplus)

    async def _create(self, service: ServiceView, new: NewRelease, errors: list[ClusterError]) -> bool:
        self._refused = None
        try:
            await self._persistence.create(service, new)
        except ClusterError as error:
            errors.append(error)
            if error.refusal is Refusal.ALREADY_EXISTS:
                message = f"Release {new.name} exists and is not this service's: remove it"
                self._refuse(Reason.NOT_OWNED, message)
            elif error.refusal in (Refusal.INVALID, Refusal.FORBIDDEN):
                self._refuse(Reason.API_ERROR, f"the API server refuses Release {new.name}: {error.message}")
            return False
        return True

    def _refuse(self, reason: Reason, message: str) -> None:
        until = self._world.clock.now() + timedelta(seconds=BLOCKED_SECONDS)
        self._refused = (Blocker(reason, message[:4096]), until)

    async def _tell(self, service: ServiceView, observed: Observed, notice: Notice) -> None:
        uid = next((r.uid for r in observed.releases if r.name == notice.release), None)
        if notice.release is not None and uid is not None:
            about = ObjectRef(API_VERSION, "Release", service.namespace, notice.release, uid)
        else:
            about = ObjectRef(API_VERSION, "ManagedService", service.namespace, service.name, service.uid)
        await self._world.cluster.emit(about, notice)
