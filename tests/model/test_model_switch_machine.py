"""A ModelRoute's switches on every way that Hypothesis finds: with a stand-in for the judge, which lets models be as
they are, and with the judge itself, which goes by what probes show.

Models come and go and fail in every way, replicas of the gateway lag, hang, and forget, the operator starts anew and
its writes get lost, and people change the spec. Rules are judged in `tests.support.switch_rules`.
"""

from __future__ import annotations

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.support.switch_parts import Mood, Replica
from tests.support.switch_rules import BrokenError
from tests.support.switch_world import GATEWAYS, POOL, World

EXAMPLES: Final = int(os.environ.get("SWITCH_MODEL_EXAMPLES", "40"))
#: Longest hold, the time that a model has to be healthy, all stages, and that time again, with room for lags.
SETTLES: Final = 120
QUIET: Final = 60


class SwitchMachine(RuleBasedStateMachine):
    """One route, from its first model on."""

    real = False

    def __init__(self) -> None:
        super().__init__()
        self.world = World(real=self.real)

    @initialize(names=st.sampled_from(["a", "ab", "abc", "cba"]), replicas=st.integers(0, 3), manual=st.booleans())
    def begin(self, names: str, replicas: int, manual: bool) -> None:
        self.world = World(names, real=self.real, replicas=replicas)
        if manual and len(names) == 2:
            self.world.change(failback={"manual": True})
        self.world.run(2)

    @rule(seconds=st.sampled_from([0.2, 1, 3, 8, 25]))
    def time_goes_by(self, seconds: float) -> None:
        self.world.run(seconds)

    # -- ways that chance alone would hardly find

    @rule(seconds=st.sampled_from([1, 4]))
    def the_one_that_serves_fails(self, seconds: float) -> None:
        if self.world.status.active is not None:
            self.world.mood(**{self.world.status.active: Mood.DOWN})
        self.world.run(seconds)

    @rule(seconds=st.sampled_from([0, 4, 13]))
    def all_are_well(self, seconds: float) -> None:
        self.world.mood(**dict.fromkeys(POOL, Mood.UP))
        self.world.run(seconds)

    @rule(more=st.sampled_from([0, 1, 6]))
    def a_failback_begins(self, more: float) -> None:
        """Traffic has left the best model, and is on its way back."""
        self.replicas_follow()
        wish = {**self.world.wish.get("failback", {}), "manual": False}
        self.world.change(pin=None, dryRun=False, failback=wish)
        self.all_are_well(3)
        self.the_one_that_serves_fails(6)
        self.all_are_well(0)
        for _ in range(50):
            self.world.run(1)
            if len(self.world.shares) > 1:
                break
        self.world.run(more)

    @rule()
    def replicas_follow(self) -> None:
        for replica in self.world.replicas.values():
            replica.stuck, replica.hangs, replica.lag, replica.ready = False, False, 0, True

    # -- models

    @rule(name=st.sampled_from(POOL), mood=st.sampled_from(Mood))
    def model_changes(self, name: str, mood: Mood) -> None:
        self.world.mood(**{name: mood})

    @rule(name=st.sampled_from(POOL))
    def model_is_well_again(self, name: str) -> None:
        self.world.mood(**{name: Mood.UP})

    @rule(mood=st.sampled_from([Mood.DOWN, Mood.FLAKY, Mood.LIMITED]), but=st.sampled_from([*POOL, None]))
    def all_fail(self, mood: Mood, but: str | None) -> None:
        self.world.mood(**dict.fromkeys(POOL, mood))
        if but is not None:
            self.world.mood(**{but: Mood.FLAKY})

    @rule(name=st.sampled_from(POOL), quality=st.sampled_from([0.1, 0.5, 0.72, 0.95]))
    def model_gets_better_or_worse(self, name: str, quality: float) -> None:
        self.world.models[name].quality = quality
        self.world.change()

    # -- replicas

    @rule(data=st.data(), lag=st.sampled_from([0, 0.5, 3, 15]), stuck=st.booleans(), hangs=st.booleans())
    @precondition(lambda self: bool(self.world.replicas))
    def replica_does_not_follow(self, data: st.DataObject, lag: float, stuck: bool, hangs: bool) -> None:
        replica = self._replica(data)
        replica.lag, replica.stuck, replica.hangs = lag, stuck, hangs

    @rule(data=st.data())
    @precondition(lambda self: bool(self.world.replicas))
    def replica_forgets(self, data: st.DataObject) -> None:
        self.world.forgets(self._replica(data).name)

    @rule(data=st.data(), ready=st.booleans())
    @precondition(lambda self: bool(self.world.replicas))
    def replica_goes_or_is_back(self, data: st.DataObject, ready: bool) -> None:
        self._replica(data).ready = ready

    @rule(lag=st.sampled_from([0, 3]))
    @precondition(lambda self: len(self.world.replicas) < 4)
    def replica_comes(self, lag: float) -> None:
        name = f"gw-{len(self.world.replicas)}"
        self.world.replicas[name] = Replica(name, lag=lag)

    # -- the operator

    @rule()
    def operator_starts_anew(self) -> None:
        self.world.restart()

    @rule(writes=st.integers(1, 5))
    def writes_get_lost(self, writes: int) -> None:
        self.world.lost_writes = writes

    # -- recovery

    @rule(model=st.sampled_from([*POOL, None, None]), ago=st.sampled_from([None, 0, 6, 40]))
    def action_is_claimed(self, model: str | None, ago: float | None) -> None:
        self.world.ask(model, ago)

    @rule(ago=st.sampled_from([3, 20]), then=st.sampled_from([0, 1, 5]))
    def model_fails_and_an_action_is_claimed(self, ago: float, then: float) -> None:
        self.the_one_that_serves_fails(1)
        self.world.ask(None, ago)
        self.world.run(then)

    @rule(data=st.data())
    @precondition(lambda self: bool(self.world.requests))
    def action_is_deleted(self, data: st.DataObject) -> None:
        self.world.requests.pop(data.draw(st.sampled_from(sorted(self.world.requests)), label="action"))

    # -- people

    @rule(name=st.sampled_from([*POOL, None]))
    def person_pins(self, name: str | None) -> None:
        self.world.change(pin=name)

    @rule(dry=st.booleans())
    def person_asks_for_a_dry_run(self, dry: bool) -> None:
        self.world.change(dryRun=dry)

    @rule(names=st.lists(st.sampled_from(POOL), unique=True, min_size=1))
    def models_come_and_go(self, names: list[str]) -> None:
        self.world.only(*names)

    @rule(name=st.sampled_from(POOL))
    def model_moves(self, name: str) -> None:
        self.world.move(name)

    @rule(name=st.sampled_from(POOL), order=st.permutations(POOL))
    def fallback_order_changes(self, name: str, order: list[str]) -> None:
        self.world.orders[name] = order[:2]
        self.world.change()

    @rule(kind=st.sampled_from(sorted(GATEWAYS)))
    def gateway_changes(self, kind: str) -> None:
        if kind != self.world.kind:
            self.world.use(kind)

    @rule(stages=st.sampled_from([[100], [10, 50, 100], [1, 2, 100]]), hold=st.sampled_from([1, 15]))
    def failback_changes(self, stages: list[int], hold: int) -> None:
        self.world.change(failback={**self.world.wish.get("failback", {}), "stages": stages, "holdSeconds": hold})

    def _replica(self, data: st.DataObject) -> Replica:
        return self.world.replicas[data.draw(st.sampled_from(sorted(self.world.replicas)), label="replica")]

    # -- the end

    @rule()
    def everybody_obeys(self) -> None:
        """From now on nothing goes wrong, and models stay as they are: all switches end, and none begins any more."""
        world = self.world
        world.lost_writes = 0
        if not any(r.ready for r in world.replicas.values()):
            world.replicas["gw-0"] = Replica("gw-0")
        for replica in world.replicas.values():
            replica.stuck = replica.hangs = False
            replica.lag, replica.coming = 0, []
        world.change(dryRun=False)
        world.run(SETTLES, step=2)
        began = world.rules.began
        world.run(QUIET, step=3)
        world.judge_rest(began)

    def teardown(self) -> None:
        self.everybody_obeys()


class JudgedMachine(SwitchMachine):
    """The same by what probes show."""

    real = True


_SETTINGS: Final = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
# What breaks a rule takes minutes to be made short.
TestSwitches = pytest.mark.timeout(600)(SwitchMachine.TestCase)
TestSwitches.settings = _SETTINGS
TestJudgedSwitches = pytest.mark.timeout(600)(JudgedMachine.TestCase)
TestJudgedSwitches.settings = settings(_SETTINGS, max_examples=max(1, EXAMPLES // 2))
__all__ = ["BrokenError", "TestJudgedSwitches", "TestSwitches"]
