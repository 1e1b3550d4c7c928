"""Since when symptoms are there, and when an incident is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus, SymptomStatus
from sophia_operator.api.recovery_values import Symptom
from sophia_operator.core.recovery.track import key_of, rule_of, track, value_of
from sophia_operator.core.recovery.views import PolicyView, Sign, Symptoms
from tests.support import recovery_scene as scene
from tests.support.recovery_scene import LOST, NO, ORDERS, UNTOLD, YES
from tests.support.symptom_scene import at

RULE = scene.rule("ConnectionLost", "Reconnect", forSeconds=5, clearSeconds=30)


def with_incidents(*incidents: SymptomStatus) -> PolicyView:
    return replace(scene.policy("pools", RULE), status=RecoveryPolicyStatus(symptoms=list(incidents)))


def tracked(known: SymptomStatus | None, sign: Sign, now: float) -> SymptomStatus | None:
    policy = with_incidents(*([known] if known is not None else []))
    found = track(policy, scene.lost(policy, sign=sign), at(now))
    return found[0] if found else None


@pytest.mark.parametrize(
    ("known", "sign", "now", "since", "gone"),
    [
        (None, YES, 7, 7, None),
        (scene.incident(3), YES, 7, 3, None),
        (scene.incident(3), UNTOLD, 7, 3, None),
        (scene.incident(3), NO, 7, 3, 7),
        (scene.incident(3, gone_since=at(7)), NO, 36.9, 3, 7),
        (scene.incident(3, gone_since=at(7)), UNTOLD, 99, 3, 7),
        (scene.incident(3, gone_since=at(7)), YES, 36.9, 3, None),
    ],
)
def test_an_incident_goes_on(
    known: SymptomStatus | None, sign: Sign, now: float, since: float, gone: float | None
) -> None:
    found = tracked(known, sign, now)
    assert found is not None
    assert (found.since, found.gone_since) == (at(since), at(gone) if gone is not None else None)


def test_it_lasts_since_it_was_gone_for_the_last_time() -> None:
    back = tracked(scene.incident(3, gone_since=at(7)), YES, 9)
    assert back is not None
    assert (back.since, back.present_since) == (at(3), at(9))
    for sign in (YES, UNTOLD, NO):
        found = tracked(back, sign, 12)
        assert found is not None
        assert found.present_since == at(9)


@pytest.mark.parametrize(
    ("known", "sign", "now"),
    [(None, NO, 7), (None, UNTOLD, 7), (scene.incident(3, gone_since=at(7)), NO, 37)],
)
def test_there_is_none(known: SymptomStatus | None, sign: Sign, now: float) -> None:
    assert tracked(known, sign, now) is None


def test_an_incident_of_what_is_not_selected_any_more_is_dropped() -> None:
    assert track(with_incidents(scene.incident(3)), Symptoms({"pools": ()}), at(9)) == ()


def test_incidents_are_in_order_and_other_policies_signs_are_not_taken() -> None:
    one, other = with_incidents(), scene.policy("others", RULE)
    signs = {(scene.USERS, LOST): YES, (ORDERS, LOST): YES}
    assert [i.name for i in track(one, scene.seen((one, other), signs), at(0))] == ["orders", "users"]
    assert track(one, scene.seen((other,), signs), at(0)) == ()


def test_a_new_incident_says_what_was_seen() -> None:
    found = tracked(None, Sign(True, 2.5004, "no server"), 7)
    assert found is not None
    assert (found.value, found.message) == ("2.5", "no server")
    assert key_of(found) == (ORDERS, LOST)


@pytest.mark.parametrize(
    ("value", "told"), [(None, None), (0.0, "0"), (-1.0, "0"), (5.0, "5"), (100.0, "100"), (0.1234, "0.123")]
)
def test_a_value_is_written_as_statuses_have_it(value: float | None, told: str | None) -> None:
    assert value_of(Sign(True, value)) == told


def test_a_rule_is_found_by_its_symptom() -> None:
    found = rule_of(with_incidents(), LOST)
    assert found is not None
    assert found.clear_seconds == 30
    assert rule_of(with_incidents(), Symptom.HIGH_MEMORY) is None
