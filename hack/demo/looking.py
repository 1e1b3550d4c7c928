"""Look on while something happens, on a terminal and without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rich.live import Live

LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Frame:
    """What there is to see at one look."""

    #: What is shown without a terminal, by what it is about: a line is printed when it changes.
    lines: Mapping[str, str]
    #: What is shown on a terminal; None: nothing yet.
    picture: RenderableType | None
    #: What was done up to now; each is printed once.
    steps: Sequence[str] = field(default=())


class Lines:
    """Without a terminal: one line a change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: dict[str, str] = {}

    def say(self, about: str, line: str) -> None:
        """Print the line about something, unless it is the one before."""
        if self._before.get(about) != line:
            self._before[about] = line
            self._console.print(f"  {datetime.now(UTC):%H:%M:%S}  {line}", soft_wrap=True)


def step(at: float, words: str) -> str:
    """A line for something that was done at that moment, in seconds since the epoch."""
    return f"  {datetime.fromtimestamp(at, UTC):%H:%M:%S}  {words}"


def look_on(
    console: Console, name: str, look: Callable[[], Frame], over: Callable[[], bool], *, seconds: float
) -> None:
    """Show what `look` finds until `over` says so. Raises TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    lines, told = Lines(console), 0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            # Before the look at what it leads to: what is over is shown as it is then.
            is_over = over()
            frame = look()
            for line in frame.steps[told:]:
                console.print(line, soft_wrap=True)
            told = len(frame.steps)
            if console.is_terminal and frame.picture is not None:
                live.update(frame.picture, refresh=True)
            elif not console.is_terminal:
                for about, line in frame.lines.items():
                    lines.say(about, line)
            if is_over:
                return
            if time.monotonic() > end:
                raise TimeoutError(f"{name} took longer than {seconds:.0f} s: {'; '.join(frame.lines.values())}")
            time.sleep(LOOK_SECONDS)
