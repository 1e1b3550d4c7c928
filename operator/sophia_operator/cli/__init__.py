"""The command line for people: `kubectl sophia`."""

from __future__ import annotations

import os
import sys
import threading


def main() -> None:
    """Run `kubectl-sophia`; ends the process with its exit code."""
    from sophia_operator.cli.app import app  # noqa: PLC0415 - importing the package must stay cheap

    try:
        app(prog_name="kubectl sophia")
    except SystemExit as ended:
        leave(ended.code)


def leave(code: str | int | None) -> None:
    """End the process. Threads that still listen to the API server are left where they are.

    The interpreter would end them in the middle of native code, and some of that aborts the process (SIGABRT) then:
    a script would take a healthy service for a broken one.
    """
    if threading.active_count() == 1 or isinstance(code, str):
        raise SystemExit(code)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 1  # nobody reads any more
    os._exit(code or 0)
