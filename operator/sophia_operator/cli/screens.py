"""How `status` shows a rollout that it follows: a picture, one line a change, or JSON."""

from __future__ import annotations

from typing import Any, Self

from rich.live import Live
from rich.text import Text

from sophia_operator.api.conditions import ConditionType, find
from sophia_operator.cli.board import Board
from sophia_operator.cli.picture import draw
from sophia_operator.cli.session import Session
from sophia_operator.core.situation import Situation, name_of
from sophia_operator.core.words import clock


class Screen:
    """Shows what is on the board, again and again."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.before: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        """Clean up; most leave nothing behind."""

    def show(self, board: Board, situation: Situation, /) -> None:
        """Show how things are now."""

    def close(self, board: Board, situation: Situation, /) -> None:
        """Show how it ended; most have shown it."""


class Picture(Screen):
    """On a terminal: the picture, drawn over itself."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._live = Live(console=session.console, auto_refresh=False, screen=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def show(self, board: Board, situation: Situation) -> None:
        """Draw it; between news, only the clock moves."""
        now = self.session.now()
        footer = f"{clock(now, now)}; Ctrl-C ends"
        if board.trouble is not None:
            footer = f"{footer}; NOT CURRENT: {board.trouble}"
        picture = draw(situation, now, width=self.session.console.width, footer=footer)
        self._live.update(picture, refresh=True)


class Lines(Screen):
    """Into a file or a pipe: one line a change."""

    def show(self, board: Board, situation: Situation) -> None:
        """Print the line when it says something new."""
        now, line = self.session.now(), board.trouble or line_of(situation)
        if line != self.before:
            self.session.console.print(Text(f"{clock(now, now)}  {line}"), soft_wrap=True)
            self.before = line


class _Json(Screen):
    """For programs: standard output has nothing but JSON, so trouble is told beside it."""

    trouble: str | None = None

    def warn(self, board: Board) -> None:
        """Tell trouble once."""
        if board.trouble not in (None, self.trouble):
            self.session.warn(f"warning: not current: {board.trouble}")
        self.trouble = board.trouble


class JsonLines(_Json):
    """`--watch`: one object a line for each change."""

    def show(self, board: Board, situation: Situation) -> None:
        """Print the object when it changed."""
        self.warn(board)
        answer = board.as_json(situation)
        if answer != self.before:
            self.session.print_json_line(answer)
            self.before = answer


class LastJson(_Json):
    """`--wait` alone: one object, at the end."""

    def show(self, board: Board, *_: object) -> None:
        """Say nothing yet."""
        self.warn(board)

    def close(self, board: Board, situation: Situation) -> None:
        """Print how it ended."""
        self.session.print_json(board.as_json(situation))


def screen_for(session: Session, *, watch: bool) -> Screen:
    """The screen that fits the options and where the output goes."""
    if session.as_json:
        return JsonLines(session) if watch else LastJson(session)
    return Picture(session) if session.console.is_terminal else Lines(session)


def line_of(s: Situation) -> str:
    """Where it is, in one line."""
    ready = find(s.service.status.conditions, ConditionType.READY)
    if not s.is_seen or ready is None:
        return "the operator has not looked at the newest spec yet"
    told = f"{ready.reason}: {ready.message}"
    if s.rollout is None:
        return told
    weights = s.rollout.status.weights
    observed = "-" if weights.observed_percent is None else f"{weights.observed_percent} %"
    state = s.rollout.status.phase or s.rollout.status.state.value
    return f"{name_of(s.rollout)} {state}, {observed} observed; {told}"
