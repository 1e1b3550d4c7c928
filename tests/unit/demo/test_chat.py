"""The models in the demo: one dies, the other one takes over, everywhere; it comes back, and nothing flaps."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from hack.demo.__main__ import main
from tests.unit.demo.fake_chat import ENVOYS, NOT_READY, Times, route
from tests.unit.demo.fakes import FakeCluster
from tests.unit.demo.test_demo import QUICK, figures, raising
from tests.unit.demo.test_orders import text_of

SECONDS = 20.0


def model_figures() -> dict[str, Any]:
    found: dict[str, Any] = figures()["models"]
    return found


def test_the_route_is_applied_when_both_models_answer_and_the_better_one_is_killed_under_load(
    cluster: FakeCluster,
) -> None:
    assert main(QUICK) == 0
    assert cluster.chat.done == [
        *("second Envoy", "start primary", "start fallback", "primary answers", "fallback answers", "apply route"),
        *("primary serves", "primary serves", "users come", "kill primary", "fallback serves"),
        *("revive primary", "primary serves", "users go", "users go"),
    ]


def test_what_happens_is_said_line_by_line(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(QUICK) == 0
    said = text_of(capsys)
    for line in (
        "Both are simulators that speak the OpenAI API: no model runs here.",
        "chat in sophia-demo, gateway httpRoute",
        "model primary: Healthy, rank 1, 100 %",
        "users ask for 20 completions a second, and primary answers",
        "primary is killed; nobody tells the route",
        "traffic goes to fallback, 3.0 s after that",
        "every replica was seen to follow, 0.5 s later: 192.0.2.31, 192.0.2.32",
        "primary serves (Healthy, rank 1, score 0.91).",
        "5 % of the requests go back to primary",
        "25 % of the requests go back to primary",
        "primary has all of the traffic again, at every replica",
        "from the model's death until traffic was moved, goal 15 s │ 3.0 s",
        "from then until every replica was seen to follow, goal 10 s │ 0.5 s, at 2 of 2 replicas",
        "requests that failed until then │ 3 of 63",
        "requests that failed at any other time, goal 0 │ 0",
        "stages of the failback, goal 5 / 25 / 100 % │ 5 / 25 / 100 %",
        "switches that nothing asked for, goal 0 │ 0",
        "completions by primary │ 30",
    ):
        assert line in said


@pytest.mark.parametrize(
    ("changes", "where", "value"),
    [
        ({"times": Times(to_act=15.5)}, ("failover", "actedSeconds"), 15.5),
        ({"times": Times(to_prove=10.5)}, ("failover", "provedSeconds"), 10.5),
        ({"followers": [ENVOYS[0]]}, ("failover", "replicas"), 1),
        ({"stages": [5, 100]}, ("failback", "stages"), [5, 100]),
        ({"result": "Reverted"}, ("failback", "result"), "Reverted"),
        ({"flaps": [("Failover", "fallback")]}, ("flaps",), 1),
        ({"flaps": [("Better", "fallback"), ("Failback", "primary")]}, ("flaps",), 2),
        ({"failed": [(-2.0, "primary")]}, ("failedOutside",), 1),
        ({"failed": [(4.0, None)]}, ("failedOutside",), 1),
        ({"route": route(NOT_READY)}, ("ready",), False),
    ],
)
def test_what_is_not_as_it_should_be_is_a_failure(
    cluster: FakeCluster, changes: dict[str, Any], where: tuple[str, ...], value: object
) -> None:
    for name, change in changes.items():
        setattr(cluster.chat, name, change)
    assert main(QUICK) == 1
    found: Any = model_figures()
    for part in where:
        found = found[part]
    assert found == pytest.approx(value, abs=0.05)
    assert figures()["failure"] is None


def test_users_come_only_when_the_gateway_leads_to_the_route(cluster: FakeCluster) -> None:
    cluster.chat.codes = [404, 200, 200, 404, 200]
    assert main(QUICK) == 0
    assert cluster.chat.codes == [200]


def test_models_that_do_not_come_up_are_a_failure_in_words(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.chat.coming = raising(TimeoutError("waited 60 s for chat to serve primary, proved"))
    assert main(QUICK) == 1
    assert figures()["failure"] == "waited 60 s for chat to serve primary, proved"
    assert (model_figures()["ready"], model_figures()["sent"]) == (False, None)
    assert "error: waited 60 s for chat to serve primary, proved\n" in capsys.readouterr().err
    assert cluster.api.done[-1] == "down"


def test_a_failover_that_does_not_end_leaves_what_was_measured(cluster: FakeCluster) -> None:
    cluster.chat.killing = raising(TimeoutError("waited 60 s for chat to end a Failover"))
    assert main(QUICK) == 1
    found = model_figures()
    assert (found["failover"], found["failback"], found["flaps"]) == (None, None, None)
    assert (found["sent"], found["failedOutside"]) == (63, 3)
    assert cluster.chat.done[-1] == "users go"


@pytest.mark.parametrize("which", ["no_pods", "no_service"])
def test_where_pods_or_services_cannot_be_reached_the_route_must_serve_all_the_same(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], which: str
) -> None:
    setattr(cluster.rig, which, "no way from here")
    assert main(QUICK) == 0
    assert (model_figures()["skipped"], model_figures()["failover"]) == ("no way from here", None)
    assert "its failover and failback │ left out: no way from here" in text_of(capsys)
    assert "kill primary" not in cluster.chat.done
    assert [step for step in cluster.chat.done if "pods" in step] == ["pods of primary", "pods of fallback"]
    assert cluster.chat.done[-1] == "primary serves"


def test_a_route_that_nobody_can_try_from_here_must_be_ready_all_the_same(cluster: FakeCluster) -> None:
    cluster.rig.no_pods = "no way from here"
    cluster.chat.route = route(NOT_READY)
    assert main(QUICK) == 1


def test_an_interrupt_during_the_failover_sends_users_away(cluster: FakeCluster) -> None:
    never = threading.Event()

    def killing() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        never.wait(SECONDS)

    cluster.chat.killing = killing
    try:
        assert main(QUICK) == 130
        assert cluster.chat.done[-1] == "users go"
        assert "revive primary" not in cluster.chat.done
        assert cluster.api.done[-1] == "down"
    finally:
        never.set()
