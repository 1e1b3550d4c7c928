"""What a RecoveryAction that asks for another model makes of one pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import ModelState, Share, SwitchKind, SwitchPhase, SwitchStatus
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.model.plan import plan_switch
from sophia_operator.core.model.plan_values import Ranking, SwitchPlan
from sophia_operator.core.model.told import told_hash
from sophia_operator.core.model.views import ModelRouteView
from sophia_operator.core.recovery.views import ActRequest
from tests.support.model_scene import after, at, health, model, observed, ranking, route, spec, switch

FAILING = health(ModelState.FAILING, failing_since=at(-3), evidence="2 of 6 probes failed (Timeout)")
ACT = ActRequest("act-1", "uid-1", Action.SWITCH_MODEL, claimed_at=at(0), may_begin=True)
MODELS = [model("large"), model("small"), model("third")]


def shares(**percent: int) -> list[Share]:
    return [Share(name=name, percent=share) for name, share in percent.items()]


def standing(wish: dict[str, Any] | None = None, **status: Any) -> ModelRouteView:
    """`large` serves, or what the status says; the gateway was told so by revision 3, and follows."""
    usual: dict[str, Any] = {
        "active": "large",
        "shares": shares(large=100),
        "fallbacks": ["small"],
        "revision": 3,
        "revision_at": at(-100),
        "proved_revision": 3,
    }
    view = route(spec(**(wish or {})), **{**usual, **status})
    told = {s.name: s.percent for s in view.status.shares}
    known = told_hash(view.spec, told, view.status.fallbacks)
    return after(view, view.status.model_copy(update={"config_hash": known}))


def plan(view: ModelRouteView, *acts: ActRequest, judged: Ranking | None = None) -> SwitchPlan:
    judged = judged or ranking({"large": FAILING})
    return plan_switch(view, observed(1, acts=acts), judged, at(1))


def running(subject: str, began: datetime) -> ActStatus:
    return ActStatus(
        name="act-1",
        uid="uid-1",
        action=Action.SWITCH_MODEL,
        phase=ActPhase.RUNNING,
        subject=subject,
        started_at=began,
    )


def failback(percent: int, **changes: Any) -> SwitchStatus:
    """`large` gets its traffic back from `small`."""
    usual = {
        "from_model": "small", "to": "large", "percent": percent, "phase": SwitchPhase.OBSERVING,
        "phase_since": at(-5), "revision": 3, "proved_at": at(-50),
    }  # fmt: skip
    return switch(SwitchKind.FAILBACK, **{**usual, **changes})


def test_what_is_written_down_says_which_model_is_to_serve_and_why() -> None:
    planned = plan(standing(), ACT)
    begun, (act,) = planned.switch, planned.acts
    assert begun is not None
    assert (begun.kind, begun.from_model, begun.to, begun.percent) == (SwitchKind.RECOVERY, "large", "small", 100)
    assert begun.trigger.startswith("RecoveryAction act-1 asks for it; large is Failing")
    assert "2 of 6 probes failed" in begun.evidence
    assert (act.phase, act.subject, act.started_at, act.did) == (ActPhase.RUNNING, "small", begun.started_at, [])
    assert (planned.shares, planned.revision, planned.preferred) == ({"small": 100}, 4, "large")
    assert [n.reason for n in planned.notices] == [Reason.SWITCHING.value]
    assert planned.hold_until is not None


@pytest.mark.parametrize(
    "request_",
    [
        replace(ACT, may_begin=False),
        replace(ACT, action=Action.RECONNECT),
    ],
    ids=["not to be begun", "another action"],
)
def test_nothing_is_begun_that_is_not_asked_for(request_: ActRequest) -> None:
    planned = plan(standing(), request_)
    assert (planned.switch, planned.acts) == (None, ())


def test_the_other_model_of_a_failback_is_asked_first() -> None:
    """`small` serves most, fails, and `large` gets all of it. A failback that goes on has not failed."""
    shared = standing(
        {"models": MODELS}, active="small", shares=shares(small=75, large=25), switch=failback(25), preferred="large"
    )
    judged = ranking({"small": FAILING, "third": health()}, third=0.95)
    planned = plan(shared, ACT, judged=judged)
    assert planned.switch is not None
    assert (planned.switch.kind, planned.switch.to, planned.failed_failbacks) == (SwitchKind.RECOVERY, "large", 0)
    assert planned.past is not None
    assert planned.past.result.value == "Overtaken"


def test_a_failback_whose_model_fails_goes_all_the_way_back() -> None:
    last = standing({"models": MODELS}, switch=failback(100))
    planned = plan(last, ACT, judged=ranking({"large": FAILING, "third": health()}, third=0.95))
    assert planned.switch is not None
    assert (planned.switch.to, planned.failed_failbacks, planned.preferred) == ("small", 1, "large")


def test_a_person_may_call_off_a_failback() -> None:
    shared = standing(active="small", shares=shares(small=75, large=25), switch=failback(25), preferred="large")
    planned = plan(shared, replace(ACT, parameters=Parameters(model="small")), judged=ranking())
    assert planned.switch is not None
    assert (planned.switch.from_model, planned.switch.to, planned.shares) == ("large", "small", {"small": 100})
    assert (planned.failed_failbacks, planned.preferred) == (0, "large")


def test_a_model_that_left_the_spec_is_replaced_first() -> None:
    gone = standing(active="gone", shares=shares(gone=100))
    planned = plan(gone, ACT, judged=ranking())
    assert planned.switch is not None
    assert (planned.switch.kind, planned.acts, planned.wait) == (SwitchKind.FAILOVER, (), 0.0)
    nobody = plan(route(spec()), ACT, judged=ranking())
    assert [(a.phase, a.message) for a in nobody.acts] == [
        (ActPhase.REFUSED, "no model serves yet: the first one is chosen by itself")
    ]


def test_an_act_ends_in_the_pass_in_which_its_switch_does() -> None:
    going = switch(SwitchKind.RECOVERY, revision=3)
    view = standing(
        active="small", shares=shares(small=100), fallbacks=["large"], switch=going, acts=[running("small", at(0))]
    )
    (act,) = plan(view, ACT).acts
    assert (act.phase, act.ended_at) == (ActPhase.DONE, at(1))
    assert act.message == "small serves, proved at every replica of the gateway (2 replicas)"
    (late,) = plan_switch(view, observed(1, revision=2, acts=(ACT,)), ranking({"large": FAILING}), at(1)).acts
    assert late.phase is ActPhase.RUNNING


def test_how_an_act_ended_is_said_although_its_action_is_gone_by_then() -> None:
    going = switch(SwitchKind.RECOVERY, revision=3)
    view = standing(
        active="small", shares=shares(small=100), fallbacks=["large"], switch=going, acts=[running("small", at(0))]
    )
    (act,) = plan(view).acts
    assert act.phase is ActPhase.DONE
    assert plan(after(view, view.status.model_copy(update={"acts": [act], "switch": None}))).acts == ()


def test_another_act_waits_and_follows_at_once() -> None:
    second = replace(ACT, name="act-2", uid="uid-2", claimed_at=at(0.5))
    refused = replace(ACT, parameters=Parameters(model="large"))
    planned = plan(standing(), second, refused)
    assert [(a.name, a.phase) for a in planned.acts] == [("act-1", ActPhase.REFUSED)]
    assert planned.wait == 0.0
