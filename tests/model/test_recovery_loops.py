"""Loops of recovery in any order, write by write, whatever happens between two writes.

Policies, actions and targets each go one write further at a time; the operator may end between any two, and in the
middle of an act; targets help, do nothing, make worse, hang, refuse and fail, and come and go; persons ask, force,
approve, reject and delete; policies change and lose their statuses; releases move; time goes on in odd steps.

At every write (`tests/support/recovery_loops.py`, beside the rules of `recovery_rules.py`): a phase leads only where it
may; two acts are never in hand on one object; an act is claimed once and carried out once; none stays in a phase; what
is over never changes; nothing is written twice. In the end every action is over, or says what a person has to do.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sophia_operator.api.recovery_action_status import ActionPhase, Verified
from tests.support.recovery_loops_play import play
from tests.support.recovery_world import Mind

T = TypeVar("T")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def test_no_order_of_writes_breaks_a_rule(data: st.DataObject) -> None:
    def pick(options: Sequence[T], /) -> T:
        return data.draw(st.sampled_from(options))

    world = play(pick, Mind(), steps=40)
    assert not world.pending


def test_every_end_is_reached() -> None:
    """Rules hold where nothing happens, too: every phase that an action ends in comes to pass, and much is claimed."""
    worlds = [play(random.Random(seed).choice, Mind()) for seed in range(24)]
    actions = [action.status for world in worlds for action in world.actions.values()]
    ends = Counter(status.phase for status in actions)
    verdicts = Counter(status.verified for status in actions)
    assert {ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.SKIPPED, ActionPhase.REFUSED} <= set(ends)
    assert set(Verified) <= set(verdicts)
    assert sum(world.rules.claims for world in worlds) >= 60
    assert sum(sum(world.restarts.values()) for world in worlds) >= 2
    assert any(patient.half for world in worlds for patient in world.patients.values())
