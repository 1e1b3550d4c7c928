"""`status --watch` and `--wait`: follow a rollout by watches, and know when to stop."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sophia_operator.cli.board import Board
from sophia_operator.cli.ending import Ending, ending_of
from sophia_operator.cli.screens import Screen, line_of, screen_for
from sophia_operator.cli.session import Api, CliError, Exit, News, Session
from sophia_operator.core.situation import Situation

_TICK_SECONDS: Final = 1.0
#: For how long `--wait` bears an API server that does not answer, or refuses.
_OUTAGE_SECONDS: Final = 120.0
#: For how long it gives what is stalled the chance to go on: a Gateway or a ConfigMap may come a moment later.
_STALL_SECONDS: Final = 30.0


class _CtrlC:
    """A person wants to leave."""


_CTRL_C: Final = _CtrlC()
_Queue = queue.SimpleQueue["News | _CtrlC"]


@dataclass(frozen=True, slots=True)
class Following:
    """What was asked for."""

    name: str
    watch: bool
    #: Stop when no rollout is under way.
    wait: bool
    #: Give up waiting after so many seconds; None: never.
    timeout: float | None = None


def follow(session: Session, api: Api, asked: Following) -> int:
    """Show it until the service is deleted, a person presses Ctrl-C, or (`wait`) nothing goes on any more."""
    board = Board(api.service(asked.name), api.releases(asked.name))
    news: _Queue = queue.SimpleQueue()
    for stream in api.watch(asked.name):
        threading.Thread(target=_pump, args=(stream, news), daemon=True).start()
    screen = screen_for(session, watch=asked.watch)
    try:
        with _ctrl_c_is_news(news), screen:
            ending = _until_the_end(session, screen, board, news, asked)
    except KeyboardInterrupt:
        if asked.wait:
            # What stands behind `--wait &&` must not begin.
            raise CliError(f"interrupted before {asked.name} was seen to end") from None
        return _code(board.look(session.now()))
    last = board.look(session.now())
    screen.close(board, last)
    if ending.waits_for is not None:
        raise CliError(_plea(asked.name, api.namespace, ending.waits_for), Exit.BAD)
    return _code(last)


def _until_the_end(session: Session, screen: Screen, board: Board, news: _Queue, asked: Following) -> Ending:
    """Show and listen; without `wait`, for ever."""
    patience = _Patience(asked)
    while True:
        situation = board.look(session.now())
        screen.show(board, situation)
        if asked.wait:
            ending = ending_of(situation)
            if ending is not None and patience.is_enough(ending):
                return ending
            if ending is None:
                patience.begin_again()
            patience.check(board, situation)
        _listen(news, board)


class _Patience:
    """For how long `--wait` waits for what."""

    def __init__(self, asked: Following) -> None:
        self._asked = asked
        self._started = time.monotonic()
        self._doubtful_since: float | None = None

    def is_enough(self, ending: Ending) -> bool:
        """Whether it is the end: certain, or unchanged for long enough."""
        if ending.is_certain:
            return True
        if self._doubtful_since is None:
            self._doubtful_since = time.monotonic()
        return time.monotonic() - self._doubtful_since >= _STALL_SECONDS

    def begin_again(self) -> None:
        """It goes on."""
        self._doubtful_since = None

    def check(self, board: Board, situation: Situation) -> None:
        """CliError when the time is up."""
        name, limit = self._asked.name, self._asked.timeout
        if limit is not None and time.monotonic() - self._started >= limit:
            raise CliError(
                f"{name} did not come to an end within {limit:g} s (--timeout), and goes on: "
                f"{board.trouble or line_of(situation)}"
            )
        if board.trouble is not None and board.silent_seconds >= _OUTAGE_SECONDS:
            raise CliError(f"no news of {name} for {_OUTAGE_SECONDS:g} s, how it goes on is not known: {board.trouble}")


def _plea(name: str, namespace: str, waits_for: str) -> str:
    told = " ".join(waits_for.split()).rstrip(".")
    return f"{name} waits for a person: {told}. `kubectl sophia explain {name} -n {namespace}` says what can be done"


def _code(situation: Situation) -> int:
    return Exit.OK if situation.is_healthy else Exit.BAD


def _pump(stream: Iterator[News], into: _Queue) -> None:
    for item in stream:
        into.put(item)


@contextmanager
def _ctrl_c_is_news(news: _Queue) -> Iterator[None]:
    """Let Ctrl-C wait its turn behind the news; a second one ends whatever is under way.

    Python raises KeyboardInterrupt wherever the main thread happens to be. Inside a callback of a library that draws
    or parses, it can be dropped, and nobody would end.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield  # a shell's background job is not meant by Ctrl-C
        return

    def interrupted(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        news.put(_CTRL_C)

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _listen(news: _Queue, board: Board) -> None:
    """Wait for one tick at most; take all there is. KeyboardInterrupt once that comes to Ctrl-C."""
    try:
        _take(news.get(timeout=_TICK_SECONDS), board)
    except queue.Empty:
        return
    while not news.empty():
        _take(news.get(), board)


def _take(item: News | _CtrlC, board: Board) -> None:
    if isinstance(item, _CtrlC):
        raise KeyboardInterrupt
    board.take(item)
