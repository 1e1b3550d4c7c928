"""The way of one RecoveryAction: every phase, and every end."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.conditions import violations
from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_values import Symptom
from sophia_operator.core.recovery.action.values import ActionDecision
from sophia_operator.core.recovery.views import ActionView
from tests.support import recovery_scene as scene
from tests.support.recovery_acts import done, go, persisted, reason
from tests.support.recovery_scene import NO, UNTOLD, USERS, YES, act, advance, failed, target
from tests.support.symptom_scene import at

# before it is claimed


@pytest.mark.parametrize(
    ("spec", "more", "phase", "why"),
    [
        ({}, {}, "Claimed", "Claimed"),
        ({}, {"sign": NO}, "Skipped", "NotNeeded"),
        ({}, {"sign": UNTOLD}, "Waiting", "SymptomUnknown"),
        ({}, {"there": False}, "Refused", "TargetNotFound"),
        ({}, {"of": target(readable=False)}, "Waiting", "InvalidSpec"),
        ({"elsewhere": "bank"}, {}, "Refused", "TargetElsewhere"),
        ({"elsewhere": "shop"}, {}, "Claimed", "Claimed"),
        ({"approvalRequired": True}, {}, "AwaitingApproval", "AwaitingApproval"),
        ({"approvalRequired": True}, {"sign": NO}, "Skipped", "NotNeeded"),
        ({"approvalRequired": True, "approved": True, "approvedBy": "eve"}, {}, "Claimed", "Claimed"),
        ({"approvalRequired": True, "approved": False, "approvedBy": "eve"}, {}, "Refused", "Rejected"),
        ({"approved": False, "approvedBy": "eve"}, {}, "Refused", "Rejected"),
        (
            {"approvalRequired": True, "approved": False, "approvedBy": "eve"},
            {"of": target(readable=False)}, "Refused", "Rejected",
        ),
        # guard rails are asked again after the approval
        (
            {"approvalRequired": True, "approved": True, "approvedBy": "eve"},
            {"actions": [act("b", "Claimed", of=None)]}, "Waiting", "ActUnderWay",
        ),
        ({"dryRun": True}, {}, "Skipped", "WouldAct"),
        ({"dryRun": True, "approvalRequired": True}, {}, "Skipped", "WouldAct"),
        ({"dryRun": True}, {"actions": [act("b", "Claimed", of=None)]}, "Skipped", "WouldAct"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["Pending", "Waiting", "AwaitingApproval"])
def test_before_it_is_claimed(before: str, spec: dict[str, Any], more: dict[str, Any], phase: str, why: str) -> None:
    found = go(act("act", before, **spec), 5, **more)
    assert (found.status.phase.value, reason(found)) == (phase, why)
    assert (found.status.claimed_at == at(5)) is (phase == "Claimed")
    assert (found.status.ended_at == at(5)) is found.status.phase.is_over
    assert violations(found.status.conditions, 1) == []
    assert found.restart is None


def test_a_person_s_is_done_without_a_symptom() -> None:
    found = go(act("act", of=None), 5, sign=None)
    assert found.status.phase is ActionPhase.CLAIMED


def test_a_claim_says_what_was_before_and_how_it_is_undone() -> None:
    rule = scene.rule("ReplicationLag", "LimitConnections", forSeconds=0, mode="Auto")
    lag: dict[str, Any] = {"action": "LimitConnections", "symptom": "ReplicationLag"}
    policy = scene.policy("pools", rule)
    earlier = failed("a", 4, symptom="ReplicationLag", since=-50)
    sees = scene.seen([policy], {(scene.ORDERS, Symptom.REPLICATION_LAG): YES, (USERS, scene.LOST): NO})
    found = advance(act("act", **lag), 900, policies=[policy], symptoms=sees, actions=[earlier]).status
    assert found.before is not None
    assert (found.before.present, found.before.value, found.before.message) == (True, "5", "no server")
    assert "Ready=True Told" in found.before.conditions
    assert "delete the RecoveryAction" in found.undo
    assert found.recurrence
    again = advance(act("act", **lag), 3605, policies=[policy], symptoms=sees, actions=[earlier]).status
    assert not again.recurrence


def test_a_dry_run_says_what_would_be_done_and_what_holds_it() -> None:
    held = go(act("act", dryRun=True), 5, actions=[act("b", "Claimed", of=None)])
    assert "RECONNECT would be given to 0 instances" in held.status.would
    assert "not now, for one act at a time" in held.status.would
    assert held.status.claimed_at is None
    free = go(act("act", dryRun=True), 5)
    assert "not now" not in free.status.would


def test_after_a_dry_run_nothing_more_happens() -> None:
    first = go(act("act", dryRun=True), 5)
    action = persisted(act("act", dryRun=True), first)
    assert go(action, 999) == ActionDecision(action.status)


# what is written


@pytest.mark.parametrize(
    ("action", "more"),
    [
        (act("act"), {"actions": [act("b", "Claimed", of=None)]}),
        (act("act"), {"of": target(readable=False)}),
        (act("act"), {"sign": UNTOLD}),
        (act("act", approvalRequired=True), {}),
        (act("act", "Claimed"), {}),
        (act("act", "Running"), {"of": done("Running")}),
        (act("act", "Running"), {"of": done()}),
        (act("act", "Running"), {"of": done(), "sign": NO}),
        (act("act", "Verifying"), {"of": done(well=False), "sign": NO}),
        (act("act", "Verifying"), {"of": done(), "sign": UNTOLD}),
    ],
)
def test_nothing_is_written_when_nothing_changed(action: ActionView, more: dict[str, Any]) -> None:
    first = go(action, 20, **more)
    again = go(persisted(action, first), 24, **more)
    assert not first.status.phase.is_over
    assert again.status == first.status
    assert again.notices == ()


@pytest.mark.parametrize("phase", [p.value for p in ActionPhase if p.is_over])
@pytest.mark.parametrize("of", ["pools", None])
def test_what_is_over_stays_as_it_is(phase: str, of: str | None) -> None:
    action = act("act", phase, of=of)
    for sign, there in ((YES, True), (NO, True), (UNTOLD, False)):
        assert go(action, 900, sign=sign, there=there) == ActionDecision(action.status)


def test_changes_of_the_phase_are_counted() -> None:
    action = act("act", status={"changes": 0})
    waits: dict[str, Any] = {"actions": [act("b", "Claimed", of=None)]}
    found = go(action, 5, **waits)
    assert found.status.changes == 1
    assert go(persisted(action, found), 6, **waits).status.changes == 1
    assert go(persisted(action, found), 7).status.changes == 2
    # However often it waits for something else: receivers take what has the number of an earlier change for that one.
    often = act("act", status={"changes": 640})
    assert go(often, 5).status.changes == 641


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({"approvalRequired": True}, "Unknown"),
        ({"approvalRequired": True, "approved": True, "approvedBy": "eve"}, "True"),
        ({"approvalRequired": True, "approved": False, "approvedBy": "eve"}, "False"),
        ({}, None),
    ],
)
def test_whether_it_is_approved_is_a_condition(spec: dict[str, Any], status: str | None) -> None:
    found = go(act("act", **spec), 5).status
    assert [c.status.value for c in found.conditions if c.type == "Approved"] == ([status] if status else [])
