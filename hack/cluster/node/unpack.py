"""Unpack image archives into a store, in namespaces of its own: ``python -m hack.cluster.node.unpack JSON``.

JSON holds ``programs``, ``store`` and ``archives``, all paths.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from hack.cluster.node import config, imagestore, machine

_SOCKET = Path("/run/containerd.sock")
_START_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.02


def main(arguments: str) -> None:
    """Run a containerd of our own on the store, import each archive, and let it end properly."""
    todo = json.loads(arguments)
    programs, store = Path(todo["programs"]), Path(todo["store"])
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    settings = Path("/run/containerd.toml")
    settings.write_text(config.containerd(store, _SOCKET, None, machine.inspect()))
    server = subprocess.Popen([programs / "containerd", f"--config={settings}"])
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while not _SOCKET.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit("containerd did not start")
        time.sleep(_POLL_SECONDS)
    for archive in todo["archives"]:
        subprocess.run(imagestore.import_command(programs / "ctr", _SOCKET, Path(archive)), check=True)
    server.terminate()
    server.wait()


if __name__ == "__main__":
    main(sys.argv[1])
