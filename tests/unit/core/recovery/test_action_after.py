"""A RecoveryAction after it was claimed: every phase, and every end."""

from __future__ import annotations

from typing import Any, Final

import pytest

from sophia_operator.api.conditions import violations
from sophia_operator.api.recovery_action_status import ActionPhase, Verified
from sophia_operator.api.recovery_values import Symptom
from sophia_operator.core.decision import Done, RequeueAfter
from sophia_operator.core.recovery.action.values import ActionDecision
from sophia_operator.core.recovery.views import ActionView, CrashingPod, Sign, TargetView
from tests.support import recovery_scene as scene
from tests.support.recovery_acts import BEFORE, CRASHING, PODS, POLICY, WORSE, done, go, persisted, reason
from tests.support.recovery_scene import NO, UNTOLD, USERS, YES, act, advance, target
from tests.support.symptom_scene import at


@pytest.mark.parametrize(
    ("phase", "now", "of", "sign", "end"),
    [
        ("Claimed", 5, target(), YES, ("Claimed", "Claimed")),
        ("Claimed", 59.9, target(), NO, ("Claimed", "Claimed")),
        ("Claimed", 60, target(), YES, ("Failed", "ActFailed")),
        ("Claimed", 11, done("Running"), YES, ("Running", "Acting")),
        ("Running", 59.9, done("Running"), YES, ("Running", "Acting")),
        ("Running", 60, done("Running"), YES, ("Failed", "NoChange")),
        ("Running", 60, done("Running"), WORSE, ("Failed", "Worse")),
        ("Running", 60, done("Running"), Sign(True, 5.5, ""), ("Failed", "NoChange")),
        ("Running", 60, done("Running"), UNTOLD, ("Failed", "NoChange")),
        ("Running", 20, done("Failed"), YES, ("Failed", "ActFailed")),
        ("Running", 20, done("Refused"), YES, ("Failed", "ActFailed")),
        ("Running", 20, done("Unknown"), YES, ("Unknown", "OutcomeUnknown")),
        ("Running", 20, done(), YES, ("Verifying", "Verifying")),
        ("Claimed", 20, done(), YES, ("Verifying", "Verifying")),
        ("Claimed", 20, done(), NO, ("Verifying", "Verifying")),
        ("Running", 90, done(), YES, ("Failed", "NoChange")),
        ("Verifying", 59.9, done(), YES, ("Verifying", "Verifying")),
        ("Verifying", 60, done(), YES, ("Failed", "NoChange")),
        ("Verifying", 60, done(), WORSE, ("Failed", "Worse")),
        ("Verifying", 60, done(), Sign(True, 65.0, "", ages=True), ("Failed", "NoChange")),
        ("Verifying", 60, done(), Sign(True, 72.0, "", ages=True), ("Failed", "Worse")),
        ("Verifying", 60, done(), UNTOLD, ("Failed", "NoChange")),
        ("Verifying", 60, done(well=False), NO, ("Failed", "NoChange")),
        ("Verifying", 60, done(well=None), NO, ("Failed", "NoChange")),
        ("Verifying", 60, done(), NO, ("Verifying", "Verifying")),
        ("Verifying", 60, target(), NO, ("Verifying", "Verifying")),
        ("Claimed", 5, None, YES, ("Failed", "TargetNotFound")),
        ("Running", 5, None, YES, ("Failed", "TargetNotFound")),
        ("Verifying", 5, None, YES, ("Failed", "TargetNotFound")),
    ],
)
def test_after_it_was_claimed(phase: str, now: float, of: TargetView | None, sign: Sign, end: tuple[str, str]) -> None:
    action = act("act", phase, status=BEFORE)
    found = go(action, now, of=of, sign=sign, there=of is not None)
    assert (found.status.phase.value, reason(found)) == end
    verdicts = {"NoChange": Verified.NO_CHANGE, "Worse": Verified.WORSE}
    assert found.status.verified is verdicts.get(end[1])
    assert (found.status.ended_at == at(now)) is found.status.phase.is_over
    assert found.status.claimed_at == at(0)
    assert violations(found.status.conditions, 1) == []
    if not found.status.phase.is_over:
        assert isinstance(found.next, RequeueAfter)
        assert found.next.seconds > 0


def test_it_helped_once_the_symptom_was_gone_for_long_enough() -> None:
    action = act("act", "Running")
    for now, sign, gone in (
        (20, NO, 20),
        (25, YES, None),
        (29, NO, 29),
        (33, UNTOLD, None),
        (58, NO, 58),
        (67.9, NO, 58),
    ):
        found = go(action, now, of=done(), sign=sign)
        assert found.status.phase is ActionPhase.VERIFYING
        assert found.status.gone_since == (at(gone) if gone is not None else None)
        action = persisted(action, found)
    end = go(action, 68, of=done(), sign=NO)
    assert (end.status.phase, end.status.verified, reason(end)) == (ActionPhase.SUCCEEDED, Verified.HELPED, "Helped")
    assert end.status.after is not None
    assert not end.status.after.present
    assert (end.status.done_at, end.status.did, end.status.subject) == (at(20), ["RECONNECT"], "every instance")
    assert end.next == Done()
    assert [n.reason for n in end.notices] == ["Helped"]


