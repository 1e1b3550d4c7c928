"""Where the node keeps what, below the state folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hack.cluster import paths

NAME = "sophia-node"
"""Name of the Kubernetes Node, of the kubeconfig's context, and of the control group of its pods."""
COVERED = ("/var/lib", "/var/log")
"""Folders of the host in which the kubelet and CNI write at fixed places; the node writes into copies in memory."""
HIDDEN = (*COVERED, "/run", "/var/run")
"""Folders that the node and the host do not share."""
_LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes; containerd appends ".ttrpc"


@dataclass(frozen=True)
class Layout:
    """Paths of one node."""

    state: Path
    programs: Path

    @property
    def pki(self) -> Path:
        """Keys, certificates and the components' kubeconfigs."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Configuration files."""
        return self.state / "config"

    @property
    def log(self) -> Path:
        """One log file a component."""
        return self.state / "log"

    @property
    def memory(self) -> Path:
        """Mount point, inside the node only, of a file system in memory for everything that pods and etcd write."""
        return self.state / "memory"

    @property
    def socket(self) -> Path:
        """containerd's socket, usable from the host."""
        return self.state / "containerd.sock"

    @property
    def plan(self) -> Path:
        """What the node's first process is to do (JSON)."""
        return self.state / "plan.json"

    @property
    def ready(self) -> Path:
        """Written last, holding the plan's fingerprint: the node came up whole."""
        return self.state / "ready"

    @property
    def ended(self) -> Path:
        """Lines "<component> <exit code>", written when a component ends."""
        return self.state / "ended"

    @property
    def containerd(self) -> Path:
        """containerd's root, in memory."""
        return self.memory / "containerd"

    def kubeconfig(self, component: str) -> Path:
        """Return the kubeconfig of a component."""
        return self.pki / f"{component}.kubeconfig"

    def check(self) -> None:
        """Raise ValueError when the state folder is where it cannot work; the message says what to do."""
        if len(str(self.socket)) > _LONGEST_SOCKET_PATH:
            raise ValueError(f"{self.state} is too long a path for sockets: set SOPHIA_STATE to a shorter one")
        for folder in HIDDEN:
            if self.state.is_relative_to(folder):
                raise ValueError(f"the node has its own {folder}: set SOPHIA_STATE to a folder elsewhere")


def current(programs: Path) -> Layout:
    """Return the layout of the node whose programs lie in ``programs``."""
    return Layout(paths.state(), programs)
