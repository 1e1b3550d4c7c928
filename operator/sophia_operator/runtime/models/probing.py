"""Carries out the requests of one route beside its passes, and keeps what came of them.

A model that hangs for as long as its time limit allows holds up nothing but its own next probe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from sophia_operator.api.model_endpoint import Model
from sophia_operator.core.model.endpoints import base_url, probe_request
from sophia_operator.core.model.evidence import remember
from sophia_operator.core.model.findings import (
    ModelFailure,
    ModelFault,
    ModelFinding,
    ModelNeeds,
    PassiveFinding,
    PassiveTally,
    QualityFinding,
    ReplicaFinding,
    ReplicaRequest,
)
from sophia_operator.core.model.views import ModelAccess, ModelKept, ModelRouteObserved, ModelRouteView
from sophia_operator.ports import Clock, Models
from sophia_operator.runtime.models.fence import DeposedError
from sophia_operator.runtime.models.slots import ProbeSlots, Rank

logger = logging.getLogger(__name__)

#: A request that gives no finding, through no fault of the model, is made again so much later.
PAUSE_SECONDS: Final = 5.0
#: A clock that is corrected by less than that was not set back.
_BACK: Final = timedelta(seconds=1)
#: What a request may take longer than its own time limit before it is given up.
_GRACE_SECONDS: Final = 5.0


class Figures(Protocol):
    """What Prometheus knows of a route's models."""

    async def passive(self, route: ModelRouteView) -> Mapping[str, PassiveTally] | str:
        """Tallies of users' requests by the name of the model, or why there are none."""

    async def quality(self, route: ModelRouteView, model: str) -> float | str:
        """How good a model is, from 0 to 1, or why that is not known."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A request that is under way."""

    since: datetime
    task: asyncio.Task[None]


