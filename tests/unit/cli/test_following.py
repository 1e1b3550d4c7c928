"""`status --watch` and `--wait`: what is shown, and when it stops."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pytest

from sophia_operator.api.conditions import PAUSES, Reason
from sophia_operator.cli import live, screens
from sophia_operator.cli.session import Current, News, Seen, Trouble
from sophia_operator.core.situation import Situation
from tests.support.objects import (
    LATCHED,
    ROLLING,
    SETTLED,
    condition,
    release,
    rolled_back,
    service,
    shifting,
    stable,
    status_of,
)
from tests.unit.cli.conftest import Run

Hanging = Callable[[Sequence[News]], Iterator[News]]

ROLLING_NOW: Final[list[dict[str, Any]]] = [service(status=ROLLING), stable(), shifting()]
DOWN: Final = Trouble("the API server cannot be reached: refused", "managedservices")
MISSING: Final = "Gateway edge/sophia does not exist; hello-2 keeps serving"
STALLED: Final = status_of(
    condition("Ready", "False", "GatewayNotFound", MISSING),
    condition("Stalled", "True", "GatewayNotFound", MISSING),
    stable=SETTLED["stable"],
    rollout={"name": "hello-3", "revision": 3, "phase": "Pending"},
)
STALLED_NOW: Final = [service(status=STALLED), stable(), release(3, "Pending")]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_TICK_SECONDS", 0.02)


def settled_after() -> list[News]:
    return [
        Seen("releases", "hello-3", {**stable(3, promoted=1, color="green")}),
        Seen("managedservices", "hello", service(status={**SETTLED, "lastRevision": 3})),
    ]


def paused(reason: str = "PausedByIntent", message: str = "release hello-3: asked to pause:\nlunch") -> list[Any]:
    told = condition("Paused", "True", reason, message)
    held = status_of(
        condition("Ready", "False", reason, message),
        condition("Reconciling", "True", reason, message),
        told,
        stable=SETTLED["stable"],
        rollout=ROLLING["rollout"],
    )
    return [service(status=held), stable(), shifting(phase="Paused 25%", conditions=[told])]


def test_waiting_ends_when_the_rollout_is_over(run: Run, hanging: Hanging) -> None:
    ran = run("status", "hello", "--wait", objects=ROLLING_NOW, news=[hanging(settled_after())])
    assert ran.code == 0
    first, last = ran.out.splitlines()[0], ran.out.splitlines()[-1]
    assert first.startswith("03:14:00 UTC  hello-3 Shifting 25%, 24 % observed; Shifting: release hello-3")
    assert "Settled: release hello-2 is what the spec asks for" in last


def test_waiting_for_a_rollout_that_fails_is_exit_code_1(run: Run, hanging: Hanging) -> None:
    news = [Seen("releases", "hello-3", rolled_back()), Seen("managedservices", "hello", service(status=LATCHED))]
    ran = run("status", "hello", "--wait", objects=ROLLING_NOW, news=[hanging(news)])
    assert ran.code == 1
    assert "hello-3 RolledBack" in ran.out


def test_waiting_does_not_take_an_unseen_change_for_the_end(run: Run, hanging: Hanging) -> None:
    unseen = service(status=SETTLED, metadata={"generation": 2})
    ran = run("status", "hello", "--wait", objects=[unseen, stable()], news=[hanging([DOWN, *settled_after()])])
    assert ran.code == 0
    assert "has not looked at the newest spec yet" in ran.out.splitlines()[0]
    assert "Settled" in ran.out.splitlines()[-1]


@pytest.mark.parametrize("reason", sorted(PAUSES))
@pytest.mark.parametrize("options", [[], ["-o", "json"]])
def test_waiting_does_not_wait_for_a_person(run: Run, hanging: Hanging, reason: Reason, options: list[str]) -> None:
    news = [Seen(f"{o['kind'].lower()}s", o["metadata"]["name"], o) for o in paused(reason.value)]
    ran = run("status", "hello", "--wait", *options, objects=ROLLING_NOW, news=[hanging(news)])
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert line == (
        "error: hello waits for a person: release hello-3: asked to pause: lunch. "
        "`kubectl sophia explain hello -n shop` says what can be done"
    )


def test_an_order_that_the_operator_has_not_seen_is_waited_for(run: Run, hanging: Hanging) -> None:
    """`kubectl sophia resume hello && kubectl sophia status hello --wait`; and the same with `retry`."""
    for objects in (paused(), [service(status=LATCHED), stable(), rolled_back()]):
        objects[-1]["metadata"]["generation"] = 2
        ran = run("status", "hello", "--wait", objects=objects, news=[hanging(settled_after())])
        assert (ran.code, ran.err) == (0, ""), ran.out


def test_what_is_stalled_may_go_on_by_itself_for_a_while(
    run: Run, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run("status", "hello", "--wait", objects=STALLED_NOW, news=[hanging(settled_after())])
    assert ran.code == 0
    monkeypatch.setattr(live, "_STALL_SECONDS", 0.1)
    ran = run("status", "hello", "--wait", objects=STALLED_NOW, news=[hanging([])])
    assert ran.code == 1
    assert ran.err.startswith(f"error: hello waits for a person: {MISSING}. `kubectl")


def test_waiting_has_a_time_limit(run: Run, hanging: Hanging) -> None:
    ran = run("status", "hello", "--wait", "--timeout", "1", objects=ROLLING_NOW, news=[hanging([])])
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert line.startswith("error: hello did not come to an end within 1 s (--timeout), and goes on: hello-3 Shifting")


def test_waiting_ends_when_nothing_is_heard_any_more(
    run: Run, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_OUTAGE_SECONDS", 0.1)
    ran = run("status", "hello", "--wait", objects=ROLLING_NOW, news=[hanging([DOWN]), hanging([])])
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert line.startswith("error: no news of hello for 0.1 s")
    assert line.endswith("the API server cannot be reached: refused")


def test_a_watch_that_is_well_again_is_no_outage(run: Run, hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there is nothing new to tell."""
    monkeypatch.setattr(live, "_OUTAGE_SECONDS", 0.1)
    news: list[News] = [DOWN, Current("managedservices")]
    ran = run("status", "hello", "--wait", "--timeout", "1", objects=ROLLING_NOW, news=[hanging(news)])
    assert "within 1 s" in ran.err


