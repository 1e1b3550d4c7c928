"""What a node borrows of the store of images: layers and blobs by links, and all else as copies of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hack.cluster.node.borrowed import borrow

BLOB = "io.containerd.content.v1.content/blobs/sha256/0a1b"
LAYER = "io.containerd.snapshotter.v1.overlayfs/snapshots/1"
INDEX = "io.containerd.snapshotter.v1.overlayfs/metadata.db"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    files = {BLOB: "blob", f"{LAYER}/fs/etc/passwd": "root", INDEX: "one layer", "tmpmounts/none": ""}
    for name, text in files.items():
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "store" / "io.containerd.content.v1.content" / "ingest").mkdir()
    return tmp_path / "store"


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_all_is_there_and_only_what_changes_was_copied(store: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    borrow(store, root)
    assert (root / f"{LAYER}/fs/etc/passwd").read_text() == "root"
    assert (root / BLOB).read_text() == "blob"
    assert [path for path in (LAYER, BLOB, INDEX) if (root / path).is_symlink()] == [LAYER, BLOB]
    assert (root / "io.containerd.content.v1.content/ingest").is_dir()


def test_what_a_node_adds_and_removes_is_its_own(store: Path, tmp_path: Path) -> None:
    root, before = tmp_path / "root", files(store)
    borrow(store, root)
    # As containerd removes a layer: under another name first.
    (root / LAYER).rename((root / LAYER).with_name("rm-1")).unlink()
    (root / BLOB).unlink()
    (root / INDEX).write_text("another layer")
    (root / LAYER).with_name("2").mkdir()
    shutil.rmtree(root)
    assert files(store) == before
