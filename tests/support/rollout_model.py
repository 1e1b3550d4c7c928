"""A service, its world and its operator together, with what can happen to them as methods.

The state machine in tests/model draws from these; the mutants' scripts call them directly.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sophia_operator.api.conditions import PAUSES, ConditionType, Reason, find, is_true
from sophia_operator.api.managed_service import ManagedServiceSpec, ManagedServiceStatus
from sophia_operator.api.release import Color, Intent, ReleaseSpec, ReleaseState, ReleaseStatus
from sophia_operator.core import names
from sophia_operator.core.views import Blocker
from sophia_operator.runtime.world import Mind
from tests.support.rollout_model_api import (
    CONFIG_MAP,
    DEPLOYMENT,
    K8S_SERVICE,
    KINDS,
    POD,
    RELEASE,
    ROUTE,
    SERVICE,
)
from tests.support.rollout_model_judge import Rules
from tests.support.rollout_model_operator import Operator
from tests.support.rollout_model_specs import Wish, spec_of
from tests.support.rollout_model_world import APP, Faults, World

MIN_INTERVAL_SECONDS = 0.1
_STUCK_FOR_A_REASON = frozenset({Reason.RELEASE_LATCHED, Reason.CONFIG_NOT_FOUND})


class Model:
    """One world. `seen` collects what was reached in it."""

    def __init__(self, wish: Wish, mind: Mind | None = None) -> None:
        self.wish = wish
        self.world = World(gateway=wish.gateway)
        self.api = self.world.api
        self.rules = Rules(self.world)
        self.operator = Operator(self.world, self.rules, mind or Mind())
        self.seen: Counter[str] = Counter()
        self.steps = 0
        self.passes = 0
        self._under_way: Iterator[str] | None = None
        self._at = ""
        self._woken = True
        self._due = self.world.now
        self._writes = 0
        self.api.write(CONFIG_MAP, "settings", "one")
        self.api.write(SERVICE, APP, spec_of(wish))
        for kind in KINDS:
            self.api.deliver(kind)

    @property
    def failed(self) -> bool:
        """Whether a rule was broken in this world."""
        return self.rules.broken

    # -- the operator

    def go_on(self, writes: int = 1) -> None:
        """The operator starts a pass, or goes on with the one under way, by so many steps."""
        for _ in range(writes):
            self.steps += 1
            if self._under_way is None:
                self._under_way = self.operator.steps()
                self._woken = False
            step = next(self._under_way, None)
            if step is None:
                self._ended()
                return
            self._at = step

    def finish(self) -> None:
        """The pass under way, or a new one, to its end."""
        self.go_on()
        while self._under_way is not None:
            self.go_on()

    def crash(self, writes: int) -> None:
        """The operator dies after so many more steps of a pass, and comes back."""
        self.go_on(writes)
        if self._under_way is not None:
            self.seen[f"crash before: {self._at}"] += 1
            if self.is_mid_rollout():
                self.seen["crash in mid-rollout"] += 1
        self._under_way = None
        self._writes += self.operator.writes
        self.operator.restart()
        self._woken = True

    def _ended(self) -> None:
        self._under_way = None
        self.passes += 1
        self._writes += self.operator.writes
        wait = self.operator.next
        self._due = self.world.now + (timedelta(days=1) if wait is None else timedelta(seconds=wait))
        self._note_parts()

    def run(self, seconds: float, *, until_quiet: bool = False) -> bool:
        """Time passes and everybody works; the operator looks only when told to, or when it asked to. Whether all
        is quiet in the end."""
        world, end, passes = self.world, self.world.now + timedelta(seconds=seconds), 0
        while world.now < end:
            if self._under_way is not None or self._woken or world.now >= self._due:
                self.finish()
                passes += 1
                if passes > 400 + 4 * seconds:
                    raise self.rules.broke("I9", f"{passes} passes in {seconds} s")
            before = self.api.versions
            world.step_all()
            for kind in KINDS:
                if kind not in world.faults.watches_stuck and self.api.deliver(kind):
                    self._woken = True
            moving = self._woken or self.api.versions != before
            lagging = world.faults.gateway_early and not world.is_settled()
            if until_quiet and not moving and not lagging and (self._due - world.now).total_seconds() > 3600:
                return True
            ahead = (min(end, self._due) - world.now).total_seconds()
            step = MIN_INTERVAL_SECONDS if moving else min(ahead, 0.5) if lagging else ahead
            world.tick(max(step, MIN_INTERVAL_SECONDS))
        return False

    # -- what people do

    def wish_for(self, **changes: Any) -> None:
        """A user applies another spec."""
        self.wish = replace(self.wish, **changes)
        self._others()
        self.api.write(SERVICE, APP, spec_of(self.wish))

    def intend(self, name: str, intent: Intent) -> None:
        """A person sets the intent of a release."""
        found = self.api.get(RELEASE, name)
        if found is None:
            return
        self._others()
        if intent is Intent.ABORT and found.status is not None:
            stage = found.status.stage if found.status.state is ReleaseState.SHIFTING else None
            self.seen[f"abort in {found.status.state.value}{f' {stage.index}' if stage else ''}"] += 1
        if intent is Intent.RETRY and found.status is not None and found.status.state.is_latched:
            self.seen["retry of a latched release"] += 1
        self.api.write(RELEASE, name, found.body.model_copy(update={"intent": intent, "reason": "model"}))

    # -- what breaks

    def lose_status(self, *releases: str, service: bool = False) -> None:
        """Statuses are gone."""
        self._others()
        for name in releases:
            if self.api.get(RELEASE, name) is not None:
                self.api.write_status(RELEASE, name, None)
                self.rules.forgotten.add(name)
                self.seen["status of a release lost"] += 1
                if self.is_mid_rollout():
                    self.seen["status of a release lost in mid-rollout"] += 1
        if service:
            self.api.write_status(SERVICE, APP, None)

    def delete_child(self, kind: str, name: str) -> None:
        """Somebody deletes a child."""
        if self.api.get(kind, name) is None:
            return
        self._others()
        self.seen[f"{kind} deleted by hand"] += 1
        self.rules.meddled = True
        self.api.delete(kind, name)
        self.world.record()

    def edit_weights(self, blue: int) -> None:
        """Somebody edits the weights of the route."""
        found = self.api.get(ROUTE, APP)
        if found is None:
            return
        self._others()
        self.seen["weights edited by hand"] += 1
        self.rules.meddled = True
        body = json.loads(json.dumps(found.body))
        for rule in body["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                if backend["name"].removesuffix("-check") == names.color_service(APP, Color.BLUE):
                    backend["weight"] = blue
                elif backend["name"].removesuffix("-check") == names.color_service(APP, Color.GREEN):
                    backend["weight"] = 100 - blue
        self.api.write(ROUTE, APP, body)

    def edit_selector(self, service: str, release: str) -> None:
        """Somebody points a Service elsewhere."""
        found = self.api.get(K8S_SERVICE, service)
        if found is None:
            return
        self._others()
        self.seen["selector edited by hand"] += 1
        self.rules.meddled = True
        self.rules.misdirected.add(service)
        body = json.loads(json.dumps(found.body))
        body["spec"]["selector"] = names.pod_selector(APP, release)
        self.api.write(K8S_SERVICE, service, body)
        self.world.record()

    def scale(self, release: str, replicas: int) -> None:
        """Somebody scales a Deployment."""
        found = self.api.get(DEPLOYMENT, release)
        if found is None:
            return
        self._others()
        self.seen["Deployment scaled by hand"] += 1
        self.api.write(DEPLOYMENT, release, {**found.body, "spec": {**found.body["spec"], "replicas": replicas}})

    def pods(self, release: str, ready: int) -> None:
        """Only so many pods of a release are ready, for now."""
        found = self.api.get(POD, release)
        if found is not None:
            self._others()
            self.api.write(POD, release, (found.body[0], min(found.body[0], ready)))

    def block(self, *blockers: Blocker) -> None:
        """Something in the cluster stands in the way, or no more."""
        self._others()
        self.world.faults.blockers = blockers
        self._woken = True

    def _others(self) -> None:
        self.world.changes += 1

    # -- the end

    def settle(self) -> None:
        """Faults stop: the service must come to rest for a reason that it gives, and, once nobody holds it, at what
        the spec asks for."""
        self._heal()
        self._rest()
        if not self._is_done() and not self._has_reason():
            raise self.rules.broke("I9", f"at rest without a reason: {self.describe()}")
        for _ in range(3):
            if self._is_done():
                break
            self._release_holds()
            self._rest()
        if not self._is_done():
            raise self.rules.broke("I9", f"not where the spec wants it: {self.describe()}")

    def _heal(self) -> None:
        self._others()
        self.world.faults = Faults()
        self.operator.refuse = None
        self._woken = True

    def _rest(self) -> None:
        if not self.run(900, until_quiet=True):
            # Gates are looked at while a rollout is paused, and configuration that is gone is looked for; everything
            # else must rest.
            if not self._is_watching():
                raise self.rules.broke("I9", f"not at rest after 900 s: {self.describe()}")
            before = {key: stored for key, stored in self.api.truth.items() if key[0] not in (SERVICE, RELEASE)}
            self.run(100)
            if any(self.api.truth.get(key) is not stored for key, stored in before.items()) or not self._is_watching():
                raise self.rules.broke("I9", f"children change while paused: {self.describe()}")
            return
        self.rules.meddled = False
        writes = self._writes
        for _ in range(3):
            self.world.tick(7000)
            self.finish()
        if self._writes != writes:
            raise self.rules.broke("I9", f"{self._writes - writes} writes at rest: {self.describe()}")

    def _release_holds(self) -> None:
        if self.api.get(CONFIG_MAP, "settings") is None:
            self.api.write(CONFIG_MAP, "settings", "one")
        self.wish_for(paused=False)
        for name in self.api.names(RELEASE):
            status = self.status(name)
            intent = Intent.PROCEED
            if status is not None and status.state.is_latched:
                intent = Intent.RETRY
            elif status is not None and status.pause is not None:
                intent = Intent.PROMOTE  # evidence may be wanted that will never come, as of a time without requests
            self.intend(name, intent)
        self._woken = True

    def _is_done(self) -> bool:
        stable, status = self.rules.stable(), self._service_status()
        if stable is None or not is_true(status.conditions, ConditionType.READY):
            return False
        template = self.spec(stable).snapshot.template
        found = self.api.get(SERVICE, APP)
        assert found is not None
        spec: ManagedServiceSpec = found.body
        deployment = self.api.get(DEPLOYMENT, stable)
        sized = deployment is not None and deployment.body["spec"]["replicas"] == spec.replicas
        served = self.world.shares() == {stable: 1.0}
        return template == spec.template and sized and served and self.rules.active() is None

    def _has_reason(self) -> bool:
        conditions = self._service_status().conditions
        stalled = find(conditions, ConditionType.STALLED)
        if stalled is not None:
            return bool(stalled.message) and Reason(stalled.reason) in _STUCK_FOR_A_REASON
        return self._is_paused()

    def _is_watching(self) -> bool:
        """Whether there is a known reason for passes that change nothing but statuses."""
        stalled = find(self._service_status().conditions, ConditionType.STALLED)
        lacks_config = stalled is not None and stalled.reason == Reason.CONFIG_NOT_FOUND.value
        return (lacks_config and self.operator.failures > 0) or self._is_held()

    def _is_held(self) -> bool:
        """Whether somebody, or a limit, holds the rollout under way."""
        active = self.rules.active()
        status = self.status(active) if active is not None else None
        if active is None or status is None:
            return False
        return self.wish.paused or self.spec(active).intent is Intent.PAUSE or status.pause is not None

    def _is_paused(self) -> bool:
        paused = find(self._service_status().conditions, ConditionType.PAUSED)
        return paused is not None and Reason(paused.reason) in PAUSES

    # -- looking

    def _service_status(self) -> ManagedServiceStatus:
        found = self.api.get(SERVICE, APP)
        return found.status if found is not None and found.status is not None else ManagedServiceStatus()

    def status(self, name: str) -> ReleaseStatus | None:
        """Status of a release."""
        found = self.api.get(RELEASE, name)
        status: ReleaseStatus | None = found.status if found is not None else None
        return status

    def spec(self, name: str) -> ReleaseSpec:
        """Spec of a release."""
        found = self.api.get(RELEASE, name)
        assert found is not None
        spec: ReleaseSpec = found.body
        return spec

    def releases(self) -> list[str]:
        """Names of the releases, oldest first."""
        return sorted(self.api.names(RELEASE), key=lambda n: self.spec(n).revision)

    def is_mid_rollout(self) -> bool:
        """Whether the data plane splits the traffic."""
        return len([s for s in self.world.shares().values() if s > 0]) > 1

    def _note_parts(self) -> None:
        if self.is_mid_rollout():
            self.seen["mid-rollout"] += 1
        for name in self.releases():
            status = self.status(name)
            if status is None:
                continue
            self.seen[f"state {status.state.value}"] += 1
            if status.state is ReleaseState.SHIFTING and status.stage is not None:
                observed = "observed" if status.stage.effective_at else "written"
                self.seen[f"stage {status.stage.index} {observed}"] += 1
            if status.pause is not None:
                self.seen[f"paused: {status.pause.reason}"] += 1
            for transition in status.transitions[-1:]:
                self.seen[f"reason {transition.reason}"] += 1

    def describe(self) -> str:
        """The state of things, for a failed test."""
        conditions = [(c.type, c.status.value, c.reason, c.message) for c in self._service_status().conditions]
        parts = {n: self.status(n) for n in self.releases()}
        lines = [
            f"{n}: {s.state.value if s else None} {s.color if s else ''} {self.spec(n).intent.value} "
            f"{s.transitions[-1].message if s and s.transitions else ''}"
            for n, s in parts.items()
        ]
        end = f"shares {self.world.shares()}, next pass in {self.operator.next} s"
        return "\n".join([f"{self.wish}", f"{conditions}", *lines, end])
