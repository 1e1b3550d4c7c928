"""What ends the demo early, and what must not: Ctrl-C, SIGTERM and SIGHUP all lead to the same clean-up, once."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The first signal in the block raises KeyboardInterrupt; none does after it, nor after `hold`.

    What one signal started, be it the clean-up or the end of a step on the way there, no second one cuts short.
    """

    def __init__(self) -> None:
        self._held = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in _SIGNALS:
            # Who started us with a signal ignored, as nohup does, wants it ignored.
            if (before := signal.getsignal(number)) is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def hold(self) -> None:
        """Let no signal interrupt what comes now."""
        self._held = True

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if not self._held:
            self._held = True
            raise KeyboardInterrupt
