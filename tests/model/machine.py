"""The state machine: what can happen to a service, in any order. See docs/design/model-test.md."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Final

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import Color, Intent, ReleaseState
from sophia_operator.core import names
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Refusal
from sophia_operator.runtime.world import Mind
from tests.support.rollout_model import Model
from tests.support.rollout_model_api import CONFIG_MAP, DEPLOYMENT, K8S_SERVICE, KINDS, ROUTE
from tests.support.rollout_model_rest import settle
from tests.support.rollout_model_specs import IMAGES, Wish
from tests.support.rollout_model_world import APP, RECOVERY

EXAMPLES: Final = int(os.environ.get("MODEL_EXAMPLES", "1000"))
STEPS: Final = int(os.environ.get("MODEL_STEPS", "40"))

#: In how many examples each thing was reached, and how many examples and steps there were.
REACHED: Final[Counter[str]] = Counter()

#: Seeds are not written down by a run in continuous integration, and time is judged by the whole run, not by steps.
PROFILE: Final = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

_SERVICES: Final = [names.color_service(APP, c) for c in Color] + [names.check_service(APP, c) for c in Color]
_CHILDREN: Final = [(ROUTE, APP), *[(K8S_SERVICE, s) for s in (*_SERVICES, APP)]]
_REASONS: Final = (Reason.GATEWAY_NOT_FOUND, Reason.HOSTNAME_TAKEN, Reason.NOT_OWNED, Reason.API_ERROR)

#: What the operator may be about to do as it dies.
_WRITES: Final = (
    "apply HTTPRoute", "apply Service", "apply Deployment", "status of a Release", "create Release", "ask",
    "status of the service", "apply ConfigMap", "delete Deployment", "delete Release",
)  # fmt: skip

_ON_THE_WAY: Final = ("stage 0", "stage 1", "tested")
_STARTS: Final = ("stage 0", "stage 1", "stage 0", "stage 1", "settled", "kept", "new", "tested")

_wishes = st.builds(
    Wish,
    replicas=st.sampled_from([2, 1, 3]),
    stages=st.sampled_from([0, 1, 1, 2]),
    gates=st.sampled_from([1, 2, 3, 0]),
    smoke=st.sampled_from([0, 1, 2]),
    keep_seconds=st.sampled_from([15, 0, 60]),
    abort_keep_seconds=st.sampled_from([5, 0]),
    drain_seconds=st.sampled_from([6, 0]),
    pause_on_failure=st.booleans(),
    max_unavailable=st.sampled_from([0, 1]),
    config=st.booleans(),
    gateway=st.sampled_from([True, True, True, False]),
)


def _fail(model: Model) -> None:
    model.world.faults.failing.add(model.world.image(model.releases()[-1]))


def _fail_for_a_while(model: Model) -> None:
    _fail(model)
    model.run(15)


def _note(model: Model, what: str) -> None:
    """Count what comes upon it, and where."""
    model.seen[f"{what}{' in mid-rollout' if model.is_mid_rollout() else ''}"] += 1


def _recover(model: Model, what: str) -> None:
    _note(model, f"recovery: {what}")
    model.world.faults.recovery = RECOVERY[what]
    model.wake()


def _set_metrics(model: Model, metrics: str) -> None:
    _note(model, f"metrics {metrics}")
    model.world.faults.metrics = metrics


#: What comes upon a rollout that got to a certain place.
_THEN: Final[dict[str, Callable[[Model], None]]] = {
    "nothing": lambda _: None,
    "abort": lambda model: model.intend(model.releases()[-1], Intent.ABORT),
    "pause": lambda model: model.intend(model.releases()[-1], Intent.PAUSE),
    "promote": lambda model: model.intend(model.releases()[-1], Intent.PROMOTE),
    "errors": _fail,
    "errors for a while": _fail_for_a_while,
    "metrics outage": lambda model: _set_metrics(model, "outage"),
    "storm": lambda model: _recover(model, "storm"),
    "act": lambda model: _recover(model, "act"),
    "status lost": lambda model: model.lose_status(model.releases()[-1]),
    "crash": lambda model: model.die_after(2),
}


class RolloutMachine(RuleBasedStateMachine):
    """One service, from the first release on."""

    #: The decisions of its operator: others than the real ones when the walk hunts a mutant.
    mind: ClassVar[Mind] = Mind()

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(Wish(), self.mind)

    @initialize(
        wish=_wishes,
        start=st.sampled_from(_STARTS),
        then=st.sampled_from(list(_THEN)),
        dies=st.sampled_from([None, *_WRITES[:4], None]),
    )
    def begin(self, wish: Wish, start: str, then: str = "nothing", dies: str | None = None) -> None:
        """Somewhere on the way: most of what can go wrong goes wrong in mid-rollout."""
        model = self.model = Model(wish, self.mind)
        if start == "new":
            return
        model.run(20)
        if start == "settled":
            return
        model.wish_for(image="app:2")
        if dies is not None:
            model.die_before(dies)
        _run_until(model, start)
        _come_upon(model, then)

    # -- the operator

    @rule(seconds=st.sampled_from([1, 3, 8, 20, 90]))
    def everybody_works(self, seconds: float) -> None:
        self.model.run(seconds)

    @rule(writes=st.integers(1, 6))
    def operator_goes_on(self, writes: int) -> None:
        self.model.go_on(writes)

    @rule(steps=st.integers(0, 60))
    def operator_is_about_to_die(self, steps: int) -> None:
        self.model.die_after(steps)

    @rule(write=st.sampled_from(_WRITES))
    def operator_is_about_to_die_before(self, write: str) -> None:
        self.model.die_before(write)

    @rule()
    def operator_finishes(self) -> None:
        self.model.finish()

    @rule(writes=st.integers(0, 8))
    def operator_crashes(self, writes: int) -> None:
        self.model.crash(writes)

    @rule(how=st.sampled_from([Refusal.CONFLICT, Refusal.UNAVAILABLE]))
    def next_write_is_refused(self, how: Refusal) -> None:
        self.model.seen[f"write refused: {how.value}"] += 1
        self.model.operator.refuse = how

    @rule(release=st.integers(0, 3))
    def somebody_else_writes(self, release: int) -> None:
        found = self.model.releases()
        if found:
            self.model.api.touch("Release", found[-1 - release % len(found)])

    # -- the world moves, bit by bit

    @rule(seconds=st.sampled_from([0.2, 1.0, 4.0, 15.0]))
    def time_passes(self, seconds: float) -> None:
        self.model.wait(seconds)

    @rule(who=st.sampled_from(["deployments", "pods", "endpoints", "gateway_status", "gateway_data"]))
    def controller_works(self, who: str) -> None:
        world = self.model.world
        if who == "gateway_data" and world.faults.route_refused:
            return
        getattr(world, f"step_{who}")()

    @rule(kind=st.sampled_from(KINDS))
    def watch_delivers(self, kind: str) -> None:
        self.model.api.deliver(kind)

    @rule(kinds=st.sets(st.sampled_from(KINDS), max_size=3))
    def watches_get_stuck(self, kinds: set[str]) -> None:
        self.model.world.faults.watches_stuck = kinds

    @rule(what=st.sampled_from(["gateway_stuck", "gateway_early", "route_refused", "pods_stuck", "endpoints_stuck"]))
    def something_gets_stuck_or_loose(self, what: str) -> None:
        faults = self.model.world.faults
        setattr(faults, what, not getattr(faults, what))
        self.model.seen[f"fault {what}"] += 1

    # -- users

    @rule(image=st.sampled_from(IMAGES))
    def image_changes(self, image: str) -> None:
        if self.model.is_mid_rollout():
            self.model.seen["spec changed in mid-rollout"] += 1
        self.model.wish_for(image=image)

    @precondition(lambda self: not self.model.is_mid_rollout())
    @rule(image=st.sampled_from(IMAGES[1:]), until=st.sampled_from(_ON_THE_WAY), then=st.sampled_from(list(_THEN)))
    def change_is_rolled_out(self, image: str, until: str, then: str) -> None:
        self.model.wish_for(image=image)
        _run_until(self.model, until)
        _come_upon(self.model, then)

    @rule(back=st.integers(1, 2))
    def spec_goes_back(self, back: int) -> None:
        promoted = self.model.rules.promoted()
        if len(promoted) >= back:
            template = self.model.spec(promoted[-back]).snapshot.template
            self.model.seen[f"spec put back by {back - 1}"] += 1
            self.model.wish_for(image=template["spec"]["containers"][0]["image"])

    @rule(replicas=st.sampled_from([2, 1, 3, 5, 0]))
    def service_is_scaled(self, replicas: int) -> None:
        self.model.wish_for(replicas=replicas)

    @rule(wish=_wishes)
    def plan_changes(self, wish: Wish) -> None:
        now = self.model.wish
        self.model.wish_for(
            stages=wish.stages, gates=wish.gates, smoke=wish.smoke, keep_seconds=wish.keep_seconds,
            abort_keep_seconds=wish.abort_keep_seconds, pause_on_failure=wish.pause_on_failure,
            max_unavailable=wish.max_unavailable, config=wish.config and now.config,
        )  # fmt: skip

    @rule()
    def service_is_paused_or_not(self) -> None:
        self.model.wish_for(paused=not self.model.wish.paused)

    @rule(release=st.sampled_from([0, 0, 0, 1, 2]), intent=st.sampled_from(list(Intent)))
    def somebody_steers(self, release: int, intent: Intent) -> None:
        found = self.model.releases()
        if found:
            self.model.intend(found[-1 - release % len(found)], intent)

    @precondition(lambda self: self.model.is_mid_rollout())
    @rule(intent=st.sampled_from(list(Intent)))
    def rollout_is_steered(self, intent: Intent) -> None:
        self.model.intend(self.model.releases()[-1], intent)

    # -- faults

    @rule(releases=st.sets(st.integers(0, 3), max_size=4), service=st.booleans())
    def statuses_are_lost(self, releases: set[int], service: bool) -> None:
        found = self.model.releases()
        if found and not self.model.rules.misdirected:
            chosen = {found[-1 - r % len(found)] for r in releases}
            self.model.lose_status(*sorted(chosen), service=service)

    @rule(child=st.sampled_from(_CHILDREN))
    def child_is_deleted(self, child: tuple[str, str]) -> None:
        self.model.delete_child(*child)

    @rule(release=st.integers(0, 2), size=st.sampled_from([None, 0, 1, 6]))
    def deployment_is_deleted_or_scaled(self, release: int, size: int | None) -> None:
        found = self.model.releases()
        if found and size is None:
            self.model.delete_child(DEPLOYMENT, found[-1 - release % len(found)])
        elif found and size is not None:
            self.model.scale(found[-1 - release % len(found)], size)

    @rule(blue=st.sampled_from([0, 100, 50, 90]))
    def weights_are_edited(self, blue: int) -> None:
        self.model.edit_weights(blue)

    @rule(service=st.sampled_from(_SERVICES), release=st.integers(0, 2))
    def selector_is_edited(self, service: str, release: int) -> None:
        found = self.model.releases()
        # Statuses are rebuilt from what Services select: not both at once, see docs/design/model-test.md.
        if found and not self.model.rules.forgotten:
            self.model.edit_selector(service, found[-1 - release % len(found)])

    @rule(release=st.integers(0, 1), ready=st.sampled_from([0, 1]))
    def pods_lose_readiness(self, release: int, ready: int) -> None:
        found = self.model.releases()
        if found:
            self.model.pods(found[-1 - release % len(found)], ready)

    @rule(what=st.sampled_from(["broken", "failing", "smoke_bad"]), image=st.sampled_from(IMAGES), heal=st.booleans())
    def image_is_bad(self, what: str, image: str, heal: bool) -> None:
        images: set[str] = getattr(self.model.world.faults, what)
        images.clear() if heal else images.add(image)

    @precondition(lambda self: self.model.is_mid_rollout())
    @rule()
    def new_release_fails(self) -> None:
        _fail(self.model)

    @rule(metrics=st.sampled_from(["ok", "outage", "empty", "refused"]))
    def prometheus_changes(self, metrics: str) -> None:
        _set_metrics(self.model, metrics)

    @rule(what=st.sampled_from(list(RECOVERY)))
    def recovery_is_at_work(self, what: str) -> None:
        _recover(self.model, what)

    @rule(rps=st.sampled_from([40.0, 0.0, 1.0]))
    def traffic_changes(self, rps: float) -> None:
        self.model.world.faults.rps = rps
        self.model.world.record()

    @rule()
    def template_is_refused_or_not(self) -> None:
        self.model.world.faults.template_refused = not self.model.world.faults.template_refused

    @rule(reason=st.sampled_from([None, *_REASONS]))
    def blockers_come_and_go(self, reason: Reason | None) -> None:
        self.model.block(*([Blocker(reason, "in the way")] if reason is not None else []))

    @rule(content=st.sampled_from(["one", "two", None]))
    def config_changes(self, content: str | None) -> None:
        if content is None:
            self.model.api.delete(CONFIG_MAP, "settings")
        else:
            self.model.api.write(CONFIG_MAP, "settings", content)

    # -- the end

    def teardown(self) -> None:
        """Every example ends with the world getting well."""
        model = self.model
        if model.failed or sys.exc_info()[0] is not None:
            return
        settle(model)
        REACHED.update(dict.fromkeys(model.seen, 1))
        REACHED["examples"] += 1
        REACHED["passes"] += model.passes
        REACHED["writes and questions"] += model.steps
        for what in model.seen:
            event(what)


def _run_until(model: Model, where: str) -> None:
    """Everybody works until the newest release is there, or, if it never gets there, until it serves or time is up."""
    for _ in range(80):
        model.run(0.5)
        newest = next(reversed(model.releases()), None)
        status = model.status(newest) if newest is not None else None
        if newest is None or status is None or model.world.image(newest) != model.wish.image:
            continue
        stage = status.stage if status.state is ReleaseState.SHIFTING else None
        there = stage is not None and stage.effective_at is not None and where == f"stage {stage.index}"
        tested = where == "tested" and status.state is ReleaseState.SMOKE_TESTING
        if there or tested or status.state is ReleaseState.PROMOTED or status.state.is_latched:
            return


def _come_upon(model: Model, what: str) -> None:
    if model.releases():
        _note(model, f"then {what}")
        _THEN[what](model)
