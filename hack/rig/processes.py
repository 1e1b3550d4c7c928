"""Processes of pods, where the node is this machine."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def first_process(container: str) -> int | None:
    """Pid, as this machine sees it, of a container's first process; None when it does not run here.

    The control group of each process of a container ends with the container's id, whatever runs the node: containerd
    on this machine, or in a kind node, which is a container itself.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            groups = (process / "cgroup").read_text()
            if container in groups and _is_first(process):
                return int(process.name)
    return None


def _is_first(process: Path) -> bool:
    """Whether the process has the pid 1 in the innermost namespace that it is in."""
    lines = (process / "status").read_text().splitlines()
    return any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in lines)
