"""Guard rails: each is asked when an act is decided on, and again when it is about to be claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from sophia_operator.api.recovery_action_status import ActionPhase, RecoveryActionStatus
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus, StormStatus
from sophia_operator.api.recovery_values import Symptom
from sophia_operator.core.recovery.views import ActionView, PolicyView, Symptoms
from tests.support import recovery_scene as scene
from tests.support.recovery_scene import LOST, NO, ORDERS, UNTOLD, USERS, YES, act, failed, helped
from tests.support.symptom_scene import at

NOW: Final = 7000.0
SINCE: Final = 6900.0
RULE: Final = scene.rule("ConnectionLost", "Reconnect", "Notify", forSeconds=0)
PAUSE: Final[dict[str, Any]] = {"who": "eve", "why": "a migration"}
STORM: Final = StormStatus(since=at(1), targets=3, of=4)
BREAKER: Final[dict[str, Any]] = {"failures": 2, "openSeconds": 9000}
LAG: Final[dict[str, Any]] = {"symptom": "ReplicationLag", "of": "pools"}


@dataclass(frozen=True)
class Rail:
    """What holds an act up: by which reason, and until when by time alone."""

    what: str
    reason: str
    until: float | None = None
    spec: dict[str, Any] = field(default_factory=dict)
    status: RecoveryPolicyStatus | None = None
    actions: Sequence[ActionView] = ()
    history: dict[str, Any] = field(default_factory=dict)
    well: tuple[Any, ...] = (USERS,)
    #: Who passes it: a person, one who forces it, one who gives a reason too.
    person: bool = False
    forced: bool = False
    overridden: bool = False


def users(name: str, claimed: float) -> ActionView:
    return act(name, "Succeeded", target=USERS, claimed=claimed, status={"verified": "Helped"})


RAILS: Final = (
    Rail("a pause", "PauseRequested", spec={"pauseRequests": [PAUSE]}, person=True),
    Rail(
        "a pause that ends", "PauseRequested", 7100, {"pauseRequests": [{**PAUSE, "until": at(7100)}]}, person=True
    ),
    Rail("a window", "QuietWindow", 10800, {"quietWindows": [{"start": "13:00", "end": "15:00"}]}, person=True),
    Rail(
        "a window nowhere", "InvalidSpec",
        spec={"quietWindows": [{"start": "01:00", "end": "02:00", "timeZone": "Mars/Olympus"}]}, person=True,
    ),
    Rail("a storm", "StormActive", 7300, status=RecoveryPolicyStatus(storm=STORM), overridden=True),
    Rail("an act", "ActUnderWay", actions=[act("other", "Verifying", of=None, claimed=6990)]),
    Rail("an act that is claimed", "ActUnderWay", actions=[act("other", "Claimed", claimed=6990, **LAG)]),
    Rail("the floor", "BelowFloor", spec={"floor": 2}, forced=True),
    Rail("a cool-down", "CoolingDown", 7200, actions=[helped("a", 6900, since=1)], forced=True),
    Rail("a cool-down, doubled", "CoolingDown", 7400, actions=[failed("a", 6800, since=1)], forced=True),
    Rail(
        "a cool-down, twice", "CoolingDown", 7600,
        actions=[failed("a", 6000, since=1), failed("b", 6400, since=1)], forced=True,
    ),
    Rail(
        "a cool-down at its longest", "CoolingDown", 7050, {"maxCooldownSeconds": 350},
        actions=[failed(name, 6700, since=1) for name in "ab"], forced=True,
    ),
    Rail(
        "the breaker", "BreakerOpen", 12000, {"breaker": BREAKER, "cooldownSeconds": 0},
        actions=[failed("a", 2000, since=1), failed("b", 3000, since=1)], forced=True,
    ),
    Rail(
        "the budget of the object", "BudgetSpent", 7590, {"budget": {"perTarget": 2}, "cooldownSeconds": 0},
        actions=[helped(name, end, since=1) for name, end in (("a", 3300), ("b", 4000), ("c", 5000))], forced=True,
    ),
    Rail(
        "the budget of the namespace", "BudgetSpent", 7100, {"budget": {"perNamespace": 2}},
        actions=[users("a", 3500), users("b", 4000)], forced=True,
    ),
    Rail(
        "the budget of the cluster", "BudgetSpent", 7600, {"budget": {"cluster": 3}},
        actions=[users("a", 4000)], history={"elsewhere": (at(3900), at(5000), at(6000))}, forced=True,
    ),
    Rail("no budget", "BudgetSpent", spec={"budget": {"perNamespace": 0}}, forced=True),
    Rail("a release", "LeftToRelease", history={"moving": (scene.moving(began=6000, traffic=True),)}, person=True),
)  # fmt: skip


def of(rail: Rail) -> PolicyView:
    return scene.policy("pools", RULE, status=rail.status, **rail.spec)


def seen(rail: Rail, policy: PolicyView) -> Symptoms:
    return scene.lost(policy, well=rail.well)


@pytest.mark.parametrize("rail", RAILS, ids=lambda rail: rail.what)
def test_nothing_is_made(rail: Rail) -> None:
    known = RecoveryPolicyStatus(symptoms=[scene.incident(SINCE)], storm=rail.status.storm if rail.status else None)
    policy = scene.policy("pools", RULE, status=known, **rail.spec)
    found = scene.look([policy], seen(rail, policy), NOW, rail.actions, **rail.history)
    (incident,) = found.statuses["pools"].symptoms
    if rail.what == "the breaker":  # passes on to the next step
        assert [new.spec.action.value for new in found.create] == ["Notify"]
        return
    assert (found.create, incident.reason) == ((), rail.reason)
    assert found.statuses["pools"].symptoms[0].verdict in ("Wait", "Watch")


@pytest.mark.parametrize("rail", RAILS, ids=lambda rail: rail.what)
def test_nothing_is_claimed(rail: Rail) -> None:
    policy = of(rail)
    mine = act("mine", since=SINCE)
    found = scene.advance(
        mine, NOW, policies=[policy], symptoms=seen(rail, policy), actions=rail.actions, **rail.history
    )
    assert (found.status.phase, found.status.claimed_at) == (ActionPhase.WAITING, None)
    assert {c.reason for c in found.status.conditions if c.type == "Ready"} == {rail.reason}
    until = getattr(found.next, "seconds", None)
    assert until == (rail.until - NOW if rail.until is not None else None)


@pytest.mark.parametrize("rail", RAILS, ids=lambda rail: rail.what)
@pytest.mark.parametrize("who", ["a person", "with force", "with a reason"])
def test_persons_pass_what_they_may(rail: Rail, who: str) -> None:
    policy = of(rail)
    why = {"overrideReason": "it is all down"}
    how: dict[str, dict[str, Any]] = {"with force": {"force": True}, "with a reason": {"force": True, **why}}
    mine = act("mine", of=None, **how.get(who, {}))
    symptoms = seen(rail, policy)
    found = scene.advance(mine, NOW, policies=[policy], symptoms=symptoms, actions=rail.actions, **rail.history)
    passes = {"a person": rail.person, "with force": rail.person or rail.forced}
    allowed = passes.get(who, rail.person or rail.forced or rail.overridden)
    assert found.status.phase is (ActionPhase.CLAIMED if allowed else ActionPhase.WAITING)


@pytest.mark.parametrize("rail", [r for r in RAILS if r.until is not None], ids=lambda rail: rail.what)
def test_it_ends_by_time(rail: Rail) -> None:
    assert rail.until is not None
    calm = rail.status
    if calm is not None:
        calm = RecoveryPolicyStatus(storm=STORM.model_copy(update={"quiet_since": at(7000)}))
    policy = scene.policy("pools", RULE, status=calm, **rail.spec)
    mine = act("mine", since=SINCE)

    def phase(now: float) -> ActionPhase:
        symptoms = seen(rail, policy)
        decided = scene.advance(mine, now, policies=[policy], symptoms=symptoms, actions=rail.actions, **rail.history)
        return decided.status.phase

    assert phase(rail.until - 0.1) is ActionPhase.WAITING
    assert phase(rail.until) is ActionPhase.CLAIMED


@pytest.mark.parametrize("rail", RAILS, ids=lambda rail: rail.what)
def test_words_stay_the_same(rail: Rail) -> None:
    policy = of(rail)
    mine = act("mine", since=SINCE)

    def status(action: ActionView, now: float) -> RecoveryActionStatus:
        symptoms = seen(rail, policy)
        made = scene.advance(action, now, policies=[policy], symptoms=symptoms, actions=rail.actions, **rail.history)
        return made.status

    first = status(mine, NOW)
    waits = act("mine", since=SINCE, status=first.to_dict())
    assert status(waits, NOW + 7) == first


@pytest.mark.parametrize(
    ("others", "may"),
    [
        ([act("a", "Pending")], True),
        ([act("a", "AwaitingApproval")], True),
        ([act("a", "Claimed", target=USERS)], True),
        ([act("a", "Refused")], True),
        ([failed("a", 6990)], True),  # of the same incident: its time-out was the cool-down
        ([failed("a", 6990, since=1)], False),
        ([failed("a", 6990), failed("b", 6995, of=None, step=2)], False),  # a person's came after it
        ([act("a", "Skipped", ended=6990, dryRun=True)], True),
        ([act("a", "Succeeded", "Notify", ended=6990)], True),
        ([act("a", "Succeeded", "Notify", ended=6990, claimed=6980, since=1)], True),
    ],
)
def test_what_of_others_holds_an_act_up(others: Sequence[ActionView], may: bool) -> None:
    policy = scene.policy("pools", RULE)
    mine = act("mine", step=3)
    found = scene.advance(mine, NOW, policies=[policy], actions=others)
    assert found.status.phase is (ActionPhase.CLAIMED if may else ActionPhase.WAITING)


@pytest.mark.parametrize(
    ("action", "symptom", "began", "traffic", "phase"),
    [
        ("Reconnect", "ConnectionLost", 6999, True, "Claimed"),  # it was there before
        ("Reconnect", "ConnectionLost", 0, True, "Waiting"),
        ("Reconnect", "ConnectionLost", 0, False, "Claimed"),
        ("LimitConnections", "ReplicationLag", 6999, True, "Waiting"),
        ("LimitConnections", "ReplicationLag", 0, False, "Waiting"),
        ("Notify", "ReplicationLag", 6999, True, "Claimed"),
    ],
)
def test_under_a_release_only_what_makes_users_safe(
    action: str, symptom: str, began: float, traffic: bool, phase: str
) -> None:
    rules = (RULE, scene.rule("ReplicationLag", "LimitConnections", "Notify", mode="Auto"))
    policy = scene.policy("pools", *rules)
    sees = scene.seen([policy], {(ORDERS, Symptom(symptom)): YES, (USERS, LOST): NO})
    mine = act("mine", action=action, symptom=symptom, since=SINCE)
    release = scene.moving(began=began, traffic=traffic)
    found = scene.advance(mine, NOW, policies=[policy], symptoms=sees, moving=(release,))
    assert found.status.phase.value == phase
    elsewhere = scene.moving(USERS, began=began, traffic=traffic)
    free = scene.advance(mine, NOW, policies=[policy], symptoms=sees, moving=(elsewhere,))
    assert free.status.phase is ActionPhase.CLAIMED


def test_a_storm_holds_before_it_is_written_down() -> None:
    policy = scene.policy("pools", RULE, storm={"minTargets": 2, "maxTargetsPercent": 50})
    sees = scene.seen([policy], {(ORDERS, LOST): YES, (USERS, LOST): YES})
    found = scene.advance(act("mine", since=SINCE), NOW, policies=[policy], symptoms=sees)
    assert found.status.phase is ActionPhase.WAITING


def test_of_whom_it_cannot_be_told_nobody_relies_on() -> None:
    policy = scene.policy("pools", RULE, floor=1)
    sees = scene.seen([policy], {(ORDERS, LOST): YES, (USERS, LOST): UNTOLD})
    found = scene.advance(act("mine", since=SINCE), NOW, policies=[policy], symptoms=sees)
    assert found.status.phase is ActionPhase.WAITING


STRICT: Final[dict[str, Any]] = {
    "mode": {"mode": "Off"},
    "the budget": {"budget": {"perTarget": 0}},
    "the cool-down": {"cooldownSeconds": 3000},
    "the floor": {"floor": 2},
    "a pause": {"pauseRequests": [PAUSE]},
    "a window": {"quietWindows": [{"start": "13:00", "end": "15:00"}]},
    "the breaker": {"breaker": {"failures": 1, "openSeconds": 9000}},
}


@pytest.mark.parametrize("what", STRICT)
@pytest.mark.parametrize("strict", ["a", "z"])
def test_of_two_policies_the_stricter_rail_holds(what: str, strict: str) -> None:
    """Whatever their names are, and whichever of them made the action."""
    policies = [scene.policy(name, RULE, **(STRICT[what] if name == strict else {})) for name in ("a", "z")]
    before = [failed("before", 5000, since=1)]
    for mine in (act("mine", of="a", since=SINCE), act("mine", of="z", since=SINCE)):
        both = scene.advance(mine, NOW, policies=policies, actions=before)
        assert both.status.claimed_at is None
        lenient = [p for p in policies if p.name != strict]
        if mine.spec.trigger is not None and mine.spec.trigger.policy != strict:
            alone = scene.advance(mine, NOW, policies=lenient, actions=before)
            assert alone.status.phase is ActionPhase.CLAIMED
    made = scene.look(policies, scene.lost(*policies), NOW, before)
    assert [new.spec.action.value for new in made.create] == (["Notify"] if what == "the breaker" else [])


@pytest.mark.parametrize(
    ("mode", "spec", "phase"),
    [
        ("Auto", {}, "Claimed"),
        ("Off", {}, "Skipped"),
        ("DryRun", {}, "Skipped"),
        ("Approve", {}, "Skipped"),
        ("Approve", {"approvalRequired": True, "approved": True, "approvedBy": "eve"}, "Claimed"),
        ("Off", {"approvalRequired": True, "approved": True, "approvedBy": "eve"}, "Skipped"),
        ("Off", {"approvalRequired": True}, "Skipped"),
    ],
)
def test_a_mode_that_became_stricter_binds_what_was_made_before(mode: str, spec: dict[str, Any], phase: str) -> None:
    policy = scene.policy("pools", RULE, mode=mode)
    found = scene.advance(act("mine", since=SINCE, **spec), NOW, policies=[policy])
    assert found.status.phase.value == phase
    person = scene.advance(act("mine", of=None), NOW, policies=[policy])
    assert person.status.phase is ActionPhase.CLAIMED


def test_what_no_policy_names_any_more_is_not_done() -> None:
    mine = act("mine", since=SINCE)
    others = scene.policy("others", RULE)
    lag = scene.policy("pools", scene.rule("ReplicationLag", "Reconnect"))
    told = scene.policy("pools", scene.rule("ConnectionLost", "Notify"))
    for policies in ([], [others], [lag], [told]):
        found = scene.advance(mine, NOW, policies=policies, symptoms=scene.lost(*policies))
        assert found.status.phase is ActionPhase.SKIPPED
