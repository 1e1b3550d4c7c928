"""Recovery of a namespace in which everything may happen: symptoms that come and go, acts that help or do not, crashes
that lose statuses, time that jumps, policies that change, and persons who ask, answer and pause.

At every moment (`tests/support/recovery_rules.py`): no budget is exceeded in any sliding hour; nothing is done in a
storm, a pause or a quiet window, below the floor, before a cool-down or a breaker is over; never two acts on one object
without the first one verified; nothing under a release that moves but what makes users safe, and nothing that hides a
bad release; no step is made twice; no more than the mode allows. Nothing is written when nothing changed, nor before
the time that the engine gave. In the end every incident is over, was given up, or is told why it waits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.recovery_play import play
from tests.support.recovery_world import Mind

T = TypeVar("T")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def test_recovery_keeps_within_its_rails(data: st.DataObject) -> None:
    def pick(options: Sequence[T], /) -> T:
        return data.draw(st.sampled_from(options))

    # A rule that is broken raises as soon as it is; what is left to say is that all of it was looked at.
    rules = play(pick, Mind(), steps=10).rules
    assert rules.helped <= rules.claims


def test_plays_are_full_of_acts() -> None:
    """Rules hold of an engine that does nothing, too: it does much, and it helps."""
    rules = [play(random.Random(seed).choice, Mind()).rules for seed in range(20)]
    assert sum(one.claims for one in rules) >= 20
    assert sum(one.helped for one in rules) >= 2
    assert sum(len(one.names) for one in rules) >= 20
