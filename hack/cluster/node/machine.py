"""What this machine can do: found out, not assumed."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import debian

PACKAGES = ("conntrack", "iproute2", "iptables", "kmod", "nftables", "openssl", "util-linux")
_PROGRAMS = ("conntrack", "ip", "iptables", "mount", "nft", "openssl", "setpriv", "unshare")
_CAP_SYS_RESOURCE = 24
_CGROUPS = Path("/sys/fs/cgroup")


class UnsuitableError(RuntimeError):
    """The node cannot run on this machine; the message says why."""


@dataclass(frozen=True)
class Machine:
    """What decides the node's settings."""

    cgroup_version: int
    """1 or 2."""
    may_raise_limits: bool
    """Whether we have CAP_SYS_RESOURCE: without it no OOM score may be lowered and no limit raised."""
    open_files: int
    """The hard limit of open files."""
    nftables: bool
    """Whether the kernel is new enough (5.13) for kube-proxy's nftables mode."""


def inspect() -> Machine:
    """Return what this machine can do."""
    return Machine(
        cgroup_version=2 if (_CGROUPS / "cgroup.controllers").exists() else 1,
        may_raise_limits=has_capability(Path("/proc/self/status").read_text(), _CAP_SYS_RESOURCE),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        nftables=kernel_version(platform.release()) >= (5, 13),
    )


def why_not() -> str | None:
    """Return why the node cannot run here, or None when it can."""
    if platform.system() != "Linux":
        return f"it needs Linux, and this is {platform.system()}"
    if os.geteuid() != 0:
        return "it needs root (namespaces, network interfaces, cgroups)"
    return None


def require() -> Machine:
    """Install what is missing, and return what the machine can do. Raises UnsuitableError, PackagesMissingError."""
    if reason := why_not():
        raise UnsuitableError(f"The node cannot run here: {reason}.")
    debian.ensure(PACKAGES, why="by the node")
    if lacking := [program for program in _PROGRAMS if shutil.which(program) is None]:
        raise UnsuitableError(f"The node needs programs that are not on PATH: {', '.join(lacking)}.")
    return inspect()


def has_capability(status: str, number: int) -> bool:
    """Tell whether ``/proc/<pid>/status`` lists the capability with that number as effective."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return match is not None and bool(int(match[1], 16) >> number & 1)


def kernel_version(release: str) -> tuple[int, int]:
    """Return major and minor of a kernel release such as "6.1.0-18-amd64"; (0, 0) when it is not one."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)
