"""A Portkey gateway as a process of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from hack.cluster import portkey, shell
from hack.cluster.daemons import free_ports
from hack.rig.waiting import until

_START_SECONDS: Final = 30.0
#: What a machine's own settings would change: they are none of the tests'.
_KEPT: Final = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True)
class Portkey:
    """A gateway that answers."""

    port: int
    #: Process id.
    pid: int

    @property
    def url(self) -> str:
        """Without a path, as in `http://127.0.0.1:8787`."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def gateway(*, trusted_hosts: Sequence[str] = ("127.0.0.1",)) -> Iterator[Portkey]:
    """Start one, and end it. `trusted_hosts` are private hosts that it may send requests to."""
    script, port = portkey.ensure(), free_ports(1)[0]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment["TRUSTED_CUSTOM_HOSTS"] = ",".join(trusted_hosts)
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            ["node", str(script), f"--port={port}", "--headless"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            until("Portkey to answer", lambda: _answers(process, port), seconds=_START_SECONDS, every=0.05)
            yield Portkey(port, process.pid)
        except TimeoutError as error:
            log.seek(0)
            raise TimeoutError(f"{error}; it says:\n{log.read()[-2000:]}") from None
        finally:
            shell.end_group(process)


def _answers(process: subprocess.Popen[str], port: int) -> bool:
    if process.poll() is not None:
        raise TimeoutError(f"it ended with {process.returncode}")
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
