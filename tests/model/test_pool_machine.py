"""A pool's reconnects, pauses and acts of recovery on every way that Hypothesis finds; and that rules catch wrong ones.

The operator starts anew, commands and writes get lost, the server goes, comes back, and moves, instances come and go,
do not answer, or carry nothing out. Rules are judged in `tests.support.pool_world`.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sophia_operator.api.recovery_values import Action
from sophia_operator.core.pool.findings import ServerRole
from tests.support.pool_world import BrokenError, World

EXAMPLES: Final = int(os.environ.get("POOL_MODEL_EXAMPLES", "40"))
_ACTIONS: Final = (Action.RECONNECT, Action.CANCEL_STATEMENT, Action.REFRESH_PLANS, Action.LIMIT_CONNECTIONS)
#: A pause ends by itself after 120 s, and one look of five later at most, with the time that passes take.
LONGEST_PAUSE: Final = 120 + 5 + 2
#: From when everybody obeys and the server stands, so many looks at it are enough.
MOST_LOOKS: Final = 30


class PoolMachine(RuleBasedStateMachine):
    """One pool, from its first server on."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.disturbed_at = 0.0

    def disturbed(self) -> None:
        """An instance is paused for longer when nobody can tell it otherwise."""
        self.disturbed_at = self.world.now

    def bouncer(self, data: st.DataObject) -> Any:
        return self.world.bouncers[data.draw(st.sampled_from(sorted(self.world.bouncers)), label="instance")]

    @initialize(instances=st.integers(0, 3), interval=st.sampled_from([1, 10, 60]), seconds=st.sampled_from([0.2, 10]))
    def begin(self, instances: int, interval: int, seconds: float) -> None:
        self.world = World(instances, interval)
        self.world.run(seconds)

    @rule(seconds=st.sampled_from([0.1, 0.3, 1, 2, 6, 20, 70, 130]))
    def time_goes_by(self, seconds: float) -> None:
        self.world.run(seconds)

    # -- the server

    @rule(dns=st.sampled_from([0, 0.5, 3]), old_lives=st.booleans())
    def server_moves(self, dns: float, old_lives: bool) -> None:
        self.world.move(dns=dns, old_lives=old_lives)

    @rule()
    def server_goes(self) -> None:
        self.world.host.up = False
        self.world.watch_breaks()

    @rule()
    def server_comes_back(self) -> None:
        self.world.host.up = True

    @rule()
    def server_is_started_anew(self) -> None:
        self.world.host.identity += "'"
        self.world.watch_breaks()

    @rule(role=st.sampled_from([ServerRole.STANDBY, ServerRole.READ_ONLY_PRIMARY, ServerRole.PRIMARY]))
    def server_has_another_role(self, role: ServerRole) -> None:
        self.world.host.role = role

    # -- instances

    @rule()
    @precondition(lambda self: len(self.world.bouncers) < 4)
    def instance_comes(self) -> None:
        self.world.come()
        self.disturbed()

    @rule(data=st.data())
    @precondition(lambda self: bool(self.world.bouncers))
    def instance_goes(self, data: st.DataObject) -> None:
        del self.world.bouncers[self.bouncer(data).name]

    @rule(data=st.data(), terminating=st.booleans())
    @precondition(lambda self: bool(self.world.bouncers))
    def instance_is_on_its_way_out(self, data: st.DataObject, terminating: bool) -> None:
        bouncer = self.bouncer(data)
        bouncer.ready, bouncer.terminating = False, bouncer.terminating or terminating
        self.disturbed()

    @rule(data=st.data(), deaf=st.booleans(), silent=st.booleans(), fickle=st.booleans())
    @precondition(lambda self: bool(self.world.bouncers))
    def instance_does_not_obey(self, data: st.DataObject, deaf: bool, silent: bool, fickle: bool) -> None:
        bouncer = self.bouncer(data)
        bouncer.deaf, bouncer.silent, bouncer.fickle = deaf, silent, fickle
        self.disturbed()

    @rule(data=st.data(), seconds=st.sampled_from([3, 9, 40]))
    @precondition(lambda self: bool(self.world.bouncers))
    def transactions_run(self, data: st.DataObject, seconds: float) -> None:
        for link in self.bouncer(data).links:
            link.busy_until = self.world.now + seconds

    # -- recovery

    @rule(action=st.sampled_from(_ACTIONS))
    @precondition(lambda self: len(self.world.requests) < 12)
    def recovery_asks(self, action: Action) -> None:
        self.world.ask(action)

    @rule()
    @precondition(lambda self: bool(self.world.requests))
    def recovery_action_is_deleted(self) -> None:
        self.world.requests.pop(0)

    @rule(pid=st.integers(1, 3), blocks=st.integers(0, 2))
    def statement_runs(self, pid: int, blocks: int) -> None:
        self.world.statement(pid, blocks)

    # -- the operator and the user

    @rule()
    def operator_starts_anew(self) -> None:
        self.world.restart()

    @rule(commands=st.integers(1, 6))
    def commands_get_lost(self, commands: int) -> None:
        self.world.lost_commands = commands
        self.disturbed()

    @rule(writes=st.integers(1, 5))
    def writes_are_refused(self, writes: int) -> None:
        self.world.refused_writes = writes
        self.disturbed()

    @rule(paused=st.booleans())
    def user_pauses(self, paused: bool) -> None:
        self.world.wish(paused=paused)

    @rule()
    def everybody_obeys(self) -> None:
        """From now on nothing goes wrong: it must end, soon, and as it should."""
        world = self.world
        world.lost_commands = world.refused_writes = 0
        world.host.up, world.host.role = True, ServerRole.PRIMARY
        for bouncer in world.bouncers.values():
            bouncer.deaf = bouncer.silent = False
            bouncer.ready = not bouncer.terminating
        looked, ended = len(world.looked), world.ended
        # A try may take a minute after many that failed; a new server is seen after one interval.
        world.run(140 + world.view.spec.health_check.interval_seconds)
        assert len(world.looked) - looked <= MOST_LOOKS + 145 / min(5, world.view.spec.health_check.interval_seconds)
        assert world.ended - ended <= 3
        world.judge_rest()

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        for bouncer in self.world.bouncers.values():
            since = max(bouncer.paused_since, self.disturbed_at)
            if bouncer.paused and not (bouncer.terminating or bouncer.silent or bouncer.deaf):
                assert self.world.now - since <= LONGEST_PAUSE, f"{bouncer.name} is paused since {since}"

    def teardown(self) -> None:
        self.everybody_obeys()


TestPool = pytest.mark.timeout(600)(PoolMachine.TestCase)
TestPool.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
__all__ = ["BrokenError", "TestPool"]
