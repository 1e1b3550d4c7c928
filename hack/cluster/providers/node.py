"""The provider ``node``: a real Kubernetes node on this machine, without Docker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hack.cluster import binaries, platform
from hack.cluster.node import layout, lifecycle, machine
from hack.cluster.providers.base import ProviderError


class Node:
    """Delegates to hack/cluster/node/."""

    name = "node"
    programs: tuple[str, ...] = binaries.ALL
    images: tuple[str, ...] | None = None

    def check(self) -> None:
        """Raise ProviderError when this is not Linux or we are not root."""
        if reason := machine.why_not():
            raise ProviderError(f"CLUSTER=node cannot be used: {reason}.")

    def up(self, archives: Sequence[Path]) -> None:
        """Bring the node up, or keep it when it is up as wanted."""
        lifecycle.up(layout.current(binaries.view()), archives)

    def load(self, archives: Sequence[Path]) -> None:
        """Import the archives into the node's containerd."""
        lifecycle.load(layout.current(binaries.view()), archives)

    def down(self) -> bool:
        """Take the node away without a trace."""
        return lifecycle.down(layout.current(binaries.view()))

    def problems(self) -> list[str] | None:
        """Look at the node's processes and at its Ready condition."""
        node = layout.current(binaries.view())
        return lifecycle.problems(node) if node.state.exists() else None

    def gateway_url(self) -> str:
        """Return Envoy's Service address, to which this machine has a route."""
        return f"http://{platform.NODE.gateway_ip}"

    def platform(self) -> platform.Settings:
        """Return the addresses of the node's own network."""
        return platform.NODE
