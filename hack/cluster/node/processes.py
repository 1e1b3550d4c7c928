"""Find and end the node's processes, also when nobody wrote down which they are."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

MODULE = "hack.cluster.node.init"
_PROC = Path("/proc")
_POLL_SECONDS = 0.02


def command(plan: Path) -> list[str]:
    """Return the words that start the node in namespaces of its own."""
    return [
        *("unshare", "--mount", "--net", "--pid", "--uts", "--ipc"),
        # When unshare dies, so does its child; and the new process sees its own /proc.
        *("--fork", "--kill-child", "--mount-proc", "--"),
        *init_command(plan),
    ]


def init_command(plan: Path) -> list[str]:
    """Return the words of the node's first process."""
    return [sys.executable, "-m", MODULE, str(plan)]


def find(plan: Path, proc: Path = _PROC) -> list[int]:
    """Return the pids of the node of ``plan``: unshare and the first process, in this order.

    They are known by their last words, which name the module and the plan's absolute path: nothing else has those,
    and no record is needed that a crash could have prevented.
    """
    tail = ["-m", MODULE, str(plan)]
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_text(errors="replace").split("\0")[:-1]
                if words[-3:] == tail:
                    found.append((words[0].rpartition("/")[2] != "unshare", int(entry.name)))
    return [pid for _, pid in sorted(found)]


def of_other_states(plan: Path, proc: Path = _PROC) -> list[str]:
    """Return the plans of nodes that run from another state folder than that of ``plan``."""
    found = set()
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_text(errors="replace").split("\0")[:-1]
                if words[-3:-1] == ["-m", MODULE] and words[-1] != str(plan):
                    found.add(words[-1])
    return sorted(found)


def first_process(plan: Path, proc: Path = _PROC) -> int | None:
    """Return the pid (as the host sees it) of the node's first process, or None when it does not run."""
    for pid in find(plan, proc):
        with contextlib.suppress(OSError):
            if (proc / str(pid) / "cmdline").read_bytes().split(b"\0")[0].rpartition(b"/")[2] != b"unshare":
                return pid
    return None


def end(plan: Path, *, timeout: float = 30.0) -> bool:
    """Kill the node of ``plan`` and return when all its processes are gone; tell whether there was one.

    The kernel lets the first process go only after everything in its namespace has died, so waiting for that one is
    enough. Raises TimeoutError.
    """
    deadline = time.monotonic() + timeout
    there = False
    while pids := find(plan):
        there = True
        # The first process first: killed, it takes all others; unshare would only pass the signal on.
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any((_PROC / str(pid)).exists() and not _is_zombie(pid) for pid in pids):
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes {pids} do not end")
            time.sleep(_POLL_SECONDS)
    return there


def _is_zombie(pid: int) -> bool:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
