"""Which step of a ladder is next, by what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sophia_operator.api.recovery_policy import Rule
from sophia_operator.api.recovery_policy_status import SymptomStatus
from sophia_operator.api.recovery_values import Action, Symptom
from sophia_operator.core.recovery.ladder import climb, goes_on, steps_left
from sophia_operator.core.recovery.views import ActionView
from tests.support import recovery_scene as scene
from tests.support.recovery_scene import act, failed, helped

LAG: Any = {"symptom": "ReplicationLag"}
INCIDENT = scene.incident(0, symptom=Symptom.REPLICATION_LAG)
REMEMBERED = scene.incident(0, symptom=Symptom.REPLICATION_LAG, step=1, tried=["Reconnect"])
RULE = Rule.model_validate(scene.rule("ReplicationLag", "Reconnect", "LimitConnections", "Notify"))


def second(name: str) -> ActionView:
    return failed(name, 99, action="LimitConnections", step=2, **LAG)


@pytest.mark.parametrize(
    ("incident", "acts", "made", "tried", "on"),
    [
        (INCIDENT, [], 0, [], False),
        (INCIDENT, [act("a", **LAG)], 1, [], False),
        (INCIDENT, [act("a", "Verifying", **LAG)], 1, [], False),
        (INCIDENT, [failed("a", **LAG)], 1, ["Reconnect"], True),
        (INCIDENT, [act("a", "Refused", **LAG)], 1, ["Reconnect"], True),
        (INCIDENT, [act("a", "Unknown", **LAG)], 1, ["Reconnect"], True),
        (INCIDENT, [act("a", "Skipped", **LAG)], 1, [], False),
        (INCIDENT, [act("a", "Skipped", dryRun=True, **LAG)], 1, [], False),
        (INCIDENT, [helped("a", **LAG)], 1, [], False),
        (INCIDENT, [failed("a", **LAG), second("b")], 2, ["Reconnect", "LimitConnections"], True),
        # in order of their numbers, whatever the order in which they are listed
        (INCIDENT, [second("b"), helped("a", **LAG)], 2, ["LimitConnections"], True),
        # people who were told did not help
        (INCIDENT, [act("a", "Succeeded", "Notify", **LAG)], 1, ["Notify"], True),
        # a person's act, another symptom's, another policy's and another incident's are none of it
        (INCIDENT, [failed("a", of=None), failed("b", **LAG, of="others"), failed("c")], 0, [], False),
        (INCIDENT, [failed("a", since=-50, **LAG), failed("b", target=scene.USERS, **LAG)], 0, [], False),
        # what the status remembers of acts that are gone
        (REMEMBERED, [], 1, ["Reconnect"], True),
        (
            REMEMBERED,
            [second("b")],
            2,
            ["Reconnect", "LimitConnections"],
            True,
        ),
        (INCIDENT.model_copy(update={"step": 3}), [], 3, [], False),
    ],
)
def test_how_far_it_was_climbed(
    incident: SymptomStatus, acts: Sequence[ActionView], made: int, tried: list[str], on: bool
) -> None:
    found = climb("pools", incident, acts)
    assert (found.made, [a.value for a in found.tried], found.goes_on) == (made, tried, on)


def test_the_newest_act_is_the_last() -> None:
    found = climb("pools", INCIDENT, [second("b"), failed("a", **LAG)])
    assert [a.name for a in found.acts] == ["a", "b"]
    assert found.last is found.acts[1]
    assert climb("pools", INCIDENT, []).last is None


@pytest.mark.parametrize(
    ("tried", "left"),
    [
        ([], ["Reconnect", "LimitConnections", "Notify"]),
        (["Reconnect"], ["LimitConnections", "Notify"]),
        (["LimitConnections", "Reconnect", "Notify"], []),
    ],
)
def test_what_was_tried_is_not_tried_again(tried: list[str], left: list[str]) -> None:
    actions = [Action(name) for name in tried]
    assert [s.action.value for s in steps_left(RULE, INCIDENT, actions, [])] == left


@pytest.mark.parametrize(
    ("before", "does"),
    [
        (failed("a", **LAG), True),
        (act("a", "Succeeded", "Notify", **LAG), True),
        (act("a", "Refused", **LAG), True),
        (helped("a", **LAG), False),
        (act("a", "Skipped", dryRun=True, **LAG), False),
        (act("a", "Skipped", **LAG), False),
        (act("a", "Verifying", **LAG), False),
        (failed("a", since=-9, **LAG), False),
        (failed("a", of=None), False),
    ],
)
def test_an_act_goes_on_with_what_did_not_help(before: ActionView, does: bool) -> None:
    mine = act("b", action="LimitConnections", step=2, **LAG)
    assert goes_on(mine, [before, mine]) is does
    assert goes_on(act("c", of=None), [before]) is False


def test_an_action_may_be_several_steps() -> None:
    """Connections are held to a half, and then to a quarter."""
    half, quarter = ({"action": "LimitConnections", "parameters": {"percent": percent}} for percent in (50, 25))
    rule = Rule.model_validate(scene.rule("ReplicationLag", half, quarter, "Notify"))

    def left(incident: SymptomStatus, *acts: ActionView) -> tuple[list[int | None], list[Action]]:
        tried = climb("pools", incident, acts).tried
        return [s.parameters.percent for s in steps_left(rule, incident, tried, [])], list(tried)

    limit = Action.LIMIT_CONNECTIONS
    one, two = (failed(n, step=i, action="LimitConnections", **LAG) for i, n in ((1, "a"), (2, "b")))
    assert left(INCIDENT) == ([50, 25, None], [])
    assert left(INCIDENT, one) == ([25, None], [limit])
    assert left(INCIDENT, one, two) == ([None], [limit, limit])
    # one, or both of them, are deleted
    remembered = scene.incident(0, symptom=Symptom.REPLICATION_LAG, step=2, tried=["LimitConnections"] * 2)
    assert left(remembered, two) == ([None], [limit, limit])
    assert left(remembered) == ([None], [limit, limit])
