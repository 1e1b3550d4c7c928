"""A Portkey gateway of the locked versions, as an npm package: tests run it with Node.

It lies in the cache, in a folder named by the lock that it was made from. `npm install --package-lock-only
--omit-lockfile-registry-resolved` in `portkey.npm` writes that lock. With a newer @hono/node-server than Portkey's own
lock has, which its package allows, it answers 500 to everybody who wants a stream: hence the override there.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from pathlib import Path
from typing import Final

from hack.cluster import console, paths, shell

FILES: Final = paths.SOURCE / "portkey.npm"
_LOCK: Final = "package-lock.json"
_PACKAGE: Final = "package.json"
_SECONDS: Final = 600.0


def program() -> Path:
    """Where :func:`ensure` puts the script that Node runs."""
    return _folder() / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"


def ensure() -> Path:
    """Return :func:`program`, installed when it is not there. Takes milliseconds when it is.

    Safe to interrupt, to repeat, and to run in several processes at once. Raises shell.CommandError, also without Node.
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
    """Remove what other locks gave, and return what was removed."""
    old = [path for path in _folder().parent.glob("*") if path != _folder() and path.is_dir()]
    for path in old:
        shutil.rmtree(path)
    return old


def _folder() -> Path:
    return paths.cache() / "portkey" / hashlib.sha256((FILES / _LOCK).read_bytes()).hexdigest()[:12]


def _install(folder: Path) -> None:
    with console.step("Install Portkey for the tests", "10-30 s"):
        # What was cut short is never taken for whole: the folder gets its name last.
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for name in (_PACKAGE, _LOCK):
            shutil.copy(FILES / name, unfinished)
        # No script of a package runs: it needs none.
        command = ["npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
        shell.run(command, timeout=_SECONDS, cwd=unfinished)
        unfinished.rename(folder)
