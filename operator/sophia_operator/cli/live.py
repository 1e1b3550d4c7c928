"""`status --watch`: follows a rollout by watches; between news, only the clock moves."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from rich.live import Live
from rich.text import Text

from sophia_operator.api.conditions import ConditionType, find
from sophia_operator.api.release import Release
from sophia_operator.cli.objects import parse_release, parse_service
from sophia_operator.cli.picture import draw
from sophia_operator.cli.session import Api, CliError, Exit, News, Object, Session, Trouble
from sophia_operator.core.situation import Situation, name_of, situate
from sophia_operator.core.words import clock

_TICK_SECONDS: Final = 1.0
_SERVICES: Final = "managedservices"


@dataclass
class _Board:
    """What was last heard."""

    service: Object | None = None
    #: The first list of services came in.
    heard: bool = False
    releases: dict[str, Release] = field(default_factory=dict)
    trouble: str | None = None

    def take(self, news: News, name: str) -> None:
        """Note one news. CliError when the service is gone."""
        if isinstance(news, Trouble):
            self.trouble = news.message
            return
        self.trouble = None
        if news.kind == _SERVICES:
            if news.obj is None:
                raise CliError(f"{name} was deleted", Exit.BAD)
            self.service = news.obj
        elif news.obj is None:
            self.releases.pop(news.name, None)
        else:
            self.releases[news.name] = parse_release(news.obj)


def follow(session: Session, api: Api, name: str, *, until_over: bool) -> int:
    """Draw until the service is deleted, a person presses Ctrl-C, or (`until_over`) no rollout is under way."""
    board = _Board(service=api.service(name))
    board.releases = {name_of(r): r for r in map(parse_release, api.releases(name))}
    news: queue.SimpleQueue[News] = queue.SimpleQueue()
    for stream in api.watch(name):
        threading.Thread(target=_pump, args=(stream, news), daemon=True).start()
    last = _look(session, board)
    try:
        if session.console.is_terminal:
            last = _draw_on(session, board, news, name, until_over=until_over)
        else:
            last = _print_on(session, board, news, name, until_over=until_over)
    except KeyboardInterrupt:
        last = _look(session, board)
    return Exit.OK if last.is_healthy else Exit.BAD


def is_over(s: Situation) -> bool:
    """Whether nothing goes on any more: the spec serves, or a release failed and is latched."""
    conditions = s.service.status.conditions
    if not s.is_seen or not conditions or find(conditions, ConditionType.RECONCILING) is not None:
        return False
    return s.rollout is None or s.rollout.status.state.is_latched


def _pump(stream: Iterator[News], into: queue.SimpleQueue[News]) -> None:
    for item in stream:
        into.put(item)


def _look(session: Session, board: _Board) -> Situation:
    assert board.service is not None
    return situate(parse_service(board.service), list(board.releases.values()), session.now())


def _wait(news: queue.SimpleQueue[News], board: _Board, name: str) -> bool:
    """Wait for one tick at most; take all there is. False when nothing came."""
    try:
        board.take(news.get(timeout=_TICK_SECONDS), name)
    except queue.Empty:
        return False
    while not news.empty():
        board.take(news.get(), name)
    return True


def _draw_on(
    session: Session, board: _Board, news: queue.SimpleQueue[News], name: str, *, until_over: bool
) -> Situation:
    now, situation = session.now(), _look(session, board)
    with Live(
        draw(situation, now, width=session.console.width), console=session.console, auto_refresh=False, screen=False
    ) as live:
        while not (until_over and is_over(situation)):
            _wait(news, board, name)
            now, situation = session.now(), _look(session, board)
            footer = f"{clock(now, now)}; Ctrl-C ends"
            if board.trouble is not None:
                footer = f"{footer}; NOT CURRENT: {board.trouble}"
            live.update(draw(situation, now, width=session.console.width, footer=footer), refresh=True)
    return situation


def _print_on(
    session: Session, board: _Board, news: queue.SimpleQueue[News], name: str, *, until_over: bool
) -> Situation:
    """Into a file or a pipe: one line a change."""
    before = ""
    while True:
        now, situation = session.now(), _look(session, board)
        line = board.trouble or _line(situation)
        if line != before:
            session.console.print(Text(f"{clock(now, now)}  {line}"), soft_wrap=True)
            before = line
        if until_over and is_over(situation):
            return situation
        while not _wait(news, board, name):
            pass


def _line(s: Situation) -> str:
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
