"""Output that cannot fail: when whoever read it is gone, the rest goes to a file."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast


class _Lasting:
    """A stream for texts. The first write that fails leads it, and what it had not written yet, to the file `rest`."""

    def __init__(self, stream: TextIO, rest: Path) -> None:
        self._stream = stream
        self._rest = rest

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._divert()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._divert()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _divert(self) -> None:
        self._rest.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._rest, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        # Below the stream, whose buffer still holds what could not be written.
        os.dup2(file, self._stream.fileno())
        os.close(file)
        self._stream.flush()


@contextlib.contextmanager
def lasting_output(rest: Path) -> Iterator[None]:
    """Let nothing that is said in the block fail.

    A terminal that is closed, or a `tee` that the same Ctrl-C ended, would otherwise make the clean-up's first word
    its last.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", _Lasting(stream, rest)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
