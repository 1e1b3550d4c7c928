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

from sophia_operator.api.managed_service import ManagedServiceStatus
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
from tests.support.rollout_model_world import APP, LONGEST_PASS_SECONDS, World

MIN_INTERVAL_SECONDS = 0.1


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
        self._dies_at: int | None = None
        self._dies_before: str | None = None
        self.passes = 0
        self._under_way: Iterator[str] | None = None
        self._began = self.world.now
        self._at = ""
        self._woken = True
        self._due = self.world.now
        self.writes = 0
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
                self._began = self.world.now
                self._woken = False
            step = next(self._under_way, None)
            if step is None:
                self._ended()
                return
            self._at = step

    def finish(self) -> None:
        """The pass under way, or a new one, to its end; unless the operator dies on the way."""
        self.go_on()
        while self._under_way is not None:
            if self._at == self._dies_before or (self._dies_at is not None and self.steps >= self._dies_at):
                self._dies_at = self._dies_before = None
                self.crash(0)
            else:
                self.go_on()

    def die_after(self, steps: int) -> None:
        """The operator dies once, after so many more steps of whatever passes there are."""
        self._dies_at = self.steps + steps

    def die_before(self, write: str) -> None:
        """The operator dies once, the next time that it is about to do that."""
        self._dies_before = write

    def crash(self, writes: int) -> None:
        """The operator dies after so many more steps of a pass, and comes back."""
        self.go_on(writes)
        if self._under_way is not None:
            self.seen[f"crash before: {self._at}"] += 1
            if self.is_mid_rollout():
                self.seen["crash in mid-rollout"] += 1
        self._under_way = None
        self.writes += self.operator.writes
        self.operator.restart()
        self._woken = True

    def _ended(self) -> None:
        self._under_way = None
        self.passes += 1
        self.writes += self.operator.writes
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

    def wait(self, seconds: float) -> None:
        """Time passes, and nobody does anything."""
        if self._under_way is not None:
            since = (self.world.now - self._began).total_seconds()
            seconds = min(seconds, max(0.0, LONGEST_PASS_SECONDS - since))
        self.world.tick(seconds)

    def wake(self) -> None:
        """The operator looks again."""
        self._woken = True

    def disturb(self) -> None:
        """Somebody other than the operator is about to change something."""
        self.world.changes += 1

    # -- what people do

    def wish_for(self, **changes: Any) -> None:
        """A user applies another spec."""
        self.wish = replace(self.wish, **changes)
        self.disturb()
        self.api.write(SERVICE, APP, spec_of(self.wish))

    def intend(self, name: str, intent: Intent) -> None:
        """A person sets the intent of a release."""
        found = self.api.get(RELEASE, name)
        if found is None:
            return
        self.disturb()
        if intent is Intent.ABORT and found.status is not None:
            stage = found.status.stage if found.status.state is ReleaseState.SHIFTING else None
            self.seen[f"abort in {found.status.state.value}{f' {stage.index}' if stage else ''}"] += 1
        if intent is Intent.RETRY and found.status is not None and found.status.state.is_latched:
            self.seen["retry of a latched release"] += 1
        self.api.write(RELEASE, name, found.body.model_copy(update={"intent": intent, "reason": "model"}))

    # -- what breaks

    def lose_status(self, *releases: str, service: bool = False) -> None:
        """Statuses are gone."""
        self.disturb()
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
        self.disturb()
        self.seen[f"{kind} deleted by hand"] += 1
        self.rules.meddled = True
        self.api.delete(kind, name)
        self.world.record()

    def edit_weights(self, blue: int) -> None:
        """Somebody edits the weights of the route."""
        found = self.api.get(ROUTE, APP)
        if found is None:
            return
        self.disturb()
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
        self.disturb()
        self.seen["selector edited by hand"] += 1
        self.rules.meddled = True
        self.rules.misdirected.add(service)
        self.rules.misled_at[release] = self.world.now
        body = json.loads(json.dumps(found.body))
        body["spec"]["selector"] = names.pod_selector(APP, release)
        self.api.write(K8S_SERVICE, service, body)
        self.world.record()

    def scale(self, release: str, replicas: int) -> None:
        """Somebody scales a Deployment."""
        found = self.api.get(DEPLOYMENT, release)
        if found is None:
            return
        self.disturb()
        self.seen["Deployment scaled by hand"] += 1
        self.api.write(DEPLOYMENT, release, {**found.body, "spec": {**found.body["spec"], "replicas": replicas}})

    def pods(self, release: str, ready: int) -> None:
        """Only so many pods of a release are ready, for now."""
        found = self.api.get(POD, release)
        if found is not None:
            self.disturb()
            self.api.write(POD, release, (found.body[0], min(found.body[0], ready)))

    def block(self, *blockers: Blocker) -> None:
        """Something in the cluster stands in the way, or no more."""
        self.disturb()
        self.world.faults.blockers = blockers
        self.wake()

    # -- looking

    def service_status(self) -> ManagedServiceStatus:
        """Status of the service."""
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
        conditions = [(c.type, c.status.value, c.reason, c.message) for c in self.service_status().conditions]
        parts = {n: self.status(n) for n in self.releases()}
        lines = [
            f"{n}: {s.state.value if s else None} {s.color if s else ''} {self.spec(n).intent.value} "
            f"{s.transitions[-1].message if s and s.transitions else ''}"
            for n, s in parts.items()
        ]
        end = f"shares {self.world.shares()}, next pass in {self.operator.next} s"
        return "\n".join([f"{self.wish}", f"{conditions}", *lines, end])
