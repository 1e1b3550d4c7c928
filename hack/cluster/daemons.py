"""Start programs that keep running, and make sure that none of them outlives us."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hack.cluster import pki, shell

_POLL_SECONDS = 0.05


class DaemonError(RuntimeError):
    """A daemon ended, or did not become ready in time. The message holds the end of its log."""


class Daemon:
    """A running program in its own process group, with its output in a log file."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*_tether(), *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env} if env else None,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise DaemonError when the program has ended."""
        if (code := self._process.poll()) is not None:
            raise DaemonError(f"{self.name} ended with code {code}:\n{self.tail()}")

    def tail(self) -> str:
        """Return the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-shell.TAIL_LINES :]
        return "\n".join(f"  | {line}" for line in lines)

    def kill(self) -> None:
        """End the program and its group at once, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def wait_until(ready: Callable[[], bool], daemons: Sequence[Daemon], what: str, *, timeout: float) -> None:
    """Return once ``ready()``. Raise DaemonError when a daemon ends first or after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not ready():
        for daemon in daemons:
            daemon.check()
        if time.monotonic() > deadline:
            logs = "\n".join(f"{daemon.name}:\n{daemon.tail()}" for daemon in daemons)
            raise DaemonError(f"{what} is not ready after {timeout:g} s\n{logs}")
        time.sleep(_POLL_SECONDS)


def api_ready(server: str, keys: pki.Authority, identity: str) -> bool:
    """Tell whether the API server at the URL ``server`` says that it is ready."""
    return api_get(server, keys, identity, "/readyz") == b"ok"


def api_get(server: str, keys: pki.Authority, identity: str, path: str) -> bytes | None:
    """Return what the API server answers at ``path``, or None when it gives no answer or an error."""
    try:
        context = ssl.create_default_context(cafile=str(keys.ca))
        context.load_cert_chain(keys.certificate(identity), keys.key(identity))
        # Never through a proxy that the environment may name: the server is on this machine.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(server + path, timeout=2) as response:
            content: bytes = response.read()
    except (OSError, urllib.error.URLError):
        return None
    return content


def free_ports(count: int) -> list[int]:
    """Return that many different TCP ports which nobody uses on loopback right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _tether() -> list[str]:
    """Return the words that make the kernel kill a program when we die, even by SIGKILL (Linux only).

    The kernel watches the thread that started the program, so start daemons from a thread that stays.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
