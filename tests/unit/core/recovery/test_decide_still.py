"""A look after which nothing changed writes nothing."""

from __future__ import annotations

from typing import Any, Final

import pytest

from sophia_operator.core.decision import Done, RequeueAfter
from sophia_operator.core.recovery.views import Sign, Symptoms
from tests.support import recovery_scene as scene
from tests.support.recovery_scene import LOST, NO, ORDERS, UNTOLD, USERS, YES, act, failed, helped, knowing, look
from tests.support.symptom_scene import at

RULE: Final = scene.rule("ConnectionLost", "Reconnect", "Notify", forSeconds=30, clearSeconds=20)


SITUATIONS: Final[dict[str, dict[str, Any]]] = {
    "new": {"now": 5},
    "mode": {"spec": {"mode": "Off"}},
    "pause": {"spec": {"pauseRequests": [{"who": "eve", "why": "so"}]}},
    "pause that ends": {"spec": {"pauseRequests": [{"who": "eve", "why": "so", "until": at(99000)}]}},
    "window": {"spec": {"quietWindows": [{"start": "11:00", "end": "15:00"}]}},
    "window nowhere": {"spec": {"quietWindows": [{"start": "01:00", "end": "02:00", "timeZone": "Mars/X"}]}},
    "floor": {"spec": {"floor": 2}},
    "cool-down": {"actions": [helped("a", 30, since=-9)]},
    "budget": {"spec": {"budget": {"perTarget": 1}, "cooldownSeconds": 0}, "actions": [helped("a", 30, since=-9)]},
    "breaker": {
        "spec": {"breaker": {"failures": 1}, "cooldownSeconds": 0},
        "actions": [failed("a", 30), failed("b", 31, since=-9), act("c", "Succeeded", "Notify", step=2)],
    },
    "release": {"history": {"moving": (scene.moving(traffic=True),)}},
    "act": {"actions": [act("a", "Verifying")]},
    "approval": {"actions": [act("a", "AwaitingApproval", approvalRequired=True)]},
    "gave up": {"actions": [failed("a"), act("b", "Succeeded", "Notify", step=2)]},
    "gone": {"sign": NO, "now": 5},
    "untold": {"sign": UNTOLD},
    "storm": {"storm": True},
}


@pytest.mark.parametrize("what", SITUATIONS)
def test_nothing_is_written_when_nothing_changed(what: str) -> None:
    """Not even over midnight: times in words are those of what happened, and of what will."""
    case = SITUATIONS[what]
    policy = knowing(scene.policy("pools", RULE, **case.get("spec", {})), scene.incident())
    well = () if case.get("storm") else (USERS,)
    signs = {(ORDERS, LOST): case.get("sign", YES), **({(USERS, LOST): YES} if not well else {(USERS, LOST): NO})}
    sees = scene.seen([policy], signs)
    now, how = case.get("now", 60), case.get("history", {})
    found = look([policy], sees, now, case.get("actions", ()), **how)
    (policy,) = scene.written([policy], found)
    assert found.create == ()
    pause = found.next.seconds if isinstance(found.next, RequeueAfter) else 50_000
    for later in (1.0, pause - 0.001):
        again = look([policy], sees, now + later, case.get("actions", ()), **how)
        assert again.statuses["pools"] == policy.status, what
        assert (again.create, again.notices) == ((), {})


def test_figures_alone_write_nothing() -> None:
    policy = knowing(scene.policy("pools", RULE), scene.incident())
    (policy,) = scene.written([policy], look([policy], scene.lost(policy), 5))
    worse = scene.lost(policy, sign=Sign(True, 99.0, "much worse"))
    assert look([policy], worse, 6).statuses["pools"] == policy.status
    assert look([policy], worse, 31).statuses["pools"].symptoms[0].value == "99"


def test_nothing_selected_is_told() -> None:
    policy = scene.policy("pools", RULE)
    found = look([policy], Symptoms({"pools": ()}), 0)
    assert [c.reason for c in found.statuses["pools"].conditions if c.type == "Ready"] == ["NoTargets"]
    assert found.next == Done()
