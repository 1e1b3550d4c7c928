"""What people see of the models while the demo plays, on a terminal and without one."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from hack.demo import looking, show_models
from hack.load import Report
from tests.unit.demo.fake_chat import NOT_READY, FakeChatRig, failing_back, route

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.0)


class FakeChat:
    """A route that is something else at each look."""

    name = "chat"

    def __init__(self, *looks: Json | None, steps: list[tuple[float, str]] | None = None) -> None:
        self.looks = list(looks)
        self.done = steps or []

    def object(self) -> Json | None:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def report(self) -> Report | None:
        return Report.of(FakeChatRig(None).records())

    def steps(self) -> list[tuple[float, str]]:
        return self.done

    def is_over(self) -> bool:
        return len(self.looks) == 1


def seen(chat: FakeChat, *, terminal: bool, seconds: float = 20.0) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=140, color_system=None)
    show_models.watch_models(console, chat, chat.is_over, seconds=seconds)  # type: ignore[arg-type]
    return file.getvalue()


def test_without_a_terminal_there_is_a_line_for_each_change() -> None:
    lines = seen(FakeChat(None, None, route(), failing_back(5), failing_back(5), route()), terminal=False).splitlines()
    assert [line[12:] for line in lines if line.strip()] == [
        "route chat: the operator has not looked at it yet",
        "route chat RouteReady: primary serves",
        "model primary: Healthy, rank 1, 100 %",
        "model fallback: Healthy, rank 2, 0 %",
        "route chat Failback, Observing: 5 % of the requests to primary",
        "model primary: Healthy, rank 1, 5 %",
        "model fallback: Healthy, rank 2, 95 %",
        "route chat RouteReady: primary serves",
        "model primary: Healthy, rank 1, 100 %",
        "model fallback: Healthy, rank 2, 0 %",
    ]


def test_on_a_terminal_the_scoreboard_is_drawn_whole_with_users_books() -> None:
    said = seen(FakeChat(None, route()), terminal=True)
    assert "chat  in sophia-demo, gateway httpRoute" in said
    assert "users of the models: 63 requests sent, 3 failed; answers: 30 by fallback, 32 by primary" in said


@pytest.mark.parametrize("terminal", [True, False])
def test_each_step_is_told_once_and_as_it_is(terminal: bool) -> None:
    said = seen(FakeChat(route(), route(), steps=[(0.0, "it said [bold]no[/bold]")]), terminal=terminal)
    assert said.count("00:00:00  it said [bold]no[/bold]") == 1


@pytest.mark.parametrize(("terminal", "times"), [(True, 0), (False, 1)])
def test_the_scoreboard_is_printed_where_it_is_not_drawn(terminal: bool, times: int) -> None:
    file = io.StringIO()
    show_models.scoreboard(Console(file=file, force_terminal=terminal, width=140), FakeChat(route()))  # type: ignore[arg-type]
    assert file.getvalue().count("in sophia-demo, gateway httpRoute") == times


def test_a_route_that_is_never_over_is_told_with_how_it_is() -> None:
    with pytest.raises(TimeoutError, match="chat took longer than -1 s: route chat AllModelsDown: primary serves"):
        seen(FakeChat(route(NOT_READY), route()), terminal=False, seconds=-1.0)
