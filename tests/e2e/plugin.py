"""kubectl, as users of the plugin call it: it finds the plugin of this checkout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hack.cluster import binaries, paths, shell

_SECONDS = 200.0


def command(namespace: str, *words: str) -> list[str]:
    """The plugin takes its options behind its own words; so does kubectl, if one likes."""
    return [str(binaries.view() / "kubectl"), *words, f"--namespace={namespace}"]


def environment() -> dict[str, str]:
    """The cluster's kubeconfig, and a PATH with the plugin."""
    plugin = Path(sys.executable).parent
    return {"KUBECONFIG": str(paths.kubeconfig()), "PATH": f"{plugin}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}


def kubectl(namespace: str, *words: str, code: int = 0) -> str:
    """Run kubectl in a namespace, and return what it prints, errors last. It must end with that exit code."""
    done = shell.run(command(namespace, *words), timeout=_SECONDS, env=environment(), check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == code, f"exit code {done.returncode} of {words}:\n{printed}"
    return printed