def test_one_watch_does_not_hide_the_outage_of_the_other(
    run: Run, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_OUTAGE_SECONDS", 0.1)
    news: list[News] = [Trouble("forbidden", "releases"), Seen("managedservices", "hello", ROLLING_NOW[0])]
    ran = run("status", "hello", "--wait", objects=ROLLING_NOW, news=[hanging(news)])
    assert (ran.code, "no news of hello" in ran.err) == (2, True)


@pytest.mark.timeout(20)  # else it would follow for ever
@pytest.mark.parametrize(("option", "code"), [("--watch", 0), ("--wait", 2)])
def test_ctrl_c_in_the_middle_of_a_callback_is_not_dropped(
    run: Run, hanging: Hanging, monkeypatch: pytest.MonkeyPatch, option: str, code: int
) -> None:
    class Callback:
        """What libraries run where no exception can get out."""

        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    draw = screens.line_of

    def drawing(situation: Situation) -> str:
        Callback()
        return draw(situation)

    monkeypatch.setattr(screens, "line_of", drawing)
    before = signal.getsignal(signal.SIGINT)
    ran = run("status", "hello", option, objects=ROLLING_NOW, news=[hanging([])])
    assert ran.code == code
    assert "hello-3 Shifting 25%" in ran.out
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupted_waiting_is_no_success(run: Run, hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "_listen", interrupt)
    assert run("status", "hello", "--watch", objects=ROLLING_NOW).code == 0
    ran = run("status", "hello", "--wait", objects=ROLLING_NOW)
    assert (ran.code, ran.err) == (2, "error: interrupted before hello was seen to end\n")


def test_a_watch_shows_the_picture_and_its_news(run: Run, hanging: Hanging) -> None:
    ran = run("status", "hello", "--wait", objects=ROLLING_NOW, news=[hanging(settled_after())], terminal=True)
    assert ran.code == 0
    assert "3 min 12 s of 5 min left" in ran.out
    assert "Ctrl-C ends" in ran.out


def test_a_deleted_service_ends_the_watch(run: Run, hanging: Hanging) -> None:
    news: list[News] = [Seen("releases", "hello-3", None), Seen("managedservices", "hello", None)]
    ran = run("status", "hello", "--watch", objects=ROLLING_NOW, news=[hanging(news)])
    assert ran.code == 1
    assert "hello was deleted" in ran.err


@pytest.mark.parametrize("terminal", [False, True])
def test_waiting_for_json_gives_one_object_at_the_end(run: Run, hanging: Hanging, terminal: bool) -> None:
    news: list[News] = [Seen("releases", "hello-3", rolled_back()), DOWN]
    news.append(Seen("managedservices", "hello", service(status=LATCHED)))
    ran = run("status", "hello", "--wait", "-o", "json", objects=ROLLING_NOW, news=[hanging(news)], terminal=terminal)
    assert ran.code == 1
    assert json.loads(ran.out) == {
        "healthy": False,
        "service": service(status=LATCHED),
        "releases": [stable(), rolled_back()],
    }


@pytest.mark.parametrize("terminal", [False, True])
def test_watching_for_json_gives_an_object_a_line_for_each_change(
    run: Run, hanging: Hanging, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_by_one(news: Any, board: Any) -> None:
        board.take(news.get(timeout=5))

    monkeypatch.setattr(live, "_listen", one_by_one)
    news: list[News] = [Current("releases"), DOWN, DOWN, Seen("releases", "hello-3", rolled_back())]
    news += [Seen("managedservices", "hello", service(status=LATCHED)), Seen("managedservices", "hello", None)]
    ran = run("status", "hello", "--watch", "-o", "json", objects=ROLLING_NOW, news=[hanging(news)], terminal=terminal)
    assert ran.code == 1
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert [a["healthy"] for a in answers] == [True, False, False]
    assert answers[0] == {"healthy": True, "service": ROLLING_NOW[0], "releases": ROLLING_NOW[1:]}
    assert answers[-1]["service"] == service(status=LATCHED)
    assert ran.err.splitlines() == [
        "warning: not current: the API server cannot be reached: refused",
        "error: hello was deleted",
    ]
