"""A RecoveryAction of which something was lost: what its target said, or the pod that it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionType, find, violations
from sophia_operator.core.recovery.action.advance import advance_action
from sophia_operator.core.recovery.action.values import ActionObserved
from sophia_operator.core.recovery.views import ActionView
from tests.support.recovery_acts import done, go, persisted, reason
from tests.support.recovery_scene import NO, YES, act, target
from tests.support.symptom_scene import at

STARTED: dict[str, Any] = {"startedAt": at(10)}


@pytest.mark.parametrize(
    ("action", "now", "end"),
    [
        ("Reconnect", 20, ("Running", "Acting")),
        ("Reconnect", 60, ("Failed", "ActFailed")),
        ("RefreshPlans", 20, ("Running", "Acting")),
        ("RefreshPlans", 60, ("Unknown", "OutcomeUnknown")),
    ],
)
def test_what_began_and_is_not_told_of_any_more(action: str, now: float, end: tuple[str, str]) -> None:
    """The status of the target was lost. What may not be done twice is left to a person."""
    found = go(act("act", "Running", action, status=STARTED), now, of=target())
    assert (found.status.phase.value, reason(found)) == end
    assert "says nothing of it any more" in found.status.message
    assert violations(found.status.conditions, 1) == []


def test_a_pod_that_recovered_was_not_deleted() -> None:
    """The operator ended between the write and the deletion, for so long that the pod crashes no more."""
    began = {**STARTED, "subject": "pod db-1, uid uid-db-1"}
    action = act("act", "Running", "RestartPod", symptom="PodCrashLoop", status=began)
    seen = ActionObserved(target=target(), sign=NO, pod_there=True)
    there = advance_action(action, seen, at(30))
    assert (there.status.phase.value, there.status.did, there.status.verified) == ("Failed", [], None)
    gone = advance_action(action, replace(seen, pod_there=False), at(30))
    assert (gone.status.phase.value, gone.status.did) == ("Verifying", ["deleted pod db-1, uid uid-db-1"])


def test_a_spec_that_only_a_person_mends_is_stalled() -> None:
    found = go(act("act"), 5, of=target(readable=False))
    assert (found.status.phase.value, reason(found)) == ("Waiting", "InvalidSpec")
    assert find(found.status.conditions, ConditionType.STALLED) is not None
    assert find(found.status.conditions, ConditionType.RECONCILING) is None
    mended = go(persisted(act("act"), found), 6)
    assert find(mended.status.conditions, ConditionType.STALLED) is None


def _verifying() -> ActionView:
    action = act("act", "Running")
    return persisted(action, go(action, 20, of=done(), sign=YES))


def test_a_verification_that_cannot_end_says_so() -> None:
    before = find(_verifying().status.conditions, ConditionType.VERIFIED)
    found = go(_verifying(), 30, there=False)
    after = find(found.status.conditions, ConditionType.VERIFIED)
    assert before is not None
    assert after is not None
    assert (before.reason, after.reason, after.status.value) == ("Verifying", "TargetNotFound", "Unknown")
