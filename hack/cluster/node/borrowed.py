"""containerd's root of a node, made from the store of unpacked images.

Layers and blobs are gigabytes that nobody ever changes: containerd adds some and removes some. They stay in the store,
and the node has links to them; only the indices are copied. What containerd removes is a link.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from hack.cluster.node.config import SNAPSHOTTER

_NEVER_CHANGED = (
    Path("io.containerd.content.v1.content/blobs/sha256"),
    Path(f"io.containerd.snapshotter.v1.{SNAPSHOTTER}/snapshots"),
)
"""Folders whose entries are written once."""


def borrow(store: Path, root: Path) -> None:
    """Make ``root``, which must not exist, from ``store``, which must stay as it is for as long as ``root`` is used."""
    shutil.copytree(store, root, symlinks=True, ignore=_below(store))
    for folder in _NEVER_CHANGED:
        for entry in sorted((store / folder).iterdir()):
            (root / folder / entry.name).symlink_to(entry)


def _below(store: Path) -> Callable[[str, list[str]], list[str]]:
    left_out = {str(store / folder) for folder in _NEVER_CHANGED}
    return lambda folder, names: names if folder in left_out else []
