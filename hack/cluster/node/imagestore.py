"""Images unpacked once, so that a node starts with containerd's store instead of importing archives."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import console, paths, shell, versions

_MOST_IMPORTS = 30
"""Each replaced image leaves a little behind in the store, so after this many imports it is made anew."""
_TIMEOUT_SECONDS = 600.0
MODULE = "hack.cluster.node.unpack"


def folder() -> Path:
    """Return containerd's root folder with the unpacked images. A node that runs has links to what is in it."""
    return paths.cache() / "imagestore" / "containerd"


def prepare(archives: Sequence[Path], programs: Path) -> Path:
    """Unpack those ``archives`` (docker-archive tars) that are not in the store yet, and return the store.

    Takes no time when none changed, a second for a small image, 6-9 s for all. Safe to interrupt: a store that was
    being changed is made anew.
    """
    base = folder().parent
    record = base / "imported.json"
    wanted = {archive.name: identity(archive) for archive in archives}
    have = _read(record)
    lacking = [archive for archive in archives if have.get(archive.name) != wanted[archive.name]]
    if not lacking:
        return folder()
    if not have or len(have) + len(lacking) > _MOST_IMPORTS:
        shutil.rmtree(base, ignore_errors=True)
        have, lacking = {}, list(archives)
    base.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    with console.step(f"Unpack {len(lacking)} of {len(archives)} images", "1-9 s"):
        arguments = {
            "programs": str(programs),
            "store": str(folder()),
            "archives": [str(archive) for archive in lacking],
        }
        shell.run(
            [
                *("setpriv", "--pdeathsig", "KILL", "--"),
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
                *(sys.executable, "-m", MODULE, json.dumps(arguments)),
            ],
            timeout=_TIMEOUT_SECONDS,
            cwd=paths.REPOSITORY,
            log=base / "unpack.log",
        )
    unfinished = record.with_suffix(".partial")
    unfinished.write_text(json.dumps(have | wanted))
    unfinished.rename(record)
    return folder()


def identity(archive: Path) -> str:
    """Return what tells one version of an archive from another, and one containerd from the next."""
    facts = archive.stat()
    return f"{facts.st_size}-{facts.st_mtime_ns}-{versions.of('containerd')}"


def import_command(ctr: Path, socket: Path, archive: Path) -> list[str]:
    """Return the command that imports an archive into a running containerd, where the kubelet looks."""
    words = [str(ctr), "--address", str(socket), "--namespace", "k8s.io"]
    # Locally: the client reads the file and fills the store; containerd's transfer service would ask a registry.
    return [*words, "images", "import", "--local=true", str(archive)]


def _read(record: Path) -> dict[str, str]:
    try:
        content = json.loads(record.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and folder().is_dir() else {}
