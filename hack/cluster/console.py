"""Tell the person at the terminal what happens, how far it is, and how long it took."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICK_SECONDS = 0.5
_QUIET_TICK_SECONDS = 30.0
_CLEAR_LINE = "\r\033[2K"
_lock = threading.RLock()
_running: list[Step] = []


class Step:
    """A piece of work that is under way. Made by :func:`step`."""

    def __init__(self, title: str, usually: str | None) -> None:
        self.title = title
        self.usually = usually
        self.progress = ""
        self._log: Path | None = None
        self.result = ""
        self.started = time.monotonic()
        self.seconds = 0.0

    def update(self, progress: str) -> None:
        """Show what is being done right now, such as "3 of 7: kubelet"."""
        self.progress = progress

    def done(self, result: str) -> None:
        """Say how it ended, such as "cached"; shown with the time when the step ends."""
        self.result = result

    def follow(self, log: Path) -> None:
        """Show how many lines ``log`` has and its newest one, each time the ticker ticks."""
        self._log = log

    def line(self) -> str:
        """Return the line that a ticker shows."""
        elapsed = duration(time.monotonic() - self.started)
        hint = f" (usually {self.usually})" if self.usually else ""
        progress = _newest_line(self._log) if self._log else self.progress
        return f"{self.title}{hint} ... {elapsed}{'  ' + progress if progress else ''}"


@contextmanager
def step(title: str, usually: str | None = None) -> Iterator[Step]:
    """Print ``title``, tick while the body runs, and print how it ended and how long it took.

    ``usually`` tells how long it takes as a rule ("2 min"). On a terminal the ticker is one line that is
    rewritten, in a log a line every 30 s. Steps nest: the outer one keeps still while an inner one ticks.
    """
    current = Step(title, usually)
    stop = threading.Event()
    if not _terminal() and usually:
        say(f"{title} (usually {usually}) ...")
    ticker = threading.Thread(target=_tick, args=(current, stop), daemon=True)
    with _lock:
        _running.append(current)
    ticker.start()
    try:
        yield current
    except BaseException as error:
        _end(current, stop, ticker, "interrupted" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    _end(current, stop, ticker, current.result or "done")


def say(text: str) -> None:
    """Print a line without breaking a ticker that may be running."""
    with _lock:
        print(f"{_CLEAR_LINE if _terminal() else ''}{_indent(_running)}{text}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Return seconds for people: "0.8 s", "42 s", "3 min 07 s"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def _end(current: Step, stop: threading.Event, ticker: threading.Thread, how: str) -> None:
    stop.set()
    ticker.join()
    current.seconds = time.monotonic() - current.started
    with _lock:
        _running.remove(current)
        say(f"{current.title}: {how}, {duration(current.seconds)}")


def _tick(current: Step, stop: threading.Event) -> None:
    interval = _TICK_SECONDS if _terminal() else _QUIET_TICK_SECONDS
    while not stop.wait(interval):
        with _lock:
            if _running[-1:] != [current]:
                continue
            line = _indent(_running[:-1]) + current.line()
            if _terminal():
                print(_CLEAR_LINE + line, end="", file=sys.stderr, flush=True)
            else:
                print(line, file=sys.stderr, flush=True)


def _newest_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return f"[{len(lines)}] {lines[-1][:60]}" if lines else ""


def _indent(steps: list[Step]) -> str:
    return "  " * len(steps)


def _terminal() -> bool:
    return sys.stderr.isatty()
