"""Storms: when so much is wrong that nobody acts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus, StormStatus
from sophia_operator.api.recovery_values import Symptom
from sophia_operator.core.recovery.storm import storm_of, symptomatic
from tests.support import recovery_scene as scene
from tests.support.symptom_scene import at

RULE = {"maxTargetsPercent": 50, "minTargets": 2, "cooldownSeconds": 60}


def storm(sick: int, selected: int, now: float, before: StormStatus | None = None) -> StormStatus | None:
    policy = scene.policy("pools", storm=RULE)
    return storm_of(replace(policy, status=RecoveryPolicyStatus(storm=before)), sick, selected, at(now))


@pytest.mark.parametrize(
    ("sick", "selected", "is_one"),
    [(0, 0, False), (1, 1, False), (2, 4, False), (2, 3, True), (3, 4, True), (3, 6, False), (4, 6, True)],
)
def test_it_begins_above_the_share_and_with_enough_objects(sick: int, selected: int, is_one: bool) -> None:
    found = storm(sick, selected, 7)
    assert found == (StormStatus(since=at(7), targets=sick, of=selected) if is_one else None)


BEFORE = StormStatus(since=at(0), targets=3, of=4)


@pytest.mark.parametrize(
    ("before", "sick", "now", "after"),
    [
        # it goes on, and its worst is kept
        (BEFORE, 3, 9, BEFORE),
        (BEFORE, 4, 9, StormStatus(since=at(0), targets=4, of=4)),
        # it becomes quiet, and is over a time later
        (BEFORE, 2, 9, BEFORE.model_copy(update={"quiet_since": at(9)})),
        (BEFORE.model_copy(update={"quiet_since": at(9)}), 2, 68.9, BEFORE.model_copy(update={"quiet_since": at(9)})),
        (BEFORE.model_copy(update={"quiet_since": at(9)}), 0, 69, None),
        # it comes again before that
        (BEFORE.model_copy(update={"quiet_since": at(9)}), 3, 68.9, BEFORE),
    ],
)
def test_it_ends_once_it_was_quiet_for_long(
    before: StormStatus, sick: int, now: float, after: StormStatus | None
) -> None:
    assert storm(sick, 4, now, before) == after


def test_what_shows_a_symptom_counts_once_and_what_is_gone_does_not() -> None:
    both = [scene.incident(), scene.incident(symptom=Symptom.SLOW_QUERIES)]
    gone = scene.incident(target=scene.USERS, gone_since=at(3))
    assert symptomatic([*both, gone]) == {scene.ORDERS}
