"""The control group of the node's pods: made before the kubelet starts, removed when everything in it is dead."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from hack.cluster.node.layout import NAME

ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpuset", "cpu", "memory", "pids")
_POLL_SECONDS = 0.05
_TURNS = 10
"""How many processes outside pods all pods together weigh as much as. By default it is one: when the processors are
busy with tests and with the control plane, pods would hardly run, the gateway would miss its probes and users theirs.
"""


def create(root: Path = ROOT) -> None:
    """Make the group in every hierarchy, able to hold pods. Raises OSError when a controller cannot be had."""
    if (root / "cgroup.controllers").exists():
        _create_v2(root)
        return
    for hierarchy in _hierarchies(root):
        group = hierarchy / NAME
        group.mkdir(exist_ok=True)
        # A new cpuset is empty, and takes no process until it is filled.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / name).exists():
                (group / name).write_text((hierarchy / name).read_text())
        if (hierarchy / "cpu.shares").exists():
            (group / "cpu.shares").write_text(str(_TURNS * 1024))


def remove(root: Path = ROOT, *, timeout: float = 15.0) -> None:
    """Remove the group everywhere. Raises TimeoutError when something in it lives on for ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while left := [group for group in groups(root) if not _removed(group)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"control groups are still in use: {', '.join(map(str, left))}")
        time.sleep(_POLL_SECONDS)


def groups(root: Path = ROOT) -> list[Path]:
    """Return the groups that exist."""
    return [base / NAME for base in (root, *_hierarchies(root)) if (base / NAME).is_dir()]


def _create_v2(root: Path) -> None:
    """Turn the controllers on for the root's children and for the group's."""
    group = root / NAME
    group.mkdir(exist_ok=True)
    for folder in (root, group):
        available = (folder / "cgroup.controllers").read_text().split()
        enabled = (folder / "cgroup.subtree_control").read_text().split()
        for controller in _CONTROLLERS:
            if controller in available and controller not in enabled:
                _enable(folder, controller)
    if (group / "cpu.weight").exists():
        (group / "cpu.weight").write_text(str(_TURNS * 100))


def _enable(folder: Path, controller: str) -> None:
    try:
        (folder / "cgroup.subtree_control").write_text(f"+{controller}")
    except OSError as error:
        raise OSError(
            f"The controller {controller!r} cannot be turned on in {folder} ({error.strerror}): in a container, its "
            "processes must first be moved out of the top control group."
        ) from error


def _removed(group: Path) -> bool:
    """Remove the group and those below it, children first; tell whether it is gone."""
    for folder in sorted(_folders(group), reverse=True):
        with contextlib.suppress(OSError):  # busy: a process in it is still dying
            folder.rmdir()
    return not group.exists()


def _folders(group: Path) -> Iterator[Path]:
    yield group
    with contextlib.suppress(OSError):
        for entry in group.iterdir():
            if entry.is_dir():
                yield from _folders(entry)


def _hierarchies(root: Path) -> list[Path]:
    if not root.is_dir() or (root / "cgroup.controllers").exists():
        return []
    # Some are symbolic links to others ("cpu" to "cpu,cpuacct").
    return [entry for entry in sorted(root.iterdir()) if entry.is_dir() and not entry.is_symlink()]
