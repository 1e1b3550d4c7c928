"""How the process ends while threads still listen to the API server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from sophia_operator.cli import leave

# The thread is always in native code, or about to be, as one that reads objects off a watch.
LISTENING = """
import threading
from pydantic import TypeAdapter
from sophia_operator.cli import leave

def listen():
    read = TypeAdapter(list[int]).validate_json
    while True:
        read(b"[" + b"1," * 20000 + b"1]")

threading.Thread(target=listen, daemon=True).start()
print("done")
leave({code})
"""


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_thread_that_listens_changes_no_exit_code(code: int) -> None:
    words = [sys.executable, "-c", LISTENING.format(code=code)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (code, "done\n", "")


def test_without_threads_it_ends_as_any_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with pytest.raises(SystemExit) as ended:
        leave(2)
    assert ended.value.code == 2


def test_output_that_nobody_reads_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as closed:  # noqa: PTH123 - a file descriptor
        monkeypatch.setattr(sys, "stdout", closed)
        closed.write("unread")
        leave(0)
        monkeypatch.undo()
        assert codes == [1]
        with pytest.raises(BrokenPipeError):
            closed.close()
