"""Recovery on the command line: what is asked for, what people see, how they answer and stop it, and the exit codes."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.support.objects import NAMESPACE, ago, condition
from tests.unit.cli.conftest import Ran, Run
from tests.unit.cli.test_pictures import FOLDER, compare

Json = dict[str, Any]
AHEAD: Final = -600


def action(name: str = "orders-1", *, spec: Json | None = None, **status: Any) -> Json:
    trigger = {
        "policy": "all",
        "symptom": "ConnectionLost",
        "since": ago(40),
        "step": 1,
        "timeoutSeconds": 60,
        "severity": "Critical",
        "message": "the server did not answer (Unreachable)",
    }
    usual = {"target": {"kind": "ConnectionPool", "name": "orders"}, "action": "Reconnect", "trigger": trigger}
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "RecoveryAction",
        "metadata": {"name": name, "namespace": NAMESPACE, "generation": 9, "creationTimestamp": ago(30)},
        "spec": usual | (spec or {}),
        "status": status,
    }


def policy(name: str = "all", *, spec: Json | None = None, **status: Any) -> Json:
    usual = {
        "targets": [{"kind": "ConnectionPool"}],
        "rules": [{"symptom": "ConnectionLost", "escalation": [{"action": "Reconnect"}]}],
    }
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "RecoveryPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE, "generation": 5, "creationTimestamp": ago(9000)},
        "spec": usual | (spec or {}),
        "status": {"conditions": [condition("Ready", "True", "Watching", "3 objects are watched")], **status},
    }


def evidence(seconds: float, *, present: bool) -> Json:
    lines = [f"RoleCorrect={not present} {'ServerLost' if present else 'RoleVerified'}"]
    return {"at": ago(seconds), "present": present, "message": "seen by the pool", "conditions": lines}


HELPED: Final = action(
    phase="Succeeded",
    verified="Helped",
    message="the symptom is gone",
    claimedAt=ago(28),
    endedAt=ago(5),
    before=evidence(28, present=True),
    after=evidence(5, present=False),
    did=["RECONNECT orders at orders-pool-1", "RECONNECT orders at orders-pool-2"],
)
STORMY: Final = policy(
    spec={"pauseRequests": [{"who": "bob", "why": "moving house", "until": ago(AHEAD)}]},
    targets=3,
    symptomatic=2,
    actsLastHour=1,
    storm={"since": ago(60), "targets": 2, "of": 3},
    symptoms=[
        {
            "kind": "ConnectionPool",
            "name": "orders",
            "symptom": "ConnectionLost",
            "since": ago(90),
            "verdict": "Wait",
            "reason": "StormActive",
            "why": "2 of 3 objects show symptoms: nobody acts",
            "tried": ["Reconnect"],
            "action": "orders-1",
        }
    ],
)


def body(ran: Ran) -> Json:
    (patch,) = ran.patches
    found: Json = patch[1]
    return found


def test_recover_makes_an_action_in_the_name_of_who_asks(run: Run) -> None:
    ran = run("recover", "pool/orders", "--action", "limitconnections", "-p", "percent=40", "-r", "too many", "--force")
    made = body(ran)
    assert made["metadata"]["namespace"] == NAMESPACE
    assert made["spec"] == {
        "target": {"kind": "ConnectionPool", "name": "orders"},
        "action": "LimitConnections",
        "requestedBy": "alice",
        "parameters": {"percent": 40},
        "reason": "too many",
        "force": True,
    }
    assert ran.code == 0
    assert f"recovery status {made['metadata']['name']}" in ran.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("orders", "-a", "Reconnect"), "say KIND/NAME"),
        (("pot/orders", "-a", "Reconnect"), "kinds: connectionpool"),
        (("pool/orders", "-a", "FlushNamespace"), "possible are Reconnect, CancelStatement"),
        (("pool/orders", "-a", "Reconnect", "-p", "percent=4"), "Reconnect has no parameter percent; it has: none"),
        (("pool/orders", "-a", "LimitConnections", "-p", "percent"), "say NAME=VALUE"),
        (("pool/orders", "-a", "LimitConnections", "-p", "percent=100"), "parameters.percent"),
        (("pool/orders", "-a", "Reconnect", "--override-reason", "the storm is me"), "overrideReason needs force"),
    ],
)
def test_recover_refuses_what_cannot_be_and_says_what_can(run: Run, arguments: tuple[str, ...], words: str) -> None:
    ran = run("recover", *arguments)
    assert (ran.code, ran.patches) == (2, [])
    assert words in ran.err


def test_recover_asks_before_entries_are_deleted(run: Run) -> None:
    flush = ("recover", "cache/hot", "-a", "FlushNamespace", "-p", "namespaceName=emb")
    asked = run(*flush, stdin="n\n")
    assert (asked.code, asked.patches) == (1, [])
    assert "Delete the entries of cache namespace emb of CacheTier hot?" in asked.err
    assert body(run(*flush, "--yes"))["spec"]["parameters"] == {"namespaceName": "emb"}
    assert body(run(*flush, "--dry-run"))["spec"]["dryRun"] is True


@pytest.mark.parametrize(("word", "said"), [("approve", True), ("reject", False)])
def test_answer_is_written_with_a_name(run: Run, word: str, said: bool) -> None:
    waiting = action(spec={"approvalRequired": True}, phase="AwaitingApproval", message="a person has to allow it")
    ran = run("recovery", word, "orders-1", objects=[waiting])
    assert ran.patches == [
        (
            "orders-1",
            [
                {"op": "test", "path": "/metadata/generation", "value": 9},
                {"op": "add", "path": "/spec/approved", "value": said},
                {"op": "add", "path": "/spec/approvedBy", "value": "alice"},
            ],
        )
    ]
    assert ran.code == 0


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (HELPED, "orders-1 is over: Succeeded. the symptom is gone"),
        (action(phase="Running"), "waits for nobody's approval; it is Running"),
        (
            action(spec={"approvalRequired": True, "approved": False, "approvedBy": "bob"}, phase="Refused"),
            "was rejected by bob already",
        ),
    ],
)
def test_nobody_answers_twice_or_too_late(run: Run, obj: Json, words: str) -> None:
    ran = run("recovery", "approve", "orders-1", objects=[obj])
    assert (ran.code, ran.patches) == (1, [])
    assert words in ran.err


def test_pause_is_a_request_in_ones_own_name(run: Run) -> None:
    ran = run("recovery", "pause", "all", "--why", "maintenance", "--for", "600", objects=[STORMY])
    requests = body(ran)[1]["value"]  # type: ignore[index]
    assert [(r["who"], r["why"]) for r in requests] == [("bob", "moving house"), ("alice", "maintenance")]
    assert requests[1]["until"].endswith("Z")
    assert "nothing is done by it until" in ran.out


def test_resume_takes_back_ones_own_request_only(run: Run) -> None:
    ran = run("recovery", "resume", "all", objects=[STORMY])
    assert (ran.code, ran.patches) == (1, [])
    assert "not paused by you, but by bob" in ran.err
    assert body(run("recovery", "resume", "all", "--all", objects=[STORMY]))[1]["value"] == []  # type: ignore[index]
    assert "is not paused by anybody" in run("recovery", "resume", "all", objects=[policy()]).err


def test_git_is_named_where_it_will_undo_a_pause(run: Run) -> None:
    kept = policy()
    kept["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "shop"}
    ran = run("recovery", "pause", "all", "--why", "maintenance", objects=[kept])
    assert "change Git as well" in ran.out


SCENES: Final[dict[str, tuple[tuple[str, ...], list[Json], int]]] = {
    "action": (("recovery", "status", "orders-1"), [HELPED], 0),
    "policy": (("recovery", "explain", "all"), [STORMY], 1),
    "actions": (
        ("recovery", "list"),
        [HELPED, action("orders-2", phase="AwaitingApproval", message="wait")],
        0,
    ),
    "policies": (("recovery", "policies"), [STORMY, policy("other")], 0),
}


@pytest.mark.parametrize("scene", SCENES)
def test_pictures(run: Run, scene: str) -> None:
    arguments, objects, code = SCENES[scene]
    ran = run(*arguments, objects=objects)
    assert ran.code == code
    compare(f"recovery/{scene}", ran.out)


def test_every_picture_of_recovery_is_of_a_scene() -> None:
    assert {file.stem for file in (FOLDER / "recovery").glob("*.txt")} == set(SCENES)


@pytest.mark.parametrize("phase", ["AwaitingApproval", "Failed", "Refused", "Unknown"])
def test_action_that_needs_somebody_is_a_bad_answer(run: Run, phase: str) -> None:
    assert run("recovery", "status", "orders-1", objects=[action(phase=phase)]).code == 1
    told = run("-o", "json", "recovery", "status", "orders-1", objects=[action(phase=phase)])
    assert json.loads(told.out)["healthy"] is False


def test_policy_that_gave_up_is_a_bad_answer(run: Run) -> None:
    symptom = {**STORMY["status"]["symptoms"][0], "verdict": "GaveUp", "reason": "GaveUp"}
    ran = run("recovery", "explain", "all", objects=[policy(symptoms=[symptom])])
    assert ran.code == 1
    assert "GaveUp" in ran.out


def test_wait_shows_the_end_and_its_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.cli.conftest.RecordedApi.action", lambda _, name: action(name, phase="Failed"))
    ran = run("recover", "pool/orders", "-a", "Reconnect", "--wait")
    assert ran.code == 1
    assert "Failed" in ran.out
    monkeypatch.setattr("tests.unit.cli.conftest.RecordedApi.action", lambda _, __: HELPED)
    assert run("recover", "pool/orders", "-a", "Reconnect", "--wait").code == 0


def test_memory_tells_what_was_tried_and_what_helped(run: Run) -> None:
    acts = [
        HELPED,
        action("orders-2", phase="Failed", verified="NoChange", claimedAt=ago(900), endedAt=ago(800)),
        action("orders-3", phase="AwaitingApproval"),
    ]
    ran = run("incidents", "--kind", "pool", "--symptom", "connection-lost", objects=acts)
    assert ran.code == 0
    assert ran.out.splitlines()[1].split() == [
        *("ConnectionLost", "ConnectionPool", "Reconnect", "2", "1", "50", "%", "0", "0", "23", "s"),
    ]
    (told,) = json.loads(run("-o", "json", "incidents", objects=acts).out)
    assert (told["tried"], told["helpedPercent"], told["medianSeconds"]) == (2, 50, 23.0)
    assert "no act of recovery is remembered" in run("incidents", "--symptom", "HighMemory", objects=acts).out


@pytest.mark.parametrize(("option", "words"), [("--kind", "is no kind"), ("--symptom", "is no symptom; there are:")])
def test_memory_of_what_there_is_not(run: Run, option: str, words: str) -> None:
    ran = run("incidents", option, "weather")
    assert ran.code == 2
    assert words in ran.err
