"""A program in a terminal of its own, where it draws as it does for people."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from hack.rig.waiting import until

_ROWS, _COLUMNS = 60, 140
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Use it as a context manager; the program is killed at the end if it still runs."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str]) -> None:
        self._bytes = b""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            # Tests may run as a shell's background job, which ignores Ctrl-C, and so would all that it starts.
            ["env", "--default-signal=INT", *words],
            env={**os.environ, "TERM": "xterm-256color", **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        os.close(self._ours)

    @property
    def shown(self) -> str:
        """All that it has shown so far, without colours and moves of the cursor."""
        return _CONTROLS.sub("", self._bytes.decode(errors="replace"))

    def wait_for(self, words: str, *, seconds: float) -> None:
        """Wait until it has shown the words. Raises TimeoutError."""
        until(f"the terminal to show {words!r}", lambda: words in self.shown, seconds=seconds)

    def interrupt(self, *, seconds: float = 30.0) -> int:
        """Interrupt it, as Ctrl-C does, and return its exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=seconds)

    def _read(self) -> None:
        # Reading fails once the program has closed its side.
        with suppress(OSError):
            while chunk := os.read(self._ours, 65536):
                self._bytes += chunk
