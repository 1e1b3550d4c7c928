"""A ConfigMap in a pod, as kubelet mounts it: links to files of a folder that is swapped whole."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path


def mount(folder: Path, data: Mapping[str, str]) -> None:
    """Let `folder` show the keys of `data` as files: all of them at once, whoever reads meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / "..data"
    before = current.resolve() if current.is_symlink() else None
    versioned = folder / f"..{time.time_ns()}"
    versioned.mkdir()
    for key, text in data.items():
        (versioned / key).write_text(text)
    new = folder / "..data_tmp"
    new.symlink_to(versioned.name)
    new.replace(current)
    for key in data:
        if not (folder / key).is_symlink():
            (folder / key).symlink_to(Path("..data") / key)
    for gone in {path.name for path in folder.iterdir() if not path.name.startswith("..")} - set(data):
        (folder / gone).unlink()
    if before is not None:
        shutil.rmtree(before)
