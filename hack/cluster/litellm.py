"""A LiteLLM proxy of the locked versions, in a virtual environment of its own: its packages are not ours to have.

The environment lies in the cache, named by the lock that it was made from. `litellm.in` says how the lock is written.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from hack.cluster import console, paths, shell

LOCK: Final = paths.SOURCE / "litellm.txt"
_SECONDS: Final = 1200.0


def program() -> Path:
    """Where :func:`ensure` puts the proxy's command."""
    return _folder() / "bin" / "litellm"


def ensure() -> Path:
    """Return :func:`program`, installed when it is not there. Takes milliseconds when it is.

    Safe to interrupt, to repeat, and to run in several processes at once. Raises shell.CommandError, and
    FileNotFoundError without uv.
    """
    folder = _folder()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                _install(folder)
    return program()


def prune() -> list[Path]:
    """Remove the environments of other locks, and return what was removed."""
    old = [path for path in _folder().parent.glob("*") if path != _folder() and path.is_dir()]
    for path in old:
        shutil.rmtree(path)
    return old


def _folder() -> Path:
    made_from = LOCK.read_bytes() + sys.version.encode()
    return paths.cache() / "litellm" / hashlib.sha256(made_from).hexdigest()[:12]


def _install(folder: Path) -> None:
    uv = _uv()
    with console.step("Install LiteLLM for the tests", "20 s to 4 min"):
        # What was cut short is never taken for whole: the folder gets its name last, and its scripts do not mind.
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        shell.run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, unfinished], timeout=_SECONDS)
        shell.run(
            [
                *(uv, "pip", "install", "--quiet", "--python", unfinished / "bin" / "python"),
                *("--no-deps", "--require-hashes", "--requirement", LOCK),
            ],
            timeout=_SECONDS,
        )
        unfinished.rename(folder)


def _uv() -> str | Path:
    """What runs us, or is on the PATH, or what `make` installed."""
    installed = paths.REPOSITORY / ".tools" / "uv" / "bin" / "uv"
    found = os.environ.get("UV") or shutil.which("uv") or (installed if installed.exists() else None)
    if found is None:
        raise FileNotFoundError("uv is not here: run `make setup`")
    return found