def test_the_longest_stable_time_of_all_policies_is_waited_for() -> None:
    long = scene.policy("long", scene.rule("ConnectionLost", "Notify"), stableSeconds=100)
    action = act("act", "Verifying", status={"goneSince": at(20)})
    policies = [POLICY, long]
    assert advance(action, 100, policies=policies, of=done(), sign=NO).status.phase is ActionPhase.VERIFYING
    assert advance(action, 120, policies=policies, of=done(), sign=NO).status.phase is ActionPhase.SUCCEEDED


@pytest.mark.parametrize(("sign", "fired"), [(YES, False), (NO, True), (UNTOLD, False)])
def test_a_symptom_that_was_gone_before_it_began_is_a_false_fire(sign: Sign, fired: bool) -> None:
    action = persisted(act("act", "Claimed"), go(act("act", "Claimed"), 11, of=done("Running"), sign=sign))
    assert action.status.false_fire is fired
    # what came later says nothing of it
    assert go(action, 15, of=done("Running"), sign=NO if sign is YES else YES).status.false_fire is fired


@pytest.mark.parametrize(
    ("of", "now", "phase", "verified"),
    [
        (done(), 20, "Succeeded", None),
        (done("Refused"), 20, "Failed", None),
        (done("Running"), 60, "Failed", "NoChange"),
        (target(), 60, "Failed", None),
    ],
)
def test_what_a_person_asked_for_is_done_and_not_verified(
    of: TargetView, now: float, phase: str, verified: str | None
) -> None:
    found = go(act("act", "Claimed", of=None), now, of=of, sign=None).status
    assert (found.phase.value, found.verified) == (phase, verified)


def test_people_are_told_and_nothing_else() -> None:
    mine = act("act", action="Notify")
    claimed = persisted(mine, go(mine, 5))
    found = go(claimed, 6)
    assert (found.status.phase, found.status.verified) == (ActionPhase.SUCCEEDED, None)
    assert found.status.did == ["told people; nothing else"]


# a pod


def restart(action: ActionView, now: float, *crashing: CrashingPod, sign: Sign = YES) -> ActionDecision:
    sees = scene.seen([PODS], {(scene.ORDERS, Symptom.POD_CRASH_LOOP): sign, (USERS, scene.LOST): NO})
    return advance(action, now, policies=[PODS], symptoms=sees, of=target(crashing=crashing), sign=sign)


CRASH: Final[dict[str, Any]] = {"action": "RestartPod", "symptom": "PodCrashLoop"}


def test_a_pod_is_restarted_by_its_uid() -> None:
    action = act("act", **CRASH)
    claim = restart(action, 5, CRASHING, CrashingPod("db-0", "uid-db-0", 3, ""))
    assert (claim.status.subject, claim.restart) == ("pod db-1, uid uid-db-1", None)
    action = persisted(action, claim)
    for now in (6, 7):  # as often as it takes
        begun = restart(action, now, CRASHING)
        assert (begun.status.phase, begun.restart) == (ActionPhase.RUNNING, CRASHING)
        assert begun.status.started_at == at(6)
        action = persisted(action, begun)
    anew = CrashingPod("db-1", "uid-anew", 3, "")
    gone = restart(action, 8, anew)
    assert (gone.status.phase, gone.restart) == (ActionPhase.VERIFYING, None)
    assert gone.status.did == ["deleted pod db-1, uid uid-db-1"]


def test_a_pod_that_stays_is_given_up_in_time() -> None:
    action = act("act", "Running", **CRASH, status={"subject": "pod db-1, uid uid-db-1", "startedAt": at(1)})
    found = restart(action, 60, CRASHING)
    assert (found.status.phase, found.restart) == (ActionPhase.FAILED, None)


@pytest.mark.parametrize(
    ("spec", "crashing", "sign", "phase", "why"),
    [
        ({}, (), YES, "Refused", "NotNeeded"),
        ({}, (), NO, "Skipped", "NotNeeded"),
        ({"parameters": {"pod": "db-0"}}, (CRASHING,), YES, "Refused", "NotNeeded"),
        ({"parameters": {"pod": "db-1"}}, (CRASHING,), YES, "Claimed", "Claimed"),
    ],
)
def test_a_pod_that_does_not_crash_is_left_alone(
    spec: dict[str, Any], crashing: tuple[CrashingPod, ...], sign: Sign, phase: str, why: str
) -> None:
    found = restart(act("act", **CRASH, **spec), 5, *crashing, sign=sign)
    assert (found.status.phase.value, reason(found)) == (phase, why)


def test_a_pod_that_is_gone_before_it_was_restarted_was_not_deleted() -> None:
    action = act("act", "Claimed", **CRASH, status={"subject": "pod db-1, uid uid-db-1"})
    found = restart(action, 8)
    assert (found.status.phase, found.status.did) == (ActionPhase.FAILED, [])
