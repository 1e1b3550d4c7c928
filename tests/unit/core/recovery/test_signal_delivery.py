"""How often a signal is tried, and what the condition of its policy says."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from sophia_operator.api.conditions import Condition, ConditionType, find
from sophia_operator.core.recovery.signal_delivery import TRIES, Outcome, is_given_up, pause_seconds, with_condition
from tests.support import signal_scene as scene


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_pauses_grow_and_leave_ten_minutes_room_for_the_tries(jitter: float) -> None:
    pauses = [pause_seconds(tries, jitter) for tries in range(1, TRIES)]
    assert all(later >= 2 * earlier for earlier, later in pairwise(pauses))
    assert sum(pauses) + TRIES * 30 <= 10.5 * 60
    assert pauses[0] >= 4


def test_jitter_spreads_tries_over_half_of_the_pause() -> None:
    assert pause_seconds(2, 0.0) == pytest.approx(pause_seconds(2, 1.0) / 2)


def test_a_signal_is_given_up_after_its_tries_or_its_time() -> None:
    assert not is_given_up(TRIES - 1, scene.NOW, scene.later(599))
    assert is_given_up(TRIES, scene.NOW, scene.NOW)
    assert is_given_up(1, scene.NOW, scene.later(600))


def condition(outcomes: dict[str, Outcome], old: dict[str, Any] | None = None, *names: str) -> Condition | None:
    status = {"conditions": [old]} if old is not None else {}
    policy = scene.policy(*map(scene.hook, names or ("pager", "chat")), status=status)
    return find(with_condition(policy, policy.status, outcomes, scene.NOW).conditions, ConditionType.SIGNALS_DELIVERED)


def old(status: str, generation: int = 1) -> dict[str, Any]:
    time = "2026-03-01T12:00:00Z"
    made = {"type": "SignalsDelivered", "status": status, "lastTransitionTime": time, "reason": "SignalFailed"}
    return made | {"message": "as it was", "observedGeneration": generation}


def test_while_nothing_was_told_there_is_no_condition() -> None:
    assert condition({}) is None


def test_receivers_that_took_what_they_were_told_are_said_to() -> None:
    found = condition({"pager": Outcome(None)})
    assert found is not None
    assert (found.status.value, found.reason) == ("True", "SignalsSent")


def test_a_receiver_that_fails_is_named_with_its_reason() -> None:
    found = condition({"pager": Outcome(None), "chat": Outcome("answers 500")})
    assert found is not None
    assert (found.status.value, found.reason) == ("False", "SignalFailed")
    assert found.message == "receiver chat did not take a signal: answers 500; it is tried again"


def test_dropped_signals_are_counted() -> None:
    found = condition({"chat": Outcome("answers 500", 2, scene.NOW)})
    assert found is not None
    assert found.message.endswith("answers 500; 2 signals were dropped, the last at 12:05:00 UTC")


def test_what_failed_before_the_operator_started_stays_until_all_are_known() -> None:
    kept = condition({"chat": Outcome(None)}, old("False"))
    assert kept is not None
    assert (kept.status.value, kept.message) == ("False", "as it was")
    well = condition({"chat": Outcome(None), "pager": Outcome(None)}, old("False"))
    assert well is not None
    assert well.status.value == "True"


def test_a_policy_that_changed_since_is_not_known_to_fail() -> None:
    found = condition({}, old("False", generation=0))
    assert found is not None
    assert found.status.value == "Unknown"


def test_without_receivers_there_is_no_condition() -> None:
    policy = scene.policy(status={"conditions": [old("False")]})
    assert with_condition(policy, policy.status, {}, scene.NOW).conditions == []
