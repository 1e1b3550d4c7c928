"""What every provider of a cluster can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hack.cluster import platform

NAMES = ("existing", "kind", "node")


class ProviderError(RuntimeError):
    """The provider cannot do what was asked; the message says what to do."""


class Provider(Protocol):
    """A way to have a cluster. Errors are ProviderError, CommandError, and what the node raises."""

    name: str
    programs: tuple[str, ...]
    """What must be in binaries.view() before anything but ``check`` and ``down`` is called."""
    images: tuple[str, ...] | None
    """Names of the images that the cluster needs for everything; None stands for all."""

    def check(self) -> None:
        """Raise ProviderError unless this provider may and can work; touches nothing."""

    def up(self, archives: Sequence[Path]) -> None:
        """Bring the cluster up with these images, and write its kubeconfig. Safe to interrupt and to repeat."""

    def load(self, archives: Sequence[Path]) -> None:
        """Load images into the running cluster; those that it has already cost nothing."""

    def down(self) -> bool:
        """Take the cluster away, and what came with it. Safe to repeat. Tell whether there was one."""

    def problems(self) -> list[str] | None:
        """Return what is wrong with the cluster in words, empty when it is well, None when there is none."""

    def gateway_url(self) -> str:
        """Return where this machine reaches the gateway of the cluster that is up, without a slash at the end."""

    def platform(self) -> platform.Settings:
        """Return what the platform must know about the cluster."""