class ModelProber:
    """Asks, at most once at a time of each kind and model, and remembers. A restart of the operator forgets it all.

    `done` is told of each result: it is to wake the loop. `probed` is told of each probe.
    """

    def __init__(
        self,
        models: Models,
        figures: Figures,
        clock: Clock,
        slots: ProbeSlots,
        *,
        done: Callable[[], None],
        probed: Callable[[str, ModelFinding], None] = lambda _, __: None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._models = models
        self._figures = figures
        self._clock = clock
        self._slots = slots
        self._done = done
        self._probed = probed
        self._pause = pause
        self._kept = ModelKept()
        self._running: dict[str, _Run] = {}
        #: Cut off, and not at their end yet.
        self._leaving: set[asyncio.Task[None]] = set()
        #: Models of the spec, and what the evidence is about.
        self._names: frozenset[str] = frozenset()
        self._places: dict[str, object] = {}
        self._access: dict[str, ModelAccess] = {}
        #: When a model was last seen to be another one: what was counted before says nothing of it.
        self._moved_at: dict[str, datetime] = {}
        #: The time of the last pass.
        self._looked_at = clock.now()

    @property
    def kept(self) -> ModelKept:
        """What was found so far, and what is under way."""
        return replace(self._kept, under_way={key: run.since for key, run in self._running.items()})

    def about(self, route: ModelRouteView, access: Mapping[str, ModelAccess]) -> None:
        """Forget what speaks of models that left, of other endpoints, other queries, or another gateway; and end what
        is asked of them, or with keys that are not used any more."""
        now, models = self._clock.now(), {m.name: m for m in route.spec.models}
        self._keep_to_the_clock(now)
        for name in self._names - models.keys():
            self._forget_model(name)
            for key in (f"model/{name}", f"quality/{name}"):
                self._places.pop(key, None)
        if self._names:
            # One of that name may have been in the spec before, and have been another one.
            self._moved_at |= dict.fromkeys(models.keys() - self._names, now)
        self._names = frozenset(models)
        for name, model in models.items():
            moved = self._is_other(f"model/{name}", (base_url(route.namespace, model), model.model))
            if moved:
                self._forget_model(name)
                self._moved_at[name] = now
            self._note_access(name, access.get(name), now, told=not moved)
            if self._is_other(f"quality/{name}", (model.quality_query, route.spec.metrics.prometheus)):
                self._forget_quality(name)
        metrics = route.spec.metrics
        if self._is_other("passive", (metrics.preset, metrics.queries, metrics.prometheus)):
            self._cut_off("passive")
            self._kept = replace(self._kept, passive=None)
        if self._is_other("replicas", route.spec.gateway):
            self._cut_off("replicas")
            self._kept = replace(self._kept, replicas={}, asked_at=None, asking_failed=None)
        self._let_go_of_old(now, float(route.spec.switch.window_seconds))

    def begin(
        self,
        route: ModelRouteView,
        observed: ModelRouteObserved,
        needs: ModelNeeds,
        replicas: Callable[[ModelRouteView, ModelRouteObserved], ReplicaRequest | None],
    ) -> bool:
        """Begin what is due and not under way; returns whether there was any."""
        before = len(self._running)
        models = {m.name: m for m in route.spec.models}
        for name in needs.probes:
            access = observed.access.get(name)
            if name in models and access is not None:
                self._start(f"probe/{name}", partial(self._probe, route, models[name], access))
        if needs.passive:
            self._start("passive", partial(self._passive, route))
        for name in needs.qualities:
            self._start(f"quality/{name}", partial(self._quality, route, name))
        request_to_replicas = replicas(route, observed) if needs.replicas else None
        if request_to_replicas is not None:
            self._start("replicas", partial(self._replicas, request_to_replicas))
        return len(self._running) > before

    async def close(self) -> None:
        """End all that is under way."""
        for key in list(self._running):
            self._cut_off(key)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    # What is kept

    def _keep_to_the_clock(self, now: datetime) -> None:
        """Forget all when the clock was set back, as a restart does: what was found at times that are yet to come would
        keep everybody from being asked until then."""
        if now < self._looked_at - _BACK:
            for key in list(self._running):
                self._cut_off(key)
            self._kept, self._moved_at = ModelKept(), {}
        self._looked_at = now

    def _is_other(self, key: str, place: object) -> bool:
        """Whether that is about something else than before."""
        before = self._places.get(key)
        self._places[key] = place
        return before is not None and before != place

    def _note_access(self, name: str, access: ModelAccess | None, now: datetime, *, told: bool) -> None:
        before = self._access.get(name)
        if access == before:
            return
        if before is not None:
            # With a key that is not used any more nothing is to be found.
            self._cut_off(f"probe/{name}")
        if access is None:
            return  # the key that comes next is compared with the last one that was there
        self._access[name] = access
        if before is not None and told:
            self._kept = replace(self._kept, access_changed_at={**self._kept.access_changed_at, name: now})

    def _forget_model(self, name: str) -> None:
        self._cut_off(f"probe/{name}")
        self._forget_quality(name)
        kept = self._kept
        passive = kept.passive
        if passive is not None and not isinstance(passive.answer, str):
            passive = replace(passive, answer=_without(passive.answer, name))
        self._kept = replace(
            kept,
            probes=_without(kept.probes, name),
            access_changed_at=_without(kept.access_changed_at, name),
            passive=passive,
        )
        self._access.pop(name, None)
        self._moved_at.pop(name, None)

    def _forget_quality(self, name: str) -> None:
        self._cut_off(f"quality/{name}")
        self._kept = replace(self._kept, qualities=_without(self._kept.qualities, name))

    def _let_go_of_old(self, now: datetime, window: float) -> None:
        oldest = now - timedelta(seconds=window)
        if any(found[0].at < oldest for found in self._kept.probes.values() if len(found) > 1):
            probes = {name: remember(found, now, window) for name, found in self._kept.probes.items()}
            self._kept = replace(self._kept, probes=probes)
        gone = [name for name, moved in self._moved_at.items() if moved < oldest]
        for name in gone:
            del self._moved_at[name]

    # What is asked

    def _rank(self, route: ModelRouteView, model: Model) -> Rank:
        if model.name != route.status.active:
            return Rank.STANDS_BY
        found = self._kept.probes.get(model.name, ())
        fails = bool(found) and isinstance(found[-1].answer, ModelFailure)
        return Rank.SERVES_AND_FAILS if fails else Rank.SERVES

    async def _probe(self, route: ModelRouteView, model: Model, access: ModelAccess) -> None:
        request = probe_request(route, model, access)
        async with self._slots.taken(self._rank(route, model), route.namespace):
            try:
                async with asyncio.timeout(request.timeout_seconds + _GRACE_SECONDS):
                    found = await self._models.probe(request)
            except TimeoutError:
                failure = ModelFailure(ModelFault.TIMEOUT, f"no answer within {request.timeout_seconds:g} s")
                found = ModelFinding(self._clock.now(), failure)
        rows = (*self._kept.probes.get(model.name, ()), found)
        rows = remember(rows, self._clock.now(), float(route.spec.switch.window_seconds))
        self._kept = replace(self._kept, probes={**self._kept.probes, model.name: rows})
        self._probed(model.name, found)

    async def _passive(self, route: ModelRouteView) -> None:
        answer = await self._figures.passive(route)
        at = self._clock.now()
        if not isinstance(answer, str):
            # Counts go back over the window, to when a model of that name was another one.
            answer = {name: tally for name, tally in answer.items() if name not in self._moved_at}
        self._kept = replace(self._kept, passive=PassiveFinding(at, answer))

    async def _quality(self, route: ModelRouteView, name: str) -> None:
        answer = await self._figures.quality(route, name)
        found = QualityFinding(self._clock.now(), answer)
        self._kept = replace(self._kept, qualities={**self._kept.qualities, name: found})

    async def _replicas(self, request: ReplicaRequest) -> None:
        asked_at = self._clock.now()
        answer: tuple[ReplicaFinding, ...] | str
        try:
            async with asyncio.timeout(request.timeout_seconds + _GRACE_SECONDS):
                answer = await self._models.replicas(request)
        except TimeoutError:
            answer = f"no answer within {request.timeout_seconds:g} s"
        failed = answer if isinstance(answer, str) else None
        found = {} if isinstance(answer, str) else {r.name: r for r in answer}
        self._kept = replace(self._kept, replicas=found, asked_at=asked_at, asking_failed=failed)

    # How it is run

    def _start(self, key: str, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if key not in self._running:
            task = asyncio.create_task(self._run(key, ask), name=f"model request {key}")
            self._running[key] = _Run(self._clock.now(), task)

    async def _run(self, key: str, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await ask()
        except DeposedError:
            await self._pause(PAUSE_SECONDS)
        except Exception:
            # A fault of the operator's own is none of the model's: it gives no finding.
            logger.exception("a request failed in the operator itself; again in %.0f s", PAUSE_SECONDS)
            await self._pause(PAUSE_SECONDS)
        run = self._running.get(key)
        if run is not None and run.task is asyncio.current_task():
            del self._running[key]
            self._done()

    def _cut_off(self, key: str) -> None:
        run = self._running.pop(key, None)
        if run is not None:
            run.task.cancel()
            self._leaving.add(run.task)
            run.task.add_done_callback(self._leaving.discard)


def _without(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != name}
