"""What the engine decides about a namespace, look by look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from sophia_operator.api.recovery_policy_status import MAX_SYMPTOMS, RecoveryPolicyStatus, SymptomStatus
from sophia_operator.api.recovery_values import Symptom, TargetKind
from sophia_operator.core.decision import Done, RequeueAfter
from sophia_operator.core.recovery.decide import decide
from sophia_operator.core.recovery.decision import Decisions
from sophia_operator.core.recovery.views import ActionView, History, PolicyView, Symptoms
from tests.support import recovery_scene as scene
from tests.support.recovery_scene import (
    CHAT,
    HOT,
    LOST,
    NO,
    ORDERS,
    UNTOLD,
    USERS,
    YES,
    act,
    failed,
    helped,
    knowing,
    look,
)
from tests.support.symptom_scene import at

RULE: Final = scene.rule("ConnectionLost", "Reconnect", "Notify", forSeconds=30, clearSeconds=20)
LAG: Final = Symptom.REPLICATION_LAG
LADDER: Final = scene.rule("ReplicationLag", "Reconnect", "LimitConnections", "Notify", forSeconds=0, mode="Auto")


def test_a_symptom_that_comes_and_goes_is_answered_only_once_it_stays() -> None:
    """With gaps shorter than `clearSeconds` it is one incident, older than `forSeconds`, and has not lasted."""
    back = scene.incident(0, present_since=at(55))
    policy = replace(scene.policy("pools", RULE), status=RecoveryPolicyStatus(symptoms=[back]))
    early, late = (decide(scene.lost(policy), (policy,), History(), at(now)) for now in (84.9, 85))
    assert (first(early).reason, first(early).since, early.create) == ("SymptomIsNew", at(0), ())
    assert [new.spec.action.value for new in late.create] == ["Reconnect"]


def first(decisions: Decisions, policy: str = "pools") -> SymptomStatus:
    return decisions.statuses[policy].symptoms[0]


def told(decisions: Decisions, policy: str = "pools") -> tuple[str, str]:
    incident = first(decisions, policy)
    return incident.verdict.value, incident.reason


def names(decisions: Decisions) -> list[str]:
    return [new.spec.action.value for new in decisions.create]


def of_lag(*policies: PolicyView) -> Symptoms:
    return scene.seen(policies, {(ORDERS, LAG): YES, (USERS, LAG): NO})


def climbed(*acts: ActionView, now: float = 5000, **spec: Any) -> Decisions:
    policy = knowing(scene.policy("pools", LADDER, **spec), scene.incident(0, symptom=LAG))
    return look([policy], of_lag(policy), now, acts)


def test_a_symptom_is_answered_once_it_has_lasted() -> None:
    policy = scene.policy("pools", RULE)
    new = look([policy], scene.lost(policy), 0)
    assert (told(new), names(new), new.next) == (("Wait", "SymptomIsNew"), [], RequeueAfter(30))
    (policy,) = scene.written([policy], new)
    almost = look([policy], scene.lost(policy), 29.9)
    assert almost.statuses["pools"] == policy.status
    ripe = look([policy], scene.lost(policy), 30)
    assert (told(ripe), names(ripe)) == (("Act", "Acting"), ["Reconnect"])
    (made,) = ripe.create
    assert made.policy == "pools"
    assert made.name == first(ripe).action
    assert made.spec.trigger is not None
    assert (made.spec.trigger.policy, made.spec.trigger.step, made.spec.trigger.since) == ("pools", 1, at(0))
    assert (made.spec.approval_required, made.spec.dry_run, made.spec.verify_seconds) == (False, False, 120)
    assert isinstance(ripe.next, RequeueAfter)
    assert [n.message for n in ripe.notices["pools"]] == [
        f"ConnectionLost of ConnectionPool orders: RecoveryAction {made.name} (Reconnect) is made"
    ]


def test_what_was_decided_and_not_created_is_decided_again_under_the_same_name() -> None:
    policy = knowing(scene.policy("pools", RULE), scene.incident())
    once = look([policy], scene.lost(policy), 40)
    again = look(scene.written([policy], once), scene.lost(policy), 90)
    assert [new.name for new in once.create] == [new.name for new in again.create]
    assert again.notices == {}


def test_a_name_can_be_one_and_tells_acts_apart() -> None:
    long = (TargetKind.CONNECTION_POOL, "a" * 29 + ".b.example")
    made = set()
    for since in (0, 1):
        for acts in ((), (failed("x", target=long, since=since),)):
            policy = knowing(scene.policy("pools", RULE), scene.incident(since, long))
            sees = scene.seen([policy], {(long, LOST): YES, (USERS, LOST): NO})
            made |= {new.name for new in look([policy], sees, 900, acts).create}
    assert len(made) == 4
    assert all(len(name) <= 63 and name.replace("-", "").isalnum() for name in made)


@pytest.mark.parametrize(
    ("acts", "verdict", "reason", "created"),
    [
        ([], "Act", "Acting", ["Reconnect"]),
        ([act("a", "Pending")], "Watch", "ActUnderWay", []),
        ([act("a", "Waiting")], "Watch", "ActUnderWay", []),
        ([act("a", "Claimed")], "Watch", "ActUnderWay", []),
        ([act("a", "Running")], "Watch", "ActUnderWay", []),
        ([act("a", "Verifying")], "Watch", "ActUnderWay", []),
        ([act("a", "AwaitingApproval", approvalRequired=True)], "Watch", "AwaitingApproval", []),
        ([failed("a")], "Act", "Acting", ["LimitConnections"]),
        ([act("a", "Refused")], "Act", "Acting", ["LimitConnections"]),
        ([act("a", "Unknown")], "GaveUp", "OutcomeUnknown", []),
        ([act("a", "Skipped")], "Act", "Acting", ["Reconnect"]),
        ([helped("a")], "Act", "Acting", ["Reconnect"]),
        ([failed("a"), failed("b", action="LimitConnections", step=2)], "Act", "Acting", ["Notify"]),
    ],
)
def test_each_phase_of_the_last_act_leads_somewhere(
    acts: Sequence[ActionView], verdict: str, reason: str, created: list[str]
) -> None:
    lag = [replace(a, spec=a.spec.model_copy(update={"trigger": _of_lag(a)})) for a in acts]
    found = climbed(*lag)
    assert (told(found), names(found)) == ((verdict, reason), created)


def _of_lag(action: ActionView) -> Any:
    assert action.spec.trigger is not None
    return action.spec.trigger.model_copy(update={"symptom": LAG})


def lag(name: str, action: str, step: int, ended: float) -> ActionView:
    return failed(name, ended, action=action, step=step, symptom="ReplicationLag")


def test_at_the_end_of_the_ladder_it_is_hands_off_until_the_symptom_is_gone() -> None:
    told_people = act("c", "Succeeded", "Notify", step=3, claimed=300, symptom="ReplicationLag")
    acts = [lag("a", "Reconnect", 1, 100), lag("b", "LimitConnections", 2, 200), told_people]
    found = climbed(*acts)
    assert (told(found), names(found), found.next) == (("GaveUp", "GaveUp"), [], Done())
    assert first(found).step == 3
    assert [n.reason for n in found.notices["pools"]] == ["GaveUp"]
    policy = knowing(scene.policy("pools", LADDER), *found.statuses["pools"].symptoms)
    gone = look([policy], scene.seen([policy], {(ORDERS, LAG): NO, (USERS, LAG): NO}), 5100, acts)
    assert told(gone) == ("Over", "SymptomIsGone")
    (policy,) = scene.written([policy], gone)
    over = look([policy], scene.seen([policy], {(ORDERS, LAG): NO, (USERS, LAG): NO}), 5130, acts)
    assert over.statuses["pools"].symptoms == []


def test_people_who_were_told_have_time_before_the_next_step() -> None:
    ladder = scene.rule("ConnectionLost", {"action": "Notify", "timeoutSeconds": 60}, "Reconnect", forSeconds=0)
    policy = knowing(scene.policy("pools", ladder), scene.incident())
    told_people = act("a", "Succeeded", "Notify", claimed=100, ended=101)
    assert names(look([policy], scene.lost(policy), 159, [told_people])) == []
    assert names(look([policy], scene.lost(policy), 160, [told_people])) == ["Reconnect"]


def test_an_act_that_is_gone_does_not_begin_the_ladder_anew() -> None:
    policy = knowing(scene.policy("pools", LADDER), scene.incident(0, symptom=LAG))
    first_failed = [lag("a", "Reconnect", 1, 100)]
    (policy,) = scene.written([policy], look([policy], of_lag(policy), 5000, first_failed))
    gone = look([policy], of_lag(policy), 5001)
    assert names(gone) == ["LimitConnections"]
    assert gone.create[0].spec.trigger is not None
    assert gone.create[0].spec.trigger.step == 2


def test_an_open_breaker_passes_on_and_the_first_that_closes_is_waited_for() -> None:
    """Of two breakers the one of the later step closes first: then that step is next."""
    ladder = scene.rule("ReplicationLag", "Reconnect", "LimitConnections", forSeconds=0, mode="Auto")
    spec: Any = {"breaker": {"failures": 1, "openSeconds": 3600}, "cooldownSeconds": 0}
    policy = knowing(scene.policy("pools", ladder, **spec), scene.incident(5000, symptom=LAG))
    early = failed("b", 3000, action="LimitConnections", symptom="ReplicationLag", since=-5)
    late = failed("a", 4000, symptom="ReplicationLag", since=-5)
    found = look([policy], of_lag(policy), 5000, [early, late])
    assert (told(found), found.next) == (("Wait", "BreakerOpen"), RequeueAfter(1600))
    assert names(look([policy], of_lag(policy), 6600, [early, late])) == ["LimitConnections"]
    assert names(look([policy], of_lag(policy), 5000, [late])) == ["LimitConnections"]


@pytest.mark.parametrize(
    ("mode", "approval", "dry", "reason"),
    [
        ("Auto", False, False, "Acting"),
        ("Approve", True, False, "AwaitingApproval"),
        ("DryRun", False, True, "WouldAct"),
    ],
)
def test_the_mode_says_what_is_made(mode: str, approval: bool, dry: bool, reason: str) -> None:
    policy = knowing(scene.policy("pools", RULE, mode=mode), scene.incident())
    found = look([policy], scene.lost(policy), 60)
    (made,) = found.create
    assert (made.spec.approval_required, made.spec.dry_run, first(found).reason) == (approval, dry, reason)


def test_mode_off_makes_nothing() -> None:
    policy = knowing(scene.policy("pools", RULE, mode="Off"), scene.incident())
    found = look([policy], scene.lost(policy), 60)
    assert (told(found), found.create) == (("Wait", "ModeOff"), ())


def test_without_a_mode_each_action_has_its_own() -> None:
    rules = scene.rule("HighMemory", "FlushNamespace", "PurgeMemory", forSeconds=0)
    policy = knowing(scene.policy("pools", rules), scene.incident(0, HOT, Symptom.HIGH_MEMORY))
    sees = scene.seen([policy], {(HOT, Symptom.HIGH_MEMORY): YES, ((HOT[0], "cold"), Symptom.HIGH_MEMORY): NO})
    found = look([policy], sees, 60)
    assert [(new.spec.action.value, new.spec.dry_run) for new in found.create] == [("FlushNamespace", True)]


def test_a_dry_run_is_made_once_an_incident() -> None:
    policy = knowing(scene.policy("pools", RULE, mode="DryRun"), scene.incident())
    once = look([policy], scene.lost(policy), 60)
    (made,) = once.create
    done = act(made.name, "Skipped", dryRun=True, ended=61)
    for now in (62, 9000, 90000):
        (policy,) = scene.written([policy], once)
        once = look([policy], scene.lost(policy), now, [done])
        assert (told(once), once.create) == (("Wait", "WouldAct"), ())
    # a dry run was no try
    automatic = knowing(scene.policy("pools", RULE, mode="Auto"), *once.statuses["pools"].symptoms)
    assert names(look([automatic], scene.lost(automatic), 90001, [done])) == ["Reconnect"]


def test_a_dry_run_that_was_deleted_is_not_made_again() -> None:
    policy = knowing(scene.policy("pools", RULE, mode="DryRun"), scene.incident())
    made = look([policy], scene.lost(policy), 60)
    (policy,) = scene.written([policy], made)
    done = act(made.create[0].name, "Skipped", dryRun=True, ended=61)
    (policy,) = scene.written([policy], look([policy], scene.lost(policy), 62, [done]))
    assert names(look([policy], scene.lost(policy), 700)) == []


def test_what_cannot_be_told_begins_no_act_and_ends_no_incident() -> None:
    policy = knowing(scene.policy("pools", RULE), scene.incident())
    (policy,) = scene.written([policy], look([policy], scene.lost(policy), 20))
    blind = look([policy], scene.lost(policy, sign=UNTOLD), 60)
    assert names(blind) == []
    assert len(blind.statuses["pools"].symptoms) == 1
    (policy,) = scene.written([policy], blind)
    assert names(look([policy], scene.lost(policy), 61)) == ["Reconnect"]


def test_what_makes_users_ill_first_and_then_what_is_oldest() -> None:
    rules = (RULE, scene.rule("ModelTimeout", "SwitchModel", forSeconds=0, severity="Critical"))
    policy = scene.policy("pools", *rules, budget={"perNamespace": 1}, storm={"minTargets": 9})
    chat = Symptom.MODEL_TIMEOUT
    known = (scene.incident(0), scene.incident(5, USERS), scene.incident(9, CHAT, chat))
    policy = knowing(policy, *known)
    signs = {(ORDERS, LOST): YES, (USERS, LOST): YES, (CHAT, chat): YES}
    assert [n.spec.target.name for n in look([policy], scene.seen([policy], signs), 900).create] == ["chat"]
    del signs[CHAT, chat]
    assert [n.spec.target.name for n in look([policy], scene.seen([policy], signs), 900).create] == ["orders"]


def test_one_act_at_a_time_on_an_object_whatever_is_wrong_with_it() -> None:
    policy = scene.policy("pools", RULE, LADDER)
    policy = knowing(policy, scene.incident(0), scene.incident(1, symptom=LAG))
    sees = scene.seen([policy], {(ORDERS, LOST): YES, (ORDERS, LAG): YES, (USERS, LOST): NO})
    found = look([policy], sees, 900)
    assert len(found.create) == 1
    reasons = [i.reason for i in found.statuses["pools"].symptoms]
    assert sorted(reasons) == ["ActUnderWay", "Acting"]


def test_a_person_s_act_is_waited_for() -> None:
    policy = knowing(scene.policy("pools", RULE), scene.incident())
    found = look([policy], scene.lost(policy), 900, [act("eves", "Running", of=None)])
    assert (told(found), found.create) == (("Wait", "ActUnderWay"), ())


@pytest.mark.parametrize(
    ("modes", "leader"), [(("Auto", "Auto"), "a"), (("Auto", "Approve"), "z"), (("DryRun", "Off"), "z")]
)
def test_of_two_policies_the_stricter_leads(modes: tuple[str, str], leader: str) -> None:
    policies = [
        knowing(scene.policy(name, RULE, mode=mode), scene.incident())
        for name, mode in zip(("a", "z"), modes, strict=True)
    ]
    for order in (policies, policies[::-1]):
        found = look(order, scene.lost(*policies), 60)
        other = "z" if leader == "a" else "a"
        assert told(found, other) == ("Wait", "StricterPolicy")
        assert leader in first(found, other).why
        assert [new.policy for new in found.create] == ([] if "Off" in modes else [leader])


def test_a_policy_that_does_not_see_it_is_no_less_strict() -> None:
    quick, slow = scene.policy("a", RULE, mode="Auto"), scene.policy("z", RULE, mode="Approve")
    both = scene.lost(quick, slow)
    seen = tuple(replace(s, sign=NO) if s.policy == "z" else s for s in both.seen)
    found = look([knowing(quick, scene.incident()), slow], replace(both, seen=seen), 60)
    assert [new.spec.approval_required for new in found.create] == [True]


def test_in_a_storm_nobody_acts_and_it_ends_after_a_quiet_time() -> None:
    policy = knowing(scene.policy("pools", RULE), scene.incident(), scene.incident(0, USERS))
    all_ = scene.seen([policy], {(ORDERS, LOST): YES, (USERS, LOST): YES})
    found = look([policy], all_, 60)
    assert ({i.reason for i in found.statuses["pools"].symptoms}, found.create) == ({"StormActive"}, ())
    assert [n.reason for n in found.notices["pools"]] == ["StormActive"]
    (policy,) = scene.written([policy], found)
    calm = look([policy], scene.lost(policy), 70)
    assert (told(calm), calm.create) == (("Wait", "StormActive"), ())
    (policy,) = scene.written([policy], calm)
    assert look([policy], scene.lost(policy), 369.9).create == ()
    over = look([policy], scene.lost(policy), 370)
    assert (names(over), over.statuses["pools"].storm) == (["Reconnect"], None)
    assert "Calm" in [n.reason for n in over.notices["pools"]]


def test_more_than_a_status_has_room_for_are_counted() -> None:
    keys = [(TargetKind.CONNECTION_POOL, f"db{i:03}") for i in range(MAX_SYMPTOMS + 6)]
    policy = scene.policy("pools", RULE, storm={"minTargets": 1000})
    sees = scene.seen([policy], {(key, LOST): YES for key in keys})
    found = look([policy], sees, 0)
    status = found.statuses["pools"]
    assert (len(status.symptoms), status.symptomatic) == (MAX_SYMPTOMS, len(keys))
    (policy,) = scene.written([policy], found)
    again = look([policy], sees, 10).statuses["pools"]
    assert again == status


def test_a_slow_statement_s_age_is_handed_on() -> None:
    rule = scene.rule("SlowQueries", "CancelStatement", forSeconds=0, thresholdSeconds=7, mode="Auto")
    policy = knowing(scene.policy("pools", rule), scene.incident(0, symptom=Symptom.SLOW_QUERIES))
    sees = scene.seen([policy], {(ORDERS, Symptom.SLOW_QUERIES): YES, (USERS, Symptom.SLOW_QUERIES): NO})
    (made,) = look([policy], sees, 60).create
    assert made.spec.parameters.min_seconds == 7


def test_an_act_that_waits_to_be_told_holds_no_other_one() -> None:
    policy = knowing(scene.policy("pools", RULE, LADDER), scene.incident(0), scene.incident(1, symptom=LAG))
    sees = scene.seen([policy], {(ORDERS, LOST): UNTOLD, (ORDERS, LAG): YES, (USERS, LOST): NO})
    found = look([policy], sees, 900, [act("a", "Waiting")])
    assert [new.spec.trigger.symptom for new in found.create if new.spec.trigger] == [LAG]


def test_a_dry_run_that_was_deleted_is_told_of_in_the_same_words_again() -> None:
    """Also after another step of the ladder was taken."""
    rule = scene.rule("HighMemory", "FlushNamespace", "PurgeMemory", forSeconds=0)
    memory: dict[str, Any] = {"target": HOT, "symptom": "HighMemory"}
    policy = knowing(scene.policy("pools", rule), scene.incident(0, HOT, Symptom.HIGH_MEMORY))
    sees = scene.seen([policy], {(HOT, Symptom.HIGH_MEMORY): YES, ((HOT[0], "cold"), Symptom.HIGH_MEMORY): NO})
    purge = failed("b", 900, action="PurgeMemory", step=2, **memory)
    said = act("a", "Skipped", "FlushNamespace", dryRun=True, **memory)
    (policy,) = scene.written([policy], look([policy], sees, 5000, [said, purge]))
    (policy,) = scene.written([policy], look([policy], sees, 5001, [purge]))
    again = look([policy], sees, 5002, [purge])
    assert (again.statuses["pools"], again.create) == (policy.status, ())
    assert told(again) == ("Wait", "WouldAct")
